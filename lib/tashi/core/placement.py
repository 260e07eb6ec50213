"""Where a VM goes, the refusal that says why nowhere, and the queue of those that wait.

The claim is the record itself: a VM with a host holds that host's capacity from the same transaction on.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from tashi.core import quota
from tashi.core.doubts import why_held
from tashi.core.turn import Turn
from tashi.model.job import JobState
from tashi.model.units import format_size
from tashi.model.vm import Desired, Leftover, Vm, Waiting
from tashi.wire.errors import Code, Refused

NAMED_HOSTS = 20  # a refusal names so many hosts, and counts the rest


def choose(
    turn: Turn, name: str, cores: int, memory_bytes: int, pin: str | None = None, exclude: frozenset[str] = frozenset()
) -> str:
    """The id of the host that takes it. Raises Refused (no-room, impossible) with each host and its reason."""
    index = turn.state.index
    if pin is not None:
        host = pin if pin not in exclude and index.fits(pin, cores, memory_bytes) else None
    else:
        host = index.pick(cores, memory_bytes, turn.settings.policy, exclude)
    if host is None:
        raise _no_room(turn, name, cores, memory_bytes, exclude, pin)
    return host


def _no_room(turn: Turn, name: str, cores: int, memory_bytes: int, exclude: frozenset[str], pin: str | None) -> Refused:
    index, wish = turn.state.index, _wish(cores, memory_bytes)
    if not turn.state.hosts:
        return Refused(Code.NO_ROOM, f"{name}: there are no hosts", "thost-add NAME")
    if _never_fits(turn, cores, memory_bytes):
        return Refused(Code.IMPOSSIBLE, f"{name}: no host could ever hold {wish}", "thost-list shows what hosts have")
    reasons = index.explain(cores, memory_bytes, exclude, pin)
    reasons = {host: reason for host, reason in reasons.items() if host not in exclude or host == pin}
    if pin is not None:
        hint = f"thost-list {turn.host_name(pin)} shows its state"
        return Refused(Code.NO_ROOM, f"{name}: {turn.host_name(pin)}: {reasons.get(pin, 'it is not usable')}", hint)
    told = [f"{turn.host_name(host)}: {reason}" for host, reason in list(reasons.items())[:NAMED_HOSTS]]
    if len(reasons) > NAMED_HOSTS:
        told.append(f"and {len(reasons) - NAMED_HOSTS} more hosts")
    return Refused(Code.NO_ROOM, f"{name}: no host has room for {wish}: " + "; ".join(told))


def _wish(cores: int, memory_bytes: int) -> str:
    return f"{cores} {'core' if cores == 1 else 'cores'} and {format_size(memory_bytes)} of memory"


def _never_fits(turn: Turn, cores: int, memory_bytes: int) -> bool:
    """Whether no host is large enough. An enrolled one that never said what it has might be."""
    if turn.state.index.ever_fits(cores, memory_bytes):
        return False
    return not any(host.key and host.facts is None for host in turn.state.hosts.values())


def check_disk(turn: Turn, name: str, disk_bytes: int, count: int) -> None:
    """Refuse disk that the pool does not have."""
    state = turn.state
    if not state.pool.ever_fits(disk_bytes):
        raise Refused(
            Code.IMPOSSIBLE,
            f"{name}: {format_size(disk_bytes)} of disk, the whole pool has {format_size(state.pool.capacity_bytes)}",
        )
    why_not = state.pool.why_not(disk_bytes * count)
    if why_not:
        raise Refused(Code.NO_ROOM, f"{name}: {why_not}", "tvm-destroy frees disk")


def place(turn: Turn, vm: Vm) -> Vm:
    """Give a VM its host. What an earlier host still has of it is told to go, its disk stays."""
    if vm.pin in vm.leftovers:
        raise Refused(
            Code.LOCKED, f"{vm.name}: {turn.host_name(vm.pin)} is still clearing what it had of it", "try again"
        )
    # What is left on a host may be a guest paused in its past: it must be gone before this VM runs there again.
    host = choose(turn, vm.name, vm.cores, vm.memory_bytes, vm.pin or None, frozenset(vm.leftovers))
    left = vm.leftovers
    if vm.host and vm.host != host:
        left = left | {vm.host: Leftover(vm.generation)}
    placed = replace(
        vm,
        # This host may have been told `absent` by the present one, when it had it the last time.
        generation=vm.generation + (vm.disk_made and vm.host != host),
        host=host,
        disk_made=bool(vm.disk),
        waiting=Waiting.NO,
        leftovers=left,
        observed=vm.observed if vm.host == host else None,
        reason="",
        hold_until_wall=0.0,
    )
    turn.put(placed)
    return placed


def place_or_wait(turn: Turn, vms: list[Vm], hold: bool, hold_seconds: float | None) -> bool:
    """Place all of them, or let all of them wait, or refuse, for want of quota too. True when they wait."""
    quota.check(turn, vms)
    mark = turn.state.mark()
    fit = 0
    try:
        for vm in vms:
            place(turn, vm)
            fit += 1
        return False
    except Refused as refused:
        turn.state.rollback(mark)
        refusal = refused if not fit else _some_fit(vms[fit].name, fit, len(vms), refused)
        starting_up = turn.state.gathering(turn.now.monotonic)
        if refusal.code is not Code.NO_ROOM or not (hold or starting_up):
            raise Refused(refusal.code, refusal.text, refusal.hint or "--hold waits for room") from None
        until = turn.now.wall + hold_seconds if hold and hold_seconds is not None else 0.0
        waiting = Waiting.HELD if hold else Waiting.PENDING
        reason = refusal.text.partition(": ")[2] if hold else "hosts are still reporting in"
        for vm in vms:
            turn.put(replace(vm, waiting=waiting, reason=reason[:400], hold_until_wall=until))
        return True


def _some_fit(name: str, fit: int, wanted: int, refusal: Refused) -> Refused:
    """The refusal of many: the room is there for some, and it is all or none."""
    reason = refusal.text.partition(": ")[2]
    return Refused(
        refusal.code, f"{name}: room for {fit} of {wanted}, and it is all or none; with those placed, {reason}"
    )


def retry_waiting(turn: Turn) -> None:
    """Capacity came back, or hosts did: try those that wait, first come first served.

    The first held one that does not fit keeps back those held after it, so that none is passed for ever; one that
    waits for a certain host only keeps nobody back, and a pending one is nobody's to keep: it only waited for hosts to
    report. The parts of one request are placed together or not at all.
    """
    state = turn.state
    state.freed = False
    blocked = False
    for group in _groups(turn):
        held = group[0].waiting is Waiting.HELD
        if held and blocked:
            _give_up(turn, group, Refused(Code.NO_ROOM, f"{group[0].name}: others have waited for room longer"))
            continue
        mark = state.mark()
        try:
            for vm in group:
                placed = place(turn, vm)
                turn.phase(placed.job, "starting")
                turn.begin_budget(placed.job)
        except Refused as refusal:
            state.rollback(mark)
            if _give_up(turn, group, refusal):
                continue
            blocked = blocked or (held and not group[0].pin)
    state.freed = False


def _groups(turn: Turn) -> Iterator[list[Vm]]:
    """Those that wait, in order of their operations: who asked first comes first, after any restart too."""
    seen: set[str] = set()
    for vm_id in sorted(turn.state.waiting, key=lambda each: int(turn.state.vms[each].job[2:] or 0)):
        vm = turn.state.vms.get(vm_id)
        if vm is None or vm_id in seen or vm.waiting in (Waiting.NO, Waiting.UNPLACED):
            continue
        job = turn.state.jobs.get(vm.job)
        parts = turn.state.children.get(job.parent, set()) if job is not None and job.parent else set()
        ids = [turn.state.jobs[part].target for part in parts] or [vm_id]
        group = [turn.state.vms[i] for i in ids if i in turn.state.waiting]
        seen.update(ids)
        if any(why_held(turn.state, each) for each in group):
            continue  # it may have been placed since
        yield sorted(group, key=lambda each: int(each.id[2:]))


def _give_up(turn: Turn, group: list[Vm], refusal: Refused) -> bool:
    """Whether these can't wait any longer: the start's grace is over, their hold ended, or it became impossible."""
    impossible = refusal.code is Code.IMPOSSIBLE
    ended = False
    for vm in group:
        over = vm.waiting is Waiting.PENDING and not turn.state.gathering(turn.now.monotonic)
        over = over or bool(vm.hold_until_wall and turn.now.wall >= vm.hold_until_wall)
        if over or impossible:
            reason = refusal.text.partition(": ")[2][:400]
            why = "the hold is over: " if vm.waiting is Waiting.HELD and not impossible else ""
            job = vm.job
            turn.put(
                replace(
                    vm,
                    waiting=Waiting.NO,
                    desired=Desired.STOPPED,
                    failure=why + reason,
                    reason="",
                )
            )
            turn.end(job, JobState.FAILED, why + reason)
            ended = True
    return ended
