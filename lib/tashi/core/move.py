"""Live migration: who owns the guest, decided from what both ends have proven.

Theory. One transaction raises the generation to g+1, claims the destination while the source keeps its claim, and
writes a row for each end. From then on only evidence counts: each end says whether the guest is RUNNING, PAUSED, still
MOVING, or GONE there. `VERDICTS` maps the pair to what is done; a pair that decides nothing is asked again. The source
is never resumed before the destination has proven that it has nothing that could run; the destination wins as soon as
it runs. What the destination said before the source came to its end is no proof and is asked for again.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec.structs import replace

from tashi.core import choices, copies, life
from tashi.core.placement import choose, taken_out
from tashi.core.turn import Turn
from tashi.model.choice import Outcome
from tashi.model.host import Host
from tashi.model.job import Job, JobState
from tashi.model.vm import Desired, Evidence, Leftover, Move, Moved, Observed, Vm, VmState, copies_of
from tashi.wire.agents import Seen
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted, VmMigrate


class Verdict(StrEnum):
    WAIT = "wait"  # it is under way, or nobody has said enough: ask again
    ARRIVED = "arrived"  # the destination owns it
    STAYED = "stayed"  # the source owns it
    CLEAR = "clear"  # neither runs: the destination drops its copy first
    ENDED = "ended"  # it arrived and has ended there: its disk is newer than the source's memory
    LOST = "lost"  # nothing is left on either side


THERE_ALREADY = "it is there already"
NO_FIGURES = "the source is silent: no figures"
N, M, R, P, G = Evidence.NONE, Evidence.MOVING, Evidence.RUNNING, Evidence.PAUSED, Evidence.GONE
E, OFF = Evidence.ENDED, Evidence.OFF
VERDICTS: dict[tuple[Evidence, Evidence], Verdict] = {
    # (source, destination)
    **{(source, R): Verdict.ARRIVED for source in Evidence},
    **{(source, E): Verdict.ENDED for source in (N, M, P, G, OFF)},
    **{(R, destination): Verdict.STAYED for destination in (N, M, P, G, E, OFF)},
    (P, G): Verdict.STAYED,
    (P, P): Verdict.CLEAR,
    (G, P): Verdict.CLEAR,
    (OFF, P): Verdict.CLEAR,
    (P, OFF): Verdict.LOST,  # it may have run there: what the source has in memory may be older than the disk
    **{(source, destination): Verdict.LOST for source in (G, OFF) for destination in (G, OFF)},
}


def migrate(turn: Turn, body: VmMigrate) -> Accepted:
    """tvm-migrate: to a named host, or to the one that placement would choose; or call one back."""
    vm: Vm = turn.find("vm", body.name)
    if body.abort:
        if vm.move is None:
            raise Refused(Code.WRONG_STATE, f"{vm.name}: it is not migrating")
        job = cancel(turn, vm, "vm.migrate")
        return Accepted(job=job.id, kind="vm", objects={vm.id: vm.name}, dry_run=body.dry_run)
    _check_generation(turn, vm, body.if_generation)
    target: Host | None = turn.find("host", body.to) if body.to else None
    if target is not None and target.id == vm.host:
        return _there_already(turn, vm, target, body.dry_run)
    job = begin(turn, vm, target.id if target is not None else None)
    to = turn.host_name(turn.state.vms[vm.id].move.destination)  # type: ignore[union-attr]
    return Accepted(job=job.id, kind="vm", objects={vm.id: vm.name}, placement={vm.name: to}, dry_run=body.dry_run)


def _check_generation(turn: Turn, vm: Vm, planned: int | None) -> None:
    """Refuse what was planned for another state of things, and say how they are now."""
    if planned is None or planned == vm.generation:
        return
    state, _ = turn.shown(vm)
    where = f" on {turn.host_name(vm.host)}" if vm.host else ""
    text = f"{vm.name}: it has changed since that was planned: generation {vm.generation}, not {planned}; it is "
    raise Refused(Code.CONFLICT, f"{text}{state.value}{where} now", "plan anew: tashi-balance -n")


def _there_already(turn: Turn, vm: Vm, host: Host, dry_run: bool) -> Accepted:
    """To be where it is wanted is success."""
    turn.lock(vm)
    state, _ = turn.shown(vm)
    life.step("vm", state, "migrate", vm.name)
    job = turn.begin("vm.migrate", "vm", vm.id, vm.name, owner=vm.owner)
    turn.end(job.id, JobState.DONE, THERE_ALREADY, {"from": host.name, "to": host.name})
    objects, placement = {vm.id: vm.name}, {vm.name: host.name}
    return Accepted(
        job=job.id, kind="vm", objects=objects, placement=placement, done=True, dry_run=dry_run, note=THERE_ALREADY
    )


def begin(turn: Turn, vm: Vm, to: str | None, parent: str = "") -> Job:
    """Start a migration; ``to`` None: wherever it fits. Raises Refused with the reason for each host."""
    turn.lock(vm)
    state, reason = turn.shown(vm)
    if state is VmState.UNKNOWN:
        raise Refused(Code.WRONG_STATE, f"can't migrate {vm.name}: it is unknown: {reason}")
    life.step("vm", state, "migrate", vm.name)
    if to in copies_of(vm):
        copies.refuse(turn, vm)
    if to in vm.leftovers:
        raise Refused(Code.LOCKED, f"{vm.name}: {turn.host_name(to)} is still clearing what it had of it", "try again")
    source = turn.state.hosts[vm.host]
    taken = frozenset((vm.host, *vm.leftovers))
    with taken_out(turn.state, vm):
        destination = choose(turn, vm, to or "", taken, firm=True)
    there = turn.state.hosts[destination].facts
    if source.facts is None or there is None or not there.migrate_uri:
        raise Refused(Code.IMPOSSIBLE, f"{vm.name}: {turn.host_name(destination)} says no address for migration")
    job = turn.begin(
        "vm.migrate",
        "vm",
        vm.id,
        vm.name,
        owner=vm.owner,
        parent=parent,
        budget_seconds=turn.settings.move_seconds,
        phase="copy",
    )
    decision = choices.note(turn, Outcome.PLACED, vm, job=job.id)
    turn.put(
        replace(
            vm,
            generation=vm.generation + 1,
            decision=decision,
            move=Move(source=vm.host, destination=destination),
            job=job.id,
            doing="vm.migrate",
        )
    )
    route: dict[str, str | float | int] = {"from": source.name, "to": turn.host_name(destination)}
    return turn.put(replace(job, result=route, decision=decision))  # type: ignore[no-any-return]


def evidence(turn: Turn, vm: Vm, host: str, seen: Seen, rebooted: bool, observed: Observed) -> None:
    """One end says how the guest is there."""
    assert vm.move is not None
    move = vm.move
    carried = seen.row_generation == vm.generation
    if host == move.source:
        says = _source_says(seen, carried, rebooted)
        came_to_end = says in (R, P, G) and move.source_says in (N, M)
        if came_to_end and move.destination_says is not R:
            move = replace(move, destination_says=N, ask=move.ask + 1)
        stats = seen.stats if carried else {}
        move = replace(
            move,
            source_says=says if says is not N else move.source_says,
            reason=seen.reason if says in (R, P) else move.reason,
            total_seconds=stats.get("total_seconds", move.total_seconds),
            downtime_seconds=stats.get("downtime_seconds", move.downtime_seconds),
            bytes=int(stats["bytes"]) if "bytes" in stats else move.bytes,
        )
    else:
        says = _destination_says(seen, carried, vm.generation, move.ask)
        if says is not N:
            move = replace(move, destination_says=says)
    vm = turn.put(replace(vm, move=move))
    _decide(turn, vm, observed)


def _source_says(seen: Seen, carried: bool, rebooted: bool) -> Evidence:
    if seen.moving:
        return M
    if seen.state in ("absent", "stopped"):
        return G if carried or rebooted else N
    if not carried or seen.outcome == "":
        return N  # it has not begun with the row
    return R if seen.state == "running" else P


def _destination_says(seen: Seen, carried: bool, generation: int, ask: int) -> Evidence:
    if seen.state == "running" or (seen.state == "paused" and not seen.never_ran):
        return R  # it has run here
    if seen.state == "paused":
        return P
    if seen.state == "stopped" and seen.generation == generation:
        return E  # a definition of this generation stays only where the guest has run
    # A report may be old: from an outbox, of a time before the copy came. Only the answer to our question is proof.
    return G if carried and ask and seen.answer == ask else N


def end_is_off(turn: Turn, vm: Vm, host: str) -> None:
    """One end was confirmed to be off.

    A source that is off has lost the guest for good, so from now on it is the destination's, which is asked. A
    destination that is off now may be back later, and a source that was not heard may send the guest there then: what
    the source has proven before is all that this word is joined with.
    """
    assert vm.move is not None
    if host == vm.move.source:
        move = replace(vm.move, destination_says=N, ask=vm.move.ask + 1, reason=turn.why_off(host))
        _decide(turn, turn.put(replace(vm, move=move)), vm.observed)
    else:
        _decide(turn, vm, vm.observed, destination_is_off=True)


def _decide(turn: Turn, vm: Vm, observed: Observed | None, destination_is_off: bool = False) -> None:
    assert vm.move is not None
    move = vm.move
    source_says = OFF if turn.why_off(move.source) else move.source_says
    verdict = VERDICTS.get((source_says, OFF if destination_is_off else move.destination_says), Verdict.WAIT)
    match verdict:
        case Verdict.ARRIVED:
            _arrived(turn, vm, move, observed)
        case Verdict.STAYED:
            _stayed(turn, vm, move, observed)
        case Verdict.CLEAR:
            if not move.clearing:
                turn.put(replace(vm, move=replace(move, clearing=True)))
        case Verdict.ENDED:
            generation = vm.generation + 1
            left = vm.leftovers | {move.source: Leftover(generation, only_if="paused", claim=True)}
            reason = f"it ended on {turn.host_name(move.destination)} when it had just arrived"
            vm = replace(vm, desired=Desired.STOPPED, generation=generation, move=None, leftovers=left)
            turn.put(replace(vm, host=move.destination, observed=observed, reason=reason))
            turn.end(vm.job, JobState.FAILED, reason)
        case Verdict.LOST:
            generation = vm.generation + 1
            left = vm.leftovers | {
                move.source: Leftover(generation, only_if="paused", claim=source_says is P),
                move.destination: Leftover(generation, only_if="paused"),
            }
            words = [turn.why_off(host) for host in (move.source, move.destination)]
            reason = " and ".join(filter(None, words))
            reason = reason or f"it ended while it migrated to {turn.host_name(move.destination)}"
            vm = replace(vm, desired=Desired.STOPPED, generation=generation, move=None, leftovers=left, host="")
            turn.put(replace(vm, reason=reason, observed=None))
            turn.end(vm.job, JobState.FAILED, reason)
        case Verdict.WAIT:
            turn.phase(vm.job, "switch-over" if source_says in (P, G, OFF) else "copy", move.reason)


def _arrived(turn: Turn, vm: Vm, move: Move, observed: Observed | None) -> None:
    """The record follows the guest. The source keeps its claim until it has proven that nothing is left there."""
    left = vm.leftovers | {move.source: Leftover(vm.generation, only_if="paused", claim=True)}
    moved = Moved(turn.now.wall, move.source)
    vm = replace(vm, host=move.destination, move=None, moved=moved, leftovers=left, reason="")
    # The outcome seen was that of `incoming`; the order to run it is still to come.
    there = observed if observed is not None and observed.host == move.destination else None
    turn.put(replace(vm, observed=replace(there, outcome="") if there is not None else None))
    if move.total_seconds is not None:
        _report(turn, vm.job, move.total_seconds, move.downtime_seconds, move.bytes)
    elif turn.host_unknown(move.source):
        turn.end(vm.job, JobState.DONE, NO_FIGURES)
    else:
        turn.phase(vm.job, "confirm")


def source_silent(turn: Turn, host: str) -> None:
    """Migrations that only wait for this host's figures are over without them."""
    for vm_id in sorted(turn.state.vms_of_host.get(host, ())):
        vm = turn.state.vms[vm_id]
        job = turn.state.jobs.get(vm.job)
        if host in vm.leftovers and job is not None and job.verb == "vm.migrate" and job.phase == "confirm":
            turn.end(job.id, JobState.DONE, NO_FIGURES)


