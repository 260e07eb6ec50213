"""thost-drain: every VM leaves a host, a few at a time; what can't leave is told by name.

One operation with a part for each migration. Stopped VMs only lose their definition there: their disks are shared.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import takewhile

from msgspec.structs import replace

from tashi.core import choices, life, move
from tashi.core.doubts import why_held
from tashi.core.turn import Principal, Turn
from tashi.model.choice import Outcome
from tashi.model.host import Host, HostState
from tashi.model.job import Job, JobState
from tashi.model.name import number_of
from tashi.model.shorten import shorten
from tashi.model.vm import Leftover, Vm, VmState, at_rest, copies_of
from tashi.wire.errors import Code, Refused, TashiError
from tashi.wire.messages import Accepted, HostDrain

ALL_AT_ONCE = 10**6  # in a dry run nobody waits for the first migrations


def drain(turn: Turn, body: HostDrain) -> Accepted:
    """Begin; with others they are all closed before the first VM looks for a place.

    A dry run of several counts what those before it would move: each of these requests is undone by itself.
    """
    _close(turn, body.together)
    if body.dry_run:
        for name in takewhile(lambda other: other != body.name, body.together):
            with suppress(TashiError):  # its own request is told
                _begin(turn, name, ALL_AT_ONCE)
    job = _begin(turn, body.name, ALL_AT_ONCE if body.dry_run else turn.settings.moves_per_host)
    host = turn.state.hosts[job.target]
    moving = {turn.state.vms[vm].name: _goes_to(turn, vm) for vm in turn.state.vms_of_host.get(host.id, ())}
    ended = turn.state.jobs.get(job.id) or turn.ended[-1]
    return Accepted(
        job=job.id,
        kind="host",
        objects={host.id: host.name},
        placement={name: to for name, to in sorted(moving.items()) if to},
        done=not host.job,
        dry_run=body.dry_run,
        extra=_stays(turn, ended, host) if body.dry_run else {},
    )


def _begin(turn: Turn, name: str, at_once: int) -> Job:
    """The drain of one host, with its first moves."""
    host: Host = turn.find("host", name)
    if host.job:
        raise Refused(Code.LOCKED, f"{host.name}: locked by {host.job}", f"tjob-wait {host.job}")
    state = life.step("host", host.state, "drain", host.name)
    job = turn.begin("host.drain", "host", host.id, host.name, phase="moving")
    turn.put(replace(host, state=HostState(state), job=job.id))
    advance(turn, job.id, at_once)
    return job


def _close(turn: Turn, names: list[str]) -> None:
    """Hosts whose own requests are still to come. One with an operation will refuse its own, and stays as it is."""
    for name in names:
        try:
            host: Host = turn.find("host", name)
        except TashiError:
            continue  # its own request will be told
        if host.state is HostState.NORMAL and not host.job:
            turn.put(replace(host, state=HostState(life.step("host", host.state, "drain", host.name))))


def _stays(turn: Turn, job: Job, host: Host) -> dict[str, str]:
    """Those that would not leave at once, and why."""
    waits = {name: f"it is waited for: {why}" for name, why in _waits_for(turn, job, host).items()}
    return {turn.state.vms[vm].name: str(reason) for vm, reason in job.result.items()} | waits


def _goes_to(turn: Turn, vm_id: str) -> str:
    vm = turn.state.vms[vm_id]
    return turn.host_name(vm.move.destination) if vm.move is not None else ""


def advance(turn: Turn, job_id: str, at_once: int) -> None:
    """Do the next step of a drain, ``at_once`` migrations at a time, and see whether it is over."""
    job = turn.state.jobs.get(job_id)
    if job is None or job.target not in turn.state.hosts:
        return
    host = turn.state.hosts[job.target]
    for vm in _here(turn, host):
        if vm.host != host.id or _unsettled(turn, host, vm):
            continue
        if at_rest(vm) or vm.waiting:
            _detach(turn, vm)
        elif vm.id not in job.result and not vm.job and len(_parts(turn, job)) < at_once:
            job = _move_away(turn, job, vm)
    told = "; ".join(f"{name}: {why}" for name, why in _waits_for(turn, job, host).items())
    turn.phase(job.id, "moving", shorten(f"waits for {told}", 200) if told else "")
    job = _count(turn, turn.state.jobs[job.id])
    _see_whether_over(turn, job, host)


def _here(turn: Turn, host: Host) -> list[Vm]:
    """Those of which the host has something."""
    return [turn.state.vms[vm] for vm in sorted(turn.state.vms_of_host.get(host.id, ()), key=number_of)]


def _unsettled(turn: Turn, host: Host, vm: Vm) -> str:
    """Why this one can neither leave now nor be said to stay; empty when it can."""
    if vm.host != host.id:
        return turn.why_twice(vm) if host.id in copies_of(vm) else ""
    if why := why_held(turn.state, vm):
        return why
    if at_rest(vm) or vm.waiting:
        return ""
    state, reason = turn.shown(vm)
    return f"{state}: {reason}".removesuffix(": ") if state in (VmState.STARTING, VmState.UNKNOWN) else ""


def _waits_for(turn: Turn, job: Job, host: Host) -> dict[str, str]:
    """The names of those that a drain can only wait for, and why."""
    return {vm.name: why for vm in _here(turn, host) if vm.id not in job.result and (why := _unsettled(turn, host, vm))}


def _parts(turn: Turn, job: Job) -> set[str]:
    """The migrations under way."""
    return turn.state.children.get(job.id, set())


def _count(turn: Turn, job: Job) -> Job:
    """The parts are known from the start: each VM that has to leave is one, whether its migration has begun or not."""
    to_go = {vm for vm in turn.state.vms_of_host.get(job.target, ()) if turn.state.vms[vm].host == job.target}
    to_go |= {turn.state.jobs[part].target for part in _parts(turn, job)}
    counted = replace(
        job,
        children=max(job.children, len(to_go | job.result.keys())),
        open_children=len(to_go - job.result.keys()),
        failed_children=len(job.result),
    )
    return turn.put(counted) if counted != job else job


def _detach(turn: Turn, vm: Vm) -> None:
    generation = vm.generation + 1
    left = vm.leftovers | {vm.host: Leftover(generation)}
    turn.put(replace(vm, host="", generation=generation, leftovers=left, observed=None))


def _move_away(turn: Turn, job: Job, vm: Vm) -> Job:
    """Start one part; a refusal is noted under the VM's name. Returns the drain as it is now."""
    state, reason = turn.shown(vm)
    if state is not VmState.RUNNING:
        return turn.put(replace(job, result=job.result | {vm.id: f"{state}: {reason}"}))  # type: ignore[no-any-return]
    mark = turn.state.mark()
    by = Turn(turn.state, turn.settings, turn.now, Principal(job.by, "admin"), job.why)
    by.revision = turn.revision
    try:
        move.begin(by, vm, None, parent=job.id)
    except Refused as refusal:
        turn.state.rollback(mark)
        reason = refusal.text.partition(": ")[2]
        if by.weighed is not None:
            choices.note(by, Outcome.REFUSED, vm, reason, job.id)
        return turn.put(replace(job, result=job.result | {vm.id: reason}))  # type: ignore[no-any-return]
    turn.started += by.started
    turn.chosen |= by.chosen
    return job


def part_ended(turn: Turn, part: Job) -> None:
    """A migration of a drain is over; one that failed is not tried again."""
    job = turn.state.jobs.get(part.parent)
    if job is not None and part.state is not JobState.DONE:
        turn.put(replace(job, result=job.result | {part.target: part.reason or part.state.value}))
    advance(turn, part.parent, turn.settings.moves_per_host)


def _see_whether_over(turn: Turn, job: Job, host: Host) -> None:
    if _parts(turn, job):
        return
    here = _here(turn, host)
    if not here:
        turn.put(replace(turn.state.hosts[host.id], state=HostState.DRAINED))
        turn.end(job.id, JobState.DONE)
    elif all(vm.id in job.result for vm in here):
        told = "; ".join(f"{vm.name}: {job.result[vm.id]}" for vm in here)
        turn.end(job.id, JobState.FAILED, shorten(f"still on {host.name}: {told}", 2000))
