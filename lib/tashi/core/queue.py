"""The queue: VMs that wait for a place, who of them is tried first, and who is passed by whom.

They are tried when something that kept them out has changed (`State.freed`), never on a timer; only a hold that ends
and the grace after a start that is over are looked at with each heartbeat.

Between users in turn: everybody's first request, then everybody's second. Within one user in the order of asking: a
later one never passes an earlier one, unless that waits for a certain host only. Others may pass, so that room is not
idle, but no more than PASSES times: then a host is kept for the one that waits, the one that is likely to have the room
first, and nothing else is placed there. So nobody waits for ever, and nobody keeps a whole cluster waiting.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from msgspec.structs import replace

from tashi.core import choices
from tashi.core.demands import demand_of
from tashi.core.doubts import why_held
from tashi.core.placement import NONE, PASSES, of_many, pass_earlier, place, times_passed
from tashi.core.quota import groups_of
from tashi.core.turn import Turn
from tashi.model.choice import Outcome
from tashi.model.host import Host
from tashi.model.job import JobState
from tashi.model.name import number_of
from tashi.model.shorten import shorten
from tashi.model.vm import Desired, Vm, Waiting
from tashi.sched.demand import Demand
from tashi.sched.group import in_turn
from tashi.wire.errors import Code, Refused


class Group(NamedTuple):
    """The parts of one request, which are placed together or not at all."""

    number: int  # of the operation: who asked first has the lowest
    vms: list[Vm]

    @property
    def held(self) -> bool:
        """Whether somebody asked to wait; else it only waits for hosts to report after the controller's start."""
        return self.vms[0].waiting is Waiting.HELD

    @property
    def pinned(self) -> bool:
        return bool(self.vms[0].pin)


def retry(turn: Turn) -> None:
    """Something changed that may let in those that wait: try each, in order."""
    state = turn.state
    behind: set[str] = set()  # users of whom an earlier one still waits
    hopeless: set[tuple[object, ...]] = set()  # what found no room: nothing gets free while we try
    state.freed = False
    for group in in_order(turn):
        first = group.vms[0]
        if group.held and first.owner in behind:
            turn.weighed = None
            refusal = Refused(Code.NO_ROOM, f"{first.name}: {first.owner} has asked for others before")
            if not _give_up(turn, group, refusal):
                _wait_on(turn, group, refusal.text.partition(": ")[2])
            continue
        wanted = (_asked(turn, first), first.kept, len(group.vms))
        if wanted in hopeless and not _ends(turn, first):
            behind |= {first.owner} if group.held and not group.pinned else set()
            continue
        mark, fit = state.mark(), 0
        try:
            for vm in group.vms:
                placed = place(turn, vm)
                turn.phase(placed.job, "starting")
                turn.begin_budget(placed.job)
                fit += 1
            pass_earlier(turn, first)
        except Refused as refused:
            state.rollback(mark)
            refusal = of_many(turn, group.vms, fit, refused)
            if _give_up(turn, group, refusal):
                continue
            hopeless.add(wanted)
            _wait_on(turn, group, refusal.text.partition(": ")[2])
            if group.held and not group.pinned:
                behind.add(first.owner)
    _keep_hosts(turn)
    state.freed = False


def look_at_the_clock(turn: Turn) -> None:
    """What time alone changes: a hold ends, the grace in which hosts may still report, a reservation, a bad name."""
    state = turn.state
    if any(_ends(turn, state.vms[vm]) for vm in state.waiting):
        state.freed = True
    for steady in state.troubles.pass_time(turn.now.monotonic):
        state.weigh(steady)
    for host_id in [host for host, until in state.reserved.items() if until and turn.now.wall >= until]:
        host = state.hosts[host_id]  # open to all again
        turn.put(replace(host, terms=replace(host.terms, users=(), groups=(), until_wall=0.0)))


def in_order(turn: Turn) -> list[Group]:
    """All that wait: everybody's first, then everybody's second; who asked first comes first, after any restart too."""
    return in_turn(_groups(turn), lambda group: (group.vms[0].owner, group.number))


def earlier(turn: Turn, vm: Vm) -> Vm | None:
    """The one of the same owner's that has its turn before this one; None for what waits behind none."""
    if vm.waiting is not Waiting.HELD:
        return None
    for group in in_order(turn):
        if any(each.id == vm.id for each in group.vms):
            return None
        if group.held and not group.pinned and group.vms[0].owner == vm.owner:
            return group.vms[0]
    return None


