"""Which hosts have to do something before a VM that is to be gone is gone."""

from __future__ import annotations

from msgspec.structs import replace

from tashi.core.turn import Turn
from tashi.model.vm import Leftover, Vm
from tashi.wire.errors import Code, Refused


def to_be_removed(
    turn: Turn, vm: Vm, generation: int, host: str, left: dict[str, Leftover]
) -> tuple[str, dict[str, Leftover]]:
    """(host that has it, leftovers): those that are asked. One that is off is not waited for: its record notes what it

    is told should it come back. Where nobody else is left, any host deletes the disk.
    """
    off = {each for each in (host, *left) if each and turn.why_off(each)}
    left = {each: what for each, what in left.items() if each not in off}
    host = "" if host in off else host
    if vm.disk_made and not host and not left:
        left = {_deleter(turn): Leftover(generation)}
    for each in sorted(off - left.keys()):
        record = turn.state.hosts[each]
        turn.put(replace(record, buried=record.buried | {vm.id: generation}))
    return host, left


def _deleter(turn: Turn) -> str:
    """A host to delete the disk of a VM that is on none: one that is heard, or may be, if there is one."""
    hosts = turn.state.hosts
    if not hosts:
        raise Refused(Code.UNAVAILABLE, "there is no host that could delete its disk", "thost-add NAME")
    return min(hosts, key=lambda host: (bool(turn.why_off(host)), bool(turn.host_unknown(host)), int(host[2:])))
