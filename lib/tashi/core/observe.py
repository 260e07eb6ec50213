"""What an agent says of a guest, and what follows for its record.

Observations are never refused. They are ordered by (incarnation, sequence) of the agent that made them; only what an
order led to (``row_generation``, ``outcome``) must match the generation that the record has.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from tashi.core import copies, move
from tashi.core.doubts import heed
from tashi.core.turn import Turn
from tashi.model.job import JobState
from tashi.model.vm import Desired, Observed, Vm, at_rest, hosts_of
from tashi.wire.agents import Seen

STARTING = ("vm.create", "vm.start", "vm.place")


class Order(NamedTuple):
    """Where an observation stands among others of the same host."""

    incarnation: int
    seq: int
    boot_id: str
    rebooted: bool = False  # since this host's guests were seen last


def observe(turn: Turn, host: str, seen: Seen, order: Order) -> bool:
    """Take one observation in. False when no record knows the guest on this host: it is a stray."""
    vm = turn.state.vms.get(seen.vm)
    if vm is None or host not in hosts_of(vm):
        return seen.state == "absent"
    if heed(turn.state, vm, host, seen):
        return True
    if host in vm.leftovers:
        _leftover(turn, vm, host, seen, order)
    elif vm.move is not None and host in (vm.move.source, vm.move.destination):
        move.evidence(turn, vm, host, seen, order.rebooted, _observed(host, seen, order))
    else:
        _at_home(turn, vm, host, seen, order)
    if vm.leftovers and copies.follow(turn, vm.id):  # a start is under way, and would be one too many
        vm = turn.state.vms[vm.id]
        why = turn.why_twice(vm)
        stopped(turn, vm, why, failure=why)
    return True


def _observed(host: str, seen: Seen, order: Order) -> Observed:
    return Observed(
        host=host,
        state=seen.state,
        generation=seen.generation,
        row_generation=seen.row_generation,
        outcome=seen.outcome,
        reason=seen.reason,
        boot_id=order.boot_id,
        incarnation=order.incarnation,
        seq=order.seq,
    )


def _at_home(turn: Turn, vm: Vm, host: str, seen: Seen, order: Order) -> None:
    before = vm.observed if vm.observed is not None and vm.observed.host == host else None
    if before is not None and (before.incarnation, before.seq) >= (order.incarnation, order.seq):
        return
    observed = _observed(host, seen, order)
    if before is not None and at_rest(vm) and seen.state in ("stopped", "absent") and not seen.outcome:
        # It has been proven to rest; that the order to stop it is only begun does not take that back.
        observed = replace(observed, row_generation=before.row_generation, outcome=before.outcome)
    proven = vm.disk_proven or _proves_disk(vm, seen)
    same = before is not None and replace(observed, incarnation=before.incarnation, seq=before.seq) == before
    if same and proven == vm.disk_proven:
        return  # it says what it said before: no news
    vm = turn.put(replace(vm, observed=observed, disk_proven=proven))
    carried = seen.row_generation == vm.generation
    match vm.desired:
        case Desired.RUNNING:
            _wanted_running(turn, vm, seen, order, carried, before)
        case Desired.STOPPED:
            _wanted_stopped(turn, vm, seen, carried)
        case Desired.ABSENT:
            _wanted_absent(turn, vm, seen, carried)


def _proves_disk(vm: Vm, seen: Seen) -> bool:
    """Whether its disk was made, beyond doubt. A start that failed takes its disk back; one that was interrupted, or
    that is not over, may have made it or not, and its definition alone says nothing."""
    started = vm.desired is Desired.RUNNING and seen.row_generation == vm.generation and seen.outcome == "done"
    kept = seen.state == "stopped" and seen.outcome == "done"
    return bool(vm.disk) and (seen.state == "running" or started or kept)


def _wanted_running(turn: Turn, vm: Vm, seen: Seen, order: Order, carried: bool, before: Observed | None) -> None:
    if seen.state == "running":
        if seen.generation == vm.generation:
            if vm.doing in STARTING:
                turn.end(vm.job, JobState.DONE)
                vm = turn.state.vms[vm.id]
            if vm.reason or vm.failure:
                turn.put(replace(vm, reason="", failure=""))
        return
    if seen.state == "paused":
        return
    ran_here = before is not None and before.state == "running" and before.generation == vm.generation
    if carried and seen.outcome == "failed":
        turn.state.troubles.start_failed(vm.host, turn.now.monotonic)
        turn.state.weigh(vm.host)
        stopped(turn, vm, seen.reason, failure=seen.reason or "it could not be started")
    elif order.rebooted and (ran_here or (carried and seen.outcome == "done")):
        stopped(turn, vm, f"{turn.host_name(vm.host)} has booted anew; it ran there")
    elif (carried and seen.outcome == "done") or ran_here:
        stopped(turn, vm, seen.reason or ("it vanished from its host" if seen.state == "absent" else ""))


def _wanted_stopped(turn: Turn, vm: Vm, seen: Seen, carried: bool) -> None:
    if seen.state in ("stopped", "absent"):
        if vm.doing:
            turn.end(vm.job, JobState.DONE if vm.doing == "vm.shutdown" else JobState.CANCELLED, vm.reason)
    elif seen.state == "running" and carried and seen.outcome in ("done", "failed"):
        why = seen.reason if seen.outcome == "failed" else f"started on {turn.host_name(vm.host)}, not by us"
        if vm.job:
            turn.end(vm.job, JobState.FAILED, why)
        vm = turn.state.vms[vm.id]
        turn.put(replace(vm, desired=Desired.RUNNING, generation=vm.generation + 1, reason=why, failure=""))


def _wanted_absent(turn: Turn, vm: Vm, seen: Seen, carried: bool) -> None:
    if carried and seen.state == "absent" and seen.outcome == "done":
        gone(turn, turn.put(replace(vm, host="", observed=None)))
    elif carried and seen.outcome == "failed":
        turn.put(replace(vm, reason=seen.reason))
        turn.phase(vm.job, "removing", seen.reason)


def _leftover(turn: Turn, vm: Vm, host: str, seen: Seen, order: Order) -> None:
    left = vm.leftovers[host]
    obeyed = seen.row_generation >= left.generation and seen.outcome == "done"
    if obeyed:
        move.confirmed(turn, vm, host, seen)
        vm = turn.state.vms[vm.id]
    if obeyed and seen.state == "absent":
        rest = {other: what for other, what in vm.leftovers.items() if other != host}
        gone(turn, turn.put(replace(vm, leftovers=rest)))
    elif obeyed and seen.state == "stopped" and left.only_if:
        # Nothing runs there to be spared: what is left is a definition.
        turn.put(replace(vm, leftovers=vm.leftovers | {host: replace(left, only_if="", claim=False, runs=False)}))
    elif copies.seen_to_run(turn, vm, host, seen, obeyed):
        copies.note(turn, vm, host)
    elif left.claim and (order.rebooted or seen.state in ("stopped", "absent")):
        turn.put(replace(vm, leftovers=vm.leftovers | {host: replace(left, claim=False, runs=False)}))


def stopped(turn: Turn, vm: Vm, reason: str, failure: str = "") -> Vm:
    """It ended, asked or not: the record wants it stopped from now on, and the operation at work on it ends.

    ``reason`` is empty when the guest did it.
    """
    if vm.doing == "vm.shutdown":
        turn.end(vm.job, JobState.DONE, reason)
        reason = reason or "shut down as asked"
    else:
        reason = reason or "the guest ended by itself"
        turn.end(vm.job, JobState.FAILED, failure or reason)
    vm = turn.state.vms[vm.id]
    vm = replace(vm, desired=Desired.STOPPED, generation=vm.generation + 1, reason=reason, failure=failure)
    turn.put(vm)
    return vm


def gone(turn: Turn, vm: Vm) -> None:
    """Remove the record once it is wanted absent and no host has anything of it."""
    if vm.desired is Desired.ABSENT and not vm.host and not vm.leftovers and vm.move is None:
        job = vm.job
        turn.remove(vm)
        turn.end(job, JobState.DONE)
