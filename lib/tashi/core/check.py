"""tashi-check: what is not as it should be, and what helps. Only looks; the controller's half of it.

The records are held against each other and against the placement index that is made of them; then hosts, their agents
and clocks; then physical machines; then what no record explains.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from msgspec import Struct

from tashi.core import copies, metal_check
from tashi.core.divergence import differences
from tashi.core.metal_check import Told
from tashi.core.server_keys import behind, client_settings
from tashi.core.turn import Turn
from tashi.model.host import Health, Host
from tashi.model.units import format_seconds, format_size, stamp
from tashi.model.vm import claims, copies_of, hosts_of
from tashi.model.zoniagent import ZoniAgent
from tashi.wire.messages import PROTOCOL

if TYPE_CHECKING:
    from tashi.core.cluster import Cluster

CLOCK_SECONDS = 2.0  # that a host's clock may be off
OUR_FAULT = "a fault of tashi's: please report it, with the controller's log"


class Finding(Struct, frozen=True):
    """One thing that is wrong with one object, and what helps. ``number``: its place in the list."""

    number: int
    kind: str
    name: str
    id: str
    what: str
    help: str


def findings(turn: Turn, cluster: Cluster) -> list[Finding]:
    """All of them: records first, then hosts and machines, then what no record explains."""
    told = [each for look in LOOKS for each in look(turn, cluster)]
    return [
        Finding(number, kind, record.name, record.id, what, help)
        for number, (kind, record, what, help) in enumerate(told, 1)
    ]


def _claims(turn: Turn, cluster: Cluster) -> Iterator[Told]:
    """The claims of all VMs add up to what the index has."""
    state = turn.state
    sums = dict.fromkeys(state.hosts, (0, 0))
    for vm in state.vms.values():
        for host in claims(vm):
            cores, memory = sums.get(host, (0, 0))
            sums[host] = (cores + vm.cores, memory + vm.memory_bytes)
    for record in state.hosts.values():
        counted = state.index.used(record.id)
        if counted != sums[record.id]:
            said, is_so = _amount(*counted), _amount(*sums[record.id])
            yield (
                "host",
                record,
                f"the index counts {said} as used there, its VMs have {is_so}",
                f"{OUR_FAULT}; a restart counts anew",
            )


def _amount(cores: int, memory_bytes: int) -> str:
    return f"{cores} cores and {format_size(memory_bytes)}"


def _vms(turn: Turn, cluster: Cluster) -> Iterator[Told]:
    """Every VM's host, image and operation are there."""
    state = turn.state
    for vm in state.vms.values():
        for host in hosts_of(vm):
            if host not in state.hosts:
                yield "vm", vm, f"its host {host} has no record", OUR_FAULT
        if vm.image not in state.images:
            yield "vm", vm, f"its image {vm.image} has no record: it could not be started", OUR_FAULT
        if vm.job and vm.job not in state.jobs:
            yield "vm", vm, f"it is locked by {vm.job}, which does not run", OUR_FAULT
        running = copies_of(vm) if vm.leftovers else []
        if running:
            yield "vm", vm, turn.why_twice(vm), copies.way_out(turn, vm)
        for host in sorted(vm.leftovers.keys() & turn.state.unknown_hosts.keys() - set(running)):
            name = turn.host_name(host)
            way = f", or thost-remove {name}" if turn.why_off(host) else ""
            yield (
                "vm",
                vm,
                f"{name} still has to clear what it had of it",
                f"it does so when it is heard: start {name}{way}",
            )


def _jobs(turn: Turn, cluster: Cluster) -> Iterator[Told]:
    """Operations run on something that is there."""
    for job in turn.state.jobs.values():
        table = turn.state.tables.get(job.kind)
        if job.target and table is not None and job.target not in table:
            yield "job", job, f"it runs, and its {job.kind} {job.target} is gone", f"tjob-cancel {job.id}"
        if job.parent and job.parent not in turn.state.jobs:
            yield "job", job, f"it is a part of {job.parent}, which does not run", f"tjob-cancel {job.id}"