def _groups(turn: Turn) -> Iterator[Group]:
    state, seen = turn.state, set[str]()
    for vm_id in list(state.waiting):
        vm = state.vms[vm_id]
        if vm_id in seen or vm.waiting is Waiting.UNPLACED:
            continue
        job = state.jobs.get(vm.job)
        parts = state.children.get(job.parent, set()) if job is not None and job.parent else set()
        ids = [state.jobs[part].target for part in parts] or [vm_id]
        vms = sorted((state.vms[each] for each in ids if each in state.waiting), key=lambda each: number_of(each.id))
        seen.update(ids)
        if not any(why_held(state, each) for each in vms):  # it may have been placed since
            yield Group(number_of(vms[0].job), vms)


def _wait_on(turn: Turn, group: Group, reason: str) -> None:
    """Still no room: the record says why it is so now."""
    told = shorten(reason, 400)
    others = [vm for vm in group.vms if vm.waiting is Waiting.HELD and vm.reason != told]
    if others:
        decision = choices.note(turn, Outcome.HELD, others[0], told)
        for vm in others:
            turn.put(replace(turn.state.vms[vm.id], reason=told, decision=decision))
            choices.tell_job(turn, vm.job, decision)


def _ends(turn: Turn, vm: Vm) -> bool:
    """Whether its time to wait is over."""
    if vm.waiting is Waiting.PENDING:
        return not turn.state.gathering(turn.now.monotonic)
    return bool(vm.hold_until_wall) and turn.now.wall >= vm.hold_until_wall


def _give_up(turn: Turn, group: Group, refusal: Refused) -> bool:
    """Whether these wait no longer: the start's grace is over, their hold ended, or it became impossible."""
    impossible = refusal.code is Code.IMPOSSIBLE
    ended, decision = False, ""
    for vm in group.vms:
        if _ends(turn, vm) or impossible:
            reason = shorten(refusal.text.partition(": ")[2], 400)
            why = "the hold is over: " if group.held and not impossible else ""
            decision = decision or choices.note(turn, Outcome.REFUSED, vm, why + reason)
            turn.put(
                replace(
                    turn.state.vms[vm.id],
                    waiting=Waiting.NO,
                    desired=Desired.STOPPED,
                    failure=why + reason,
                    reason="",
                    kept="",
                    decision=decision,
                )
            )
            choices.tell_job(turn, vm.job, decision)
            turn.end(vm.job, JobState.FAILED, why + reason)
            ended = True
    return ended


# -- keeping a host ----------------------------------------------------------------------------------------------------
def _keep_hosts(turn: Turn) -> None:
    """A host for each that was passed often enough; another one when the former can't take anything any more."""
    state = turn.state
    for vm in [state.vms[each] for each in state.waiting]:
        if vm.waiting is not Waiting.HELD or not (vm.kept or times_passed(turn, vm) >= PASSES):
            continue
        if vm.kept and _may_get(turn, vm, vm.kept):
            continue
        free = [host for host in state.hosts if host not in state.kept and _may_get(turn, vm, host)]
        best = min(free, key=lambda host: _lacks(turn, vm, host), default="")
        if best != vm.kept:
            turn.put(replace(vm, kept=best))


def _may_get(turn: Turn, vm: Vm, host_id: str) -> bool:
    """Whether this host could take it, were it empty."""
    host: Host | None = turn.state.hosts.get(host_id)
    return (
        host is not None
        and vm.pin in ("", host_id)
        and host_id not in vm.leftovers
        and turn.state.index.could_hold(host_id, _demand(turn, vm), turn.now.wall)
    )


def _asked(turn: Turn, vm: Vm) -> Demand:
    """What two that ask for the same have in common: who asks matters to a reserved host alone."""
    demand = _demand(turn, vm)
    return demand if turn.state.reserved else demand._replace(owner="", groups=NONE)


def _demand(turn: Turn, vm: Vm) -> Demand:
    return demand_of(vm, groups_of(turn.state, vm.owner), vm.pin, frozenset(vm.leftovers))


def _lacks(turn: Turn, vm: Vm, host: str) -> tuple[float, int]:
    """How much of what it wants is still in use there, as a share; ties go to the lowest number."""
    cores, memory = turn.state.index.free(host)
    return max(1 - cores / vm.cores, 1 - memory / vm.memory_bytes, 0.0), number_of(host)
