"""A copy of a guest that its own host says runs where the record does not have it: told of, never joined by another.

It comes about when an administrator's word that a host is off was wrong. While nothing else of the VM runs or may run
the record follows the fact, as it does for a guest that somebody started by hand. Where another copy runs too, none is
ended by a guess; a start that has not been seen to succeed yet is called back.
"""

from __future__ import annotations

from msgspec.structs import replace

from tashi.core.doubts import why_held
from tashi.core.turn import Turn
from tashi.model.vm import Desired, Leftover, Observed, Vm, Waiting, at_rest, copies_of
from tashi.wire.agents import Seen
from tashi.wire.errors import Code, Refused


def seen_to_run(turn: Turn, vm: Vm, host: str, seen: Seen, obeyed: bool) -> bool:
    """Whether this word on what is left on a host proves that a copy goes on running there.

    The source of a migration may still speak of the time before it (its claim stands for that) until it has obeyed. An
    outbox is no proof of now: the host must have reported all that it has.
    """
    left = vm.leftovers[host]
    if seen.state != "running" or seen.moving or not left.only_if or turn.host_unknown(host):
        return False
    return obeyed or left.runs or not left.claim


def note(turn: Turn, vm: Vm, host: str) -> None:
    """It runs there: that is kept, claimed, and told until the host says otherwise."""
    if vm.leftovers[host].runs:
        return
    turn.put(replace(vm, leftovers=vm.leftovers | {host: replace(vm.leftovers[host], runs=True, claim=True)}))


def follow(turn: Turn, vm_id: str) -> bool:
    """What follows from a copy that runs, for the record as it is now. True when the VM was at a start to be ended."""
    vm = turn.state.vms.get(vm_id)
    copies = copies_of(vm) if vm is not None else []
    if vm is None or not copies or vm.move is not None or vm.desired is Desired.ABSENT or why_held(turn.state, vm):
        return False
    if vm.waiting or at_rest(vm):
        others = [left for host, left in vm.leftovers.items() if host != copies[0] and left.claim]
        if not others and not turn.host_unknown(copies[0]):
            _take_back(turn, vm, copies[0])
        return False
    seen = vm.observed.state if vm.observed is not None and vm.observed.host == vm.host else ""
    return vm.desired is Desired.RUNNING and seen not in ("running", "paused")


def _take_back(turn: Turn, vm: Vm, host: str) -> None:
    """Its only copy is that one. An operation that waits to start it ends when the host has it under our order."""
    generation = vm.generation + 1
    left = {other: what for other, what in vm.leftovers.items() if other != host}
    if vm.host:
        left[vm.host] = Leftover(generation)
    if vm.waiting:
        turn.phase(vm.job, "starting")
        turn.begin_budget(vm.job)
    back = replace(
        vm,
        host=host,
        desired=Desired.RUNNING,
        generation=generation,
        waiting=Waiting.NO,
        leftovers=left,
        observed=Observed(host, "running"),
        failure="",
        reason=f"{turn.host_name(host)} says that it runs there",
        hold_until_wall=0.0,
        kept="",
    )
    turn.put(back)


def way_out(turn: Turn, vm: Vm) -> str:
    """What helps."""
    names = [turn.host_name(host) for host in copies_of(vm)]
    silent = [turn.host_name(host) for host in copies_of(vm) if turn.host_unknown(host)]
    word = f", or thost-confirm-off {' '.join(silent)}, once that is off" if silent else ""
    return f"end it on {', '.join(names)} by hand{word}; tvm-destroy {vm.name} ends all of it, with its disk"


def refuse(turn: Turn, vm: Vm) -> None:
    """Raise Refused where one more of it would run beside a copy."""
    if why := turn.why_twice(vm):
        raise Refused(Code.WRONG_STATE, f"{vm.name}: {why}", way_out(turn, vm))