def _hosts(turn: Turn, cluster: Cluster) -> Iterator[Told]:
    """Agents are heard, well, and of this version; clocks agree."""
    for host in turn.state.hosts.values():
        unknown, contact = turn.host_unknown(host.id), cluster.contacts.get(host.id)
        if not host.key:
            expired = turn.now.wall > host.token_until_wall
            again = "its token is no longer valid: " if expired else ""
            yield "host", host, "it has not enrolled", f"{again}thost-add {host.name}, then tashi-agent --enroll there"
        elif unknown and host.off:
            yield "host", host, turn.why_off(host.id), f"start it again, or thost-remove {host.name}"
        elif unknown and host.id not in turn.state.doubts.ahead:
            yield "host", host, unknown, f"on {host.name}: systemctl status tashi-agent; is the network up?"
        elif host.health is Health.DEGRADED:
            yield "host", host, f"degraded: {host.reason}", f"mend that on {host.name}; it takes no new VMs until then"
        if contact is not None and contact.ready:
            yield from _agent(host, contact.protocol, contact.clock_ahead)


def _agent(host: Host, protocol: int, ahead: float) -> Iterator[Told]:
    if protocol < PROTOCOL:
        way = f"upgrade tashi-agent on {host.name}: the next version of the controller refuses it"
        yield "host", host, f"its agent speaks protocol {protocol}, the controller {PROTOCOL}", way
    if abs(ahead) > CLOCK_SECONDS:
        where = "ahead of" if ahead > 0 else "behind"
        what = f"its clock is {format_seconds(abs(ahead))} {where} the controller's"
        yield "host", host, what, "set both by NTP: timedatectl set-ntp true"


def _zoniagents(turn: Turn, cluster: Cluster) -> Iterator[Told]:
    return metal_check.agents(turn)


def _machines(turn: Turn, cluster: Cluster) -> Iterator[Told]:
    return metal_check.machines(turn)


def _server_keys(turn: Turn, cluster: Cluster) -> Iterator[Told]:
    """While there are two: everybody comes with the newer one."""
    what = "it has not come with the controller's next key yet"
    for each in behind(turn):
        if isinstance(each, Host | ZoniAgent):
            port, kind = turn.settings.server_keys[0].port, "host" if isinstance(each, Host) else "zoniagent"
            yield kind, each, what, f"it tries by itself: can it reach port {port} of the controller?"
        else:
            use = turn.state.uses.of(each.public)
            seen = f"last used {stamp(use.wall)}" if use is not None else "not used since the controller's start"
            user = turn.state.users[turn.state.names["user"][each.name][0]]
            helps = f"tashi.toml of {each.name}: {client_settings(turn.settings, user.role)}"
            yield "key", each, f"{what}: {seen}", helps


def _pool(turn: Turn, cluster: Cluster) -> Iterator[Told]:
    pool = turn.state.pool
    if pool.capacity_bytes and pool.used_bytes > pool.capacity_bytes:
        what = f"{format_size(pool.used_bytes)} are promised of {format_size(pool.capacity_bytes)}"
        yield "pool", _Part("pool"), what, "tvm-destroy frees disk; or make the pool larger"


class _Part(Struct, frozen=True):
    """What is no record and is named all the same."""

    name: str
    id: str = ""


def _settings(turn: Turn, cluster: Cluster) -> Iterator[Told]:
    refused = turn.state.settings_refused
    if refused:
        helps = "mend it, try it with tashi-check --config FILE, then systemctl reload tashi-controller"
        yield "controller", _Part("settings"), f"read again and refused: {refused}", helps


def _unexplained(turn: Turn, cluster: Cluster) -> Iterator[Told]:
    """Strays, and what differs from a store that was put back."""
    for each in differences(turn):
        said = f": {each.guest}" if each.guest else ""
        helps = f"tashi-divergence {each.id}, then tashi-adopt or tashi-forget {each.id}"
        yield each.kind, each, f"{each.difference}{said}", helps


LOOKS: tuple[Callable[[Turn, Cluster], Iterator[Told]], ...]
LOOKS = (_claims, _vms, _jobs, _hosts, _zoniagents, _machines, _server_keys, _pool, _settings, _unexplained)
