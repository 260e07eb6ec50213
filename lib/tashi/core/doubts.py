"""Where hosts and records tell different stories, and which VMs nothing is ordered about for that.

A host's agent only ever obeys what was stored, so it can't know more than the store does, unless the store is an older
one: put back from a backup. What hosts say beyond the records is kept here, in memory; each inventory says it anew.
While a store that was put back has not been compared with all hosts (`Restored`, stored), an older VM might be anywhere
that has not reported yet: nothing is ordered about it until it was seen to run where its record has it, or until all
have reported. What differs then waits for an administrator (`divergence`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from tashi.model.vm import Desired, Vm, hosts_of
from tashi.wire.agents import Seen

if TYPE_CHECKING:
    from tashi.core.state import State


class Restored(Struct, frozen=True, omit_defaults=True):
    """The mark of a store that was put back: when, the counters that it had, and hosts that are not waited for."""

    at: str
    counters: dict[str, int] = {}
    left: tuple[str, ...] = ()


class Doubts:
    """What is not in the records. Entries that the records have caught up with are passed over by who reads."""

    def __init__(self) -> None:
        self.strays: dict[str, dict[str, Seen]] = {}  # VM -> host that has no part in it, and what it says
        self.newer: dict[str, dict[str, Seen]] = {}  # VM -> host that obeyed more than the record ever asked for
        self.missing: dict[str, tuple[str, int]] = {}  # VM -> host where it should be, and the record's generation
        self.uncompared: set[str] = set()  # hosts that have not reported since the store was put back
        self.confirmed: set[str] = set()  # VMs seen to run where their records have them, since then
        self.ahead: dict[str, int] = {}  # host -> epoch that its agent has obeyed, above ours
        self.released = False  # something may be ordered again: look at all of it

    def quiet(self) -> bool:
        return not (self.strays or self.newer or self.missing or self.uncompared)


def newest(seen: Seen) -> int:
    """The highest generation that a host has obeyed for a guest."""
    return max(seen.generation, seen.row_generation, seen.newest)


def reports(state: State, vm_id: str) -> dict[str, Seen]:
    """host -> what it says of this VM that no record explains, but for strays that an administrator left alone."""
    doubts, vm = state.doubts, state.vms.get(vm_id)
    part = hosts_of(vm) if vm is not None else []
    found: dict[str, Seen] = {}
    for host, seen in doubts.strays.get(vm_id, {}).items():
        record = state.hosts.get(host)
        if record is not None and host not in part and (vm is not None or vm_id not in record.left):
            found[host] = seen
    if vm is not None:
        beyond = doubts.newer.get(vm_id, {})
        found |= {host: seen for host, seen in beyond.items() if newest(seen) > vm.generation}
        if doubts.missing.get(vm_id, ("", -1))[1] == vm.generation:
            found.setdefault(doubts.missing[vm_id][0], Seen(vm_id, "absent"))
    return found


def differs(state: State, vm: Vm) -> str:
    """Why this record can't be believed; empty when nothing speaks against it."""
    if state.doubts.quiet():
        return ""
    hosts = reports(state, vm.id)
    if not hosts:
        return ""
    names = ", ".join(sorted(state.hosts[host].name for host in hosts if host in state.hosts))
    return f"{names} says otherwise: see tashi-divergence"


def not_compared(state: State, vm: Vm) -> str:
    """Why it is too early to order anything about this VM; empty when it is not."""
    restored: Restored | None = state.meta.get("restored")
    waits = state.doubts.uncompared
    if restored is None or not waits or vm.id in state.doubts.confirmed:
        return ""
    if int(vm.id[2:]) > restored.counters.get("vm", 0):
        return ""  # made since
    names = ", ".join(sorted(state.hosts[host].name for host in waits if host in state.hosts))
    return f"the store was put back, and {names} has not been compared with it yet"


def why_held(state: State, vm: Vm) -> str:
    """Why nothing is ordered about this VM now; empty when it may be."""
    if state.doubts.quiet():
        return ""
    return differs(state, vm) or not_compared(state, vm)


def heed(state: State, vm: Vm, host: str, seen: Seen) -> bool:
    """Whether what a host with a part in this VM says can't follow from its record; then it is noted, not followed."""
    doubts = state.doubts
    if newest(seen) > vm.generation:
        doubts.newer.setdefault(vm.id, {})[host] = seen
        return True
    if vm.id in doubts.newer and doubts.newer[vm.id].pop(host, None) is not None:
        doubts.released = True
        if not doubts.newer[vm.id]:
            del doubts.newer[vm.id]
    if doubts.missing.get(vm.id) == (host, vm.generation):
        if seen.state == "absent":
            return True
        del doubts.missing[vm.id]
        doubts.released = True
    return False


def stray(state: State, host: str, seen: Seen) -> None:
    """A host has a guest of ours that it should not have."""
    state.doubts.strays.setdefault(seen.vm, {})[host] = seen


def no_stray(state: State, host: str, vm: str) -> None:
    """It has it no more, or should have it."""
    if vm in state.doubts.strays and state.doubts.strays[vm].pop(host, None) is not None:
        state.doubts.released = True
        if not state.doubts.strays[vm]:
            del state.doubts.strays[vm]


def compare(state: State, host: str, there: dict[str, Seen]) -> set[str]:
    """A host's first inventory since the store was put back; returns VMs that should be there and are not.

    Those are noted as missing. What runs there just as its record says is beyond doubt.
    """
    restored: Restored | None = state.meta.get("restored")
    doubts = state.doubts
    if restored is None or host not in doubts.uncompared:
        return set()
    gone: set[str] = set()
    for vm_id in state.vms_of_host.get(host, ()):
        vm, seen = state.vms[vm_id], there.get(vm_id)
        if vm.host != host or vm.move is not None or vm.desired is Desired.ABSENT:
            continue
        known = vm.observed is not None and vm.observed.host == host and vm.observed.state != "absent"
        if seen is not None and seen.state == "running" and seen.generation == vm.generation:
            doubts.confirmed.add(vm_id)
        elif known and (seen is None or seen.state == "absent") and int(vm_id[2:]) <= restored.counters.get("vm", 0):
            doubts.missing[vm_id] = (host, vm.generation)
            gone.add(vm_id)
    return gone


def compared(state: State, host: str) -> None:
    """A host has been compared, or is not waited for."""
    if host in state.doubts.uncompared:
        state.doubts.uncompared.discard(host)
        state.doubts.released = state.doubts.released or not state.doubts.uncompared
