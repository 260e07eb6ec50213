"""Where a VM goes, and the refusal that says why nowhere. Those that wait for room are in `tashi.core.queue`.

The claim is the record itself: a VM with a host holds that host's capacity from the same transaction on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from tashi.core import choices, copies, quota
from tashi.core.demands import claim_of, demand_of
from tashi.core.state import State
from tashi.core.turn import Turn
from tashi.model.choice import Outcome
from tashi.model.name import number_of
from tashi.model.shorten import shorten
from tashi.model.units import format_size
from tashi.model.vm import Leftover, Vm, Waiting, claims
from tashi.sched.demand import Demand
from tashi.sched.explain import Verdict, explain, most_ever, size_of, why_never
from tashi.sched.survey import FOR_ROOM, nearest, survey
from tashi.wire.errors import Code, Refused

PASSES = 10  # so many later ones may get a place before one that waits; then a host is kept for it
ALL = ""  # in `State.passed`: how many found a place at once while others waited; who begins to wait takes that off
NONE: frozenset[str] = frozenset()
PLACED = Waiting.NO
LASTING = ("version", "features", "networks", "labels")  # filters that look at what a host is, not at what is free
FEW_HOSTS = 8  # so many are told of one by one; of more it is counted what keeps them out


def choose(
    turn: Turn,
    vm: Vm,
    pin: str = "",
    exclude: frozenset[str] = NONE,
    kept: frozenset[str] = NONE,
    *,
    firm: bool = False,
) -> str:
    """The id of the host that takes it. Raises Refused (no-room, impossible) with hosts and their reasons.

    ``exclude``: hosts that have something of it. ``kept``: those that are kept for others. ``firm``: on the pin, or
    nowhere.
    """
    demand = demand_of(vm, quota.groups_of(turn.state, vm.owner), pin, exclude, kept, firm=firm)
    host = choices.choose(turn, demand)
    if host is None:
        raise _no_room(turn, vm.name, demand)
    return host


def kept_for_others(state: State, vm: Vm) -> frozenset[str]:
    """Hosts where this one may not be placed, because another that waits has one kept."""
    return frozenset(host for host, whose in state.kept.items() if whose != vm.id) if state.kept else NONE


@contextmanager
def taken_out(state: State, vm: Vm) -> Iterator[None]:
    """While it is asked where a VM could go it does not mind itself: nothing is counted that it holds anywhere."""
    index, claim, held = state.index, claim_of(vm), claims(vm)
    for host in held:
        index.release(host, claim)
    try:
        yield
    finally:
        for host in held:
            index.claim(host, claim)


def _no_room(turn: Turn, name: str, demand: Demand) -> Refused:
    """What no host ever has, or what some of the hosts lack now."""
    index, pin = turn.state.index, demand.pin if not demand.fallback else ""
    if not turn.state.hosts:
        return Refused(Code.NO_ROOM, f"{name}: there are no hosts", "thost-add NAME")
    if never := _never(turn, demand):
        return Refused(Code.IMPOSSIBLE, f"{name}: {never}", "thost-list shows what hosts have")
    machine = _options(demand) if turn.verb == "vm.create" else name  # of a create that is refused there is no record
    if pin:
        (verdict,) = explain(index, demand, turn.now.wall, [pin])
        hint = f"tashi-explain --host {turn.host_name(pin)} {machine} says what would help"
        code = Code.IMPOSSIBLE if _never_there(turn, demand, verdict) else Code.NO_ROOM
        return Refused(code, f"{name}: {turn.host_name(pin)}: {verdict.reason}", hint)
    text = f"{name}: no host has room for {size_of(demand)}: "
    others = [host for host in turn.state.ordered("host") if host not in demand.exclude]
    if len(others) <= FEW_HOSTS:
        verdicts = explain(index, demand, turn.now.wall, others)
        return Refused(Code.NO_ROOM, text + "; ".join(f"{turn.host_name(no.host)}: {no.reason}" for no in verdicts))
    text += f"of {len(index.rooms)} hosts {survey(index, demand, turn.now.wall).words}"
    for near in nearest(index, demand, turn.now.wall)[:1]:
        if near.refusals[0].filter in FOR_ROOM:
            text += f"; nearest is {turn.host_name(near.host)}: {near.reason}"
    return Refused(Code.NO_ROOM, text, f"tashi-explain {machine} tells of every host")


def _options(demand: Demand) -> str:
    """A demand as commands ask for it."""
    rules = demand.rules
    said = [f"--cores {demand.cores}", f"--memory {format_size(demand.memory_bytes)}"]
    said += [f"--label {key}={value}" for key, value in sorted(demand.labels)]
    said += [f"--feature {each}" for each in sorted(demand.features)]
    said += [f"--at-least {program}={least}" for program, least in demand.versions]
    for option, groups in (
        ("--group ", (rules.group,) if rules.group else ()),
        ("--anti-affinity=", rules.apart),
        ("--affinity ", rules.together),
        ("--away ", rules.away),
        ("--near ", rules.near),
    ):
        said += [option + group.partition("/")[2] for group in groups]
    said += [f"--spread {rules.spread}"] if rules.spread else []
    said += [f"--skew {rules.skew}"] if rules.spread and rules.skew > 1 else []
    return " ".join(said)


def _never(turn: Turn, demand: Demand) -> str:
    """What no host has. An enrolled one that never said what it has might have it."""
    return "" if _unmeasured(turn) else why_never(turn.state.index, demand)


def _never_there(turn: Turn, demand: Demand, verdict: Verdict) -> bool:
    """Whether this very host is not as asked, or too small, whatever gets free there."""
    facts = turn.state.hosts[verdict.host].facts
    if facts is None:
        return False
    supply = turn.state.index.rooms[verdict.host].supply
    # Guests of others may go, too.
    cores, memory = supply.core_limit + supply.foreign_cores, supply.memory_limit + supply.foreign_memory_bytes
    small = demand.cores > cores or demand.memory_bytes > memory
    return small or any(each.filter in LASTING for each in verdict.refusals)


def _unmeasured(turn: Turn) -> bool:
    return any(host.key and host.facts is None for host in turn.state.hosts.values())


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
    copies.refuse(turn, vm)
    if vm.pin in vm.leftovers:
        raise Refused(
            Code.LOCKED, f"{vm.name}: {turn.host_name(vm.pin)} is still clearing what it had of it", "try again"
        )
    # What is left on a host may be a guest paused in its past: it must be gone before this VM runs there again.
    host = choose(turn, vm, vm.pin, frozenset(vm.leftovers), kept_for_others(turn.state, vm))
    decision = choices.note(turn, Outcome.PLACED, vm)
    left = vm.leftovers
    if vm.host and vm.host != host:
        left = left | {vm.host: Leftover(vm.generation)}
    placed = replace(
        vm,
        # This host may have been told `absent` by the present one, when it had it the last time.
        generation=vm.generation + (vm.disk_made and vm.host != host),
        host=host,
        disk_made=bool(vm.disk),
        waiting=PLACED,
        leftovers=left,
        observed=vm.observed if vm.host == host else None,
        reason="",
        hold_until_wall=0.0,
        kept="",
        decision=decision,
    )
    turn.put(placed)
    return placed


def pass_all(turn: Turn) -> None:
    """One that has just come has a place: it has passed all that wait. They are not looked at one by one."""
    if turn.state.waiting:
        turn.state.put("passed", ALL, turn.state.passed.get(ALL, 0) + 1)


def pass_earlier(turn: Turn, vm: Vm) -> None:
    """One that has waited has a place: it has passed those that were there before it."""
    state = turn.state
    own = number_of(request_of(turn, vm))
    for request in {request_of(turn, state.vms[each]) for each in state.waiting if state.vms[each].job}:
        if number_of(request) < own:
            state.put("passed", request, state.passed.get(request, 0) + 1)


def times_passed(turn: Turn, vm: Vm) -> int:
    """How many that asked later have a place while this one waits, up to PASSES."""
    request, passed = request_of(turn, vm), turn.state.passed
    return min(PASSES, passed.get(ALL, 0) + passed.get(request, 0)) if request else 0


def request_of(turn: Turn, vm: Vm) -> str:
    """The operation that a VM has been part of since it was asked for: that of all parts, when there are several."""
    job = turn.state.jobs.get(vm.job)
    return (job.parent if job is not None else "") or vm.job


def place_or_wait(turn: Turn, vms: list[Vm], hold: bool, hold_seconds: float | None) -> bool:
    """Place all of them, or let all of them wait, or refuse, for want of quota too. True when they wait."""
    quota.check(turn, vms)
    mark = turn.state.mark()
    fit = 0
    try:
        for vm in vms:
            place(turn, vm)
            fit += 1
        pass_all(turn)
        return False
    except Refused as refused:
        turn.state.rollback(mark)
        refusal = of_many(turn, vms, fit, refused)
        starting_up = turn.state.gathering(turn.now.monotonic)
        if refusal.code is not Code.NO_ROOM or not (hold or starting_up):
            hints = [refusal.hint, "--hold waits for room"] if refusal.code is Code.NO_ROOM else [refusal.hint]
            raise Refused(refusal.code, refusal.text, "; ".join(filter(None, hints))) from None
        until = turn.now.wall + hold_seconds if hold and hold_seconds is not None else 0.0
        waiting = Waiting.HELD if hold else Waiting.PENDING
        reason = refusal.text.partition(": ")[2] if hold else "hosts are still reporting in"
        decision = choices.note(turn, Outcome.HELD, vms[0], reason)
        for vm in vms:
            told = shorten(reason, 400)
            turn.put(replace(vm, waiting=waiting, reason=told, hold_until_wall=until, decision=decision))
            choices.tell_job(turn, vm.job, decision)
        turn.state.put("passed", request_of(turn, vms[0]), -turn.state.passed.get(ALL, 0))
        return True


def of_many(turn: Turn, vms: list[Vm], fit: int, refusal: Refused) -> Refused:
    """The refusal of parts of one request, of which ``fit`` had room: it is all or none."""
    if len(vms) == 1 or refusal.code is not Code.NO_ROOM:
        return refusal
    demand = demand_of(vms[0], quota.groups_of(turn.state, vms[0].owner))
    most = most_ever(turn.state.index, demand, len(vms))
    if most < len(vms) and not _unmeasured(turn):
        text = f"{vms[fit].name}: all hosts together could ever hold {most} of {len(vms)}"
        return Refused(Code.IMPOSSIBLE, text, "thost-list shows what hosts have; --partial takes what fits")
    reason = refusal.text.partition(": ")[2]
    if not fit:
        return refusal
    text = f"{vms[fit].name}: room for {fit} of {len(vms)}, and it is all or none; with those placed, {reason}"
    return Refused(refusal.code, text)
