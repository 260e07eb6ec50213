"""tvm-create: one VM, or NAME-00 to NAME-39 as parts of one operation, placed all or none."""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from tashi.core import quota
from tashi.core.asks import wish_of
from tashi.core.placement import check_disk, pass_all, place, place_or_wait
from tashi.core.turn import Turn
from tashi.model.image import Image
from tashi.model.job import JobState
from tashi.model.name import check_name, number_of
from tashi.model.units import format_size
from tashi.model.vm import STARTING, NicRecord, Vm, VmState, Waiting, Wish, state_of
from tashi.wire.errors import Code, NotFound, Refused
from tashi.wire.messages import Accepted
from tashi.wire.placing import VmCreate

MAC_PREFIX = "52:54:00"
NUMBERS_OF_A_MAC = 2**24


class Order(NamedTuple):
    """What all VMs of one request have in common."""

    body: VmCreate
    image: Image
    disk_bytes: int
    pin: str
    parent: str
    wish: Wish | None


def create(turn: Turn, body: VmCreate) -> Accepted:
    image = _image(turn, body)
    disk_bytes = _disk_bytes(body, image)
    names = _names(body)
    _check_names(turn, names)
    for network in body.nics:
        if network not in turn.settings.networks:
            raise NotFound(f"{network}: no such network", f"there is: {', '.join(turn.settings.networks)}")
    if not body.place and (body.host is not None or body.hold):
        raise Refused(Code.BAD_REQUEST, f"{body.name}: what others place has no host yet, and is in no queue")
    if body.partial and (body.count is None or body.hold or not body.place):
        raise Refused(Code.BAD_REQUEST, f"{body.name}: a part of many is made now, by the controller, or not at all")
    pin = turn.find("host", body.host).id if body.host is not None else ""
    check_disk(turn, names[0], disk_bytes, 1 if body.partial else len(names))
    parent = ""
    if body.count is not None:
        parent = turn.begin("vm.create", "vm", "", body.name, phase="starting", children=len(names)).id
    order = Order(body, image, disk_bytes, pin, parent, wish_of(body.name, body.asks))
    missing: dict[str, str] = {}
    if body.partial:
        vms, missing = _as_many_as_fit(turn, names, order)
        pass_all(turn)
        held = False
    else:
        vms = [_record(turn, name, order) for name in names]
        if not body.place:
            return _leave_to_others(turn, vms, parent, body.dry_run)
        held = place_or_wait(turn, vms, body.hold, body.hold_seconds)
    placed = [turn.state.vms[vm.id] for vm in vms]
    if held:
        for vm in placed:
            turn.phase(vm.job, vm.waiting.value, vm.reason)
    return Accepted(
        job=parent or placed[0].job,
        kind="vm",
        objects={vm.id: vm.name for vm in placed},
        placement={vm.name: turn.host_name(vm.host) for vm in placed if vm.host},
        held=held,
        dry_run=body.dry_run,
        note=state_of(placed[0], "")[0] if held else STARTING,
        missing=missing,
    )


def _as_many_as_fit(turn: Turn, names: list[str], order: Order) -> tuple[list[Vm], dict[str, str]]:
    """Those that found a host, and the names of the others with the reason; none is a refusal."""
    made: list[Vm] = []
    for at, name in enumerate(names):
        mark, started = turn.state.mark(), len(turn.started)
        try:
            check_disk(turn, name, order.disk_bytes, 1)
            vm = _record(turn, name, order)
            quota.check(turn, [vm])
            made.append(place(turn, vm))
        except Refused as refusal:
            if not made:
                raise
            turn.state.rollback(mark)
            del turn.started[started:]
            turn.job = order.parent
            parent = turn.state.jobs[order.parent]
            turn.put(replace(parent, children=len(made), open_children=len(made)))
            return made, dict.fromkeys(names[at:], refusal.text.partition(": ")[2])
    return made, {}


def _leave_to_others(turn: Turn, vms: list[Vm], parent: str, dry_run: bool) -> Accepted:
    """Records alone, which is all that was asked: each waits for a `tvm-place` of its own."""
    quota.check(turn, vms)
    for vm in vms:
        turn.put(replace(vm, waiting=Waiting.UNPLACED, reason="waits for tvm-place"))
        turn.end(vm.job, JobState.DONE)
    objects = {vm.id: vm.name for vm in vms}
    return Accepted(
        job=parent or vms[0].job,
        kind="vm",
        objects=objects,
        held=True,
        done=True,
        dry_run=dry_run,
        note=VmState.HELD,
    )


def _image(turn: Turn, body: VmCreate) -> Image:
    try:
        image: Image = turn.find("image", body.image)
    except NotFound as error:
        raise NotFound(error.text, "timg-list shows what there is") from None
    if image.state != "ready":
        raise Refused(Code.WRONG_STATE, f"{image.name}: its header is still being checked", f"tjob-wait {image.job}")
    return image


def _disk_bytes(body: VmCreate, image: Image) -> int:
    if body.disk_bytes and body.disk_bytes < image.size_bytes:
        raise Refused(
            Code.BAD_REQUEST,
            f"{body.name}: a disk of {format_size(body.disk_bytes)} is smaller than "
            f"its image {image.name} ({format_size(image.size_bytes)})",
        )
    return body.disk_bytes or image.size_bytes


def _names(body: VmCreate) -> list[str]:
    if body.count is None:
        return [body.name]
    digits = max(2, len(str(body.count - 1)))
    return [f"{body.name}-{number:0{digits}d}" for number in range(body.count)]


def _check_names(turn: Turn, names: list[str]) -> None:
    longest = names[-1]
    try:
        check_name(longest)
    except ValueError as problem:
        raise Refused(Code.BAD_REQUEST, str(problem)) from None
    taken = turn.state.names["vm"]
    for name in names:
        for other in taken.get(name, ()):
            if turn.state.vms[other].owner == turn.owner:
                whose = f"{turn.acting} has" if turn.acting else "you have"
                text = f"{name}: {whose} a VM of this name already ({other})"
                raise Refused(Code.CONFLICT, text, f"tvm-show {other} shows it; give another name")


def _record(turn: Turn, name: str, order: Order) -> Vm:
    body, parent = order.body, order.parent
    vm_id = turn.new_id("vm")
    job = turn.begin(
        "vm.create",
        "vm",
        vm_id,
        name,
        parent=parent,
        budget_seconds=turn.settings.start_seconds,
        phase="starting",
    )
    return Vm(
        id=vm_id,
        name=name,
        owner=turn.owner,
        image=order.image.id,
        cores=body.cores,
        memory_bytes=body.memory_bytes,
        created_at=job.created_at,
        disk_bytes=order.disk_bytes,
        disk=f"disks/{vm_id}.qcow2",
        nics=_nics(vm_id, body.nics) if body.nics else (),
        hints=body.hints,
        pin=order.pin,
        wish=order.wish,
        job=job.id,
        doing="vm.create",
    )


def _nics(vm_id: str, networks: list[str]) -> tuple[NicRecord, ...]:
    number = number_of(vm_id) * 8  # eight addresses a VM; as many as it may have NICs
    return tuple(NicRecord(network, mac_of(number + at)) for at, network in enumerate(networks))


def mac_of(number: int) -> str:
    """The ``number``-th hardware address that this cluster gives out."""
    low = number % NUMBERS_OF_A_MAC
    return f"{MAC_PREFIX}:{low >> 16:02x}:{low >> 8 & 255:02x}:{low & 255:02x}"
