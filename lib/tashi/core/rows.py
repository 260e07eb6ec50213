"""Which row each host gets for a VM, and whether it still has to be told.

A row is derived from the record, never stored: what the record says is what a host is told, after any restart.
"""

from __future__ import annotations

from collections.abc import Iterator

from tashi.core.doubts import why_held
from tashi.core.state import State
from tashi.model.guest import Disk, Guest, Nic
from tashi.model.image import Image
from tashi.model.vm import ABSENT, RUNNING, STOPPED, Vm, settled
from tashi.wire.agents import OnlyIf, Row

UEFI = "uefi"  # a feature of hosts, and of the guests that ask for it
NO_IMAGE = Image("", "", "", "", "raw", "")


def guest_of(state: State, vm: Vm) -> Guest:
    """All that a hypervisor needs to run this VM."""
    image = state.images.get(vm.image, NO_IMAGE)
    disk = Disk(vm.disk, "qcow2", image.path, image.format, vm.disk_bytes, vm.disk_proven)
    return Guest(
        id=vm.id,
        name=vm.name,
        cores=vm.cores,
        memory_bytes=vm.memory_bytes,
        disks=[disk] if vm.disk and image.path else [],
        nics=[Nic(nic.network, nic.mac) for nic in vm.nics] if vm.nics else [],
        kernel=image.kernel,
        initrd=image.initrd,
        kernel_args=image.kernel_args,
        hints=vm.hints,
        owner=vm.owner,
        image=vm.image,
        created_at=vm.created_at,
        firmware=UEFI if vm.wish is not None and f"firmware={UEFI}" in vm.wish.features else "",
    )


def row_of(state: State, vm: Vm, host: str) -> Row | None:
    """What ``host`` is told of this VM; None when it has no part in it."""
    left = vm.leftovers.get(host)
    if left is not None:
        lives = vm.desired is not ABSENT
        only_if: OnlyIf = left.only_if  # type: ignore[assignment]
        return Row(vm.id, "absent", left.generation, guest_of(state, vm), only_if=only_if, keep_disk=lives)
    if vm.move is not None and host == vm.move.destination:
        if vm.move.clearing:
            guest = guest_of(state, vm)
            return Row(vm.id, "absent", vm.generation, guest, only_if="never-ran", keep_disk=True, ask=vm.move.ask)
        return Row(vm.id, "incoming", vm.generation, guest_of(state, vm), ask=vm.move.ask)
    if host != vm.host or vm.waiting:
        return None
    if vm.move is not None:
        target = state.hosts.get(vm.move.destination)
        peer = target.facts.migrate_uri if target is not None and target.facts is not None else ""
        return Row(vm.id, "source", vm.generation, guest_of(state, vm), peer=peer)
    if vm.desired is STOPPED:
        return Row(vm.id, "stop", vm.generation)
    return Row(vm.id, "run" if vm.desired is RUNNING else "absent", vm.generation, guest_of(state, vm))


def unsettled(state: State, vm: Vm) -> Iterator[tuple[str, Row]]:
    """(host, row) for each host that has not yet proven that it did what its row says; none while it is held."""
    if why_held(state, vm):
        return
    hosts = [*vm.leftovers]
    if vm.move is not None:
        hosts += [vm.move.source, vm.move.destination]
    elif vm.host and not settled(vm):
        hosts.append(vm.host)
    for host in hosts:
        row = row_of(state, vm, host)
        if row is not None:
            yield host, row