def confirmed(turn: Turn, vm: Vm, host: str, seen: Seen) -> None:
    """A leftover's host obeyed. If it was the source of the migration under way, this is its end."""
    job = turn.state.jobs.get(vm.job)
    if job is None or job.verb != "vm.migrate" or job.phase != "confirm":
        return
    total, down, sent = (seen.stats.get(key) for key in ("total_seconds", "downtime_seconds", "bytes"))
    _report(turn, vm.job, total, down, int(sent) if sent is not None else None)


def _report(turn: Turn, job_id: str, total: float | None, down: float | None, sent: int | None) -> None:
    """A migration is over, with its figures; how fast it was stays with the VM, for the price of the next one."""
    job = turn.state.jobs.get(job_id)
    vm = turn.state.vms.get(job.target) if job is not None else None
    if vm is not None and vm.moved is not None and total and sent:
        turn.put(replace(vm, moved=replace(vm.moved, bytes=sent, seconds=round(total, 6))))
    figures = {"total_seconds": total, "downtime_seconds": down, "bytes": sent}
    result = dict(job.result) if job is not None else {}
    result |= {key: round(value, 6) for key, value in figures.items() if value is not None}
    turn.end(job_id, JobState.DONE, result=result)


def _stayed(turn: Turn, vm: Vm, move: Move, observed: Observed | None) -> None:
    """The source runs it under a newer generation; the destination drops what never ran."""
    generation = vm.generation + 1
    left = vm.leftovers | {move.destination: Leftover(generation, only_if="never-ran", claim=True)}
    vm = replace(vm, host=move.source, generation=generation, move=None, leftovers=left)
    here = observed is not None and observed.host == move.source
    turn.put(replace(vm, observed=observed if here else vm.observed))
    reason = turn.why_off(move.destination) or move.reason or "it did not get through"
    turn.end(vm.job, JobState.CANCELLED if move.cancelled else JobState.FAILED, reason)


def cancel(turn: Turn, vm: Vm, verb: str) -> Job:
    """Call a migration back. Past the switch-over it is too late, and the returned operation will say so."""
    assert vm.move is not None
    target: Job = turn.state.jobs[vm.job]
    if target.cancelling:
        raise Refused(Code.LOCKED, f"{vm.name}: {target.cancelling} is calling it back already")
    if target.phase == "confirm":
        raise Refused(Code.TOO_LATE, f"{vm.name}: it runs on {turn.host_name(vm.move.destination)} already")
    job = turn.begin(
        f"{verb}.abort" if verb == "vm.migrate" else verb,
        "vm",
        vm.id,
        vm.name,
        owner=vm.owner,
        phase="abort",
        budget_seconds=turn.settings.stop_seconds,
    )
    turn.put(replace(target, cancelling=job.id))
    turn.put(replace(vm, move=replace(vm.move, cancelled=True)))
    return job
