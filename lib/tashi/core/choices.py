"""Decisions of placement, remembered: each placement, hold and refusal, with what it was made from and why.

The record is stored with the claim that it explains, in the same transaction, and goes when the change log's entry of
that goes. It is on the disk only: who asks for one has it looked up first (`key_of`). What is still refused for the
same reason is no new decision; and of what is refused without leaving a record, no more is kept than `Allowance` lets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from tashi.core.turn import Turn, done_key
from tashi.model.choice import Choice, Outcome, Scored, Unfit
from tashi.model.name import kind_of_id, number_of
from tashi.model.shorten import shorten
from tashi.model.units import stamp
from tashi.model.vm import Vm
from tashi.sched.demand import Demand
from tashi.sched.explain import Verdict, asks_of, explain, size_of
from tashi.sched.survey import NO_SURVEY, Survey, nearest, survey
from tashi.wire.errors import Code, NotFound, Refused
from tashi.wire.messages import Named
from tashi.wire.placing import Decided, Judged

if TYPE_CHECKING:
    from tashi.core.state import State

REASON_MOST = 400
UNFIT_MOST = 200
THOUSAND = 1000


class Weighed(NamedTuple):
    """What was found for a demand. For ``host`` the best hosts and the counts; of none they are looked at when it is

    noted, with the hosts that came nearest.
    """

    demand: Demand = Demand(0, 0)
    host: str = ""
    best: tuple[Scored, ...] = ()
    survey: Survey = NO_SURVEY
    unfit: tuple[Unfit, ...] = ()


NOTHING = Weighed()  # it has to wait for another, and no host was looked at


def choose(turn: Turn, demand: Demand) -> str | None:
    """The id of the host that a demand gets, None when there is none; how that came about is kept in mind."""
    found = turn.state.surveyor.choose(demand, turn.now.wall)
    host = found.best[0].host if found is not None else ""
    turn.weighed = Weighed(demand, host, *found) if found is not None else Weighed(demand)
    return host or None


def note(turn: Turn, outcome: Outcome, vm: Vm, reason: str = "", job: str = "") -> str:
    """Remember what was weighed last as a decision about a VM; returns its id, for the VM's record.

    It is told by ``job``, without one by the operation that is at work on the VM, which gets to know it too.
    """
    ident = _put(turn, outcome, vm, reason, job or vm.job, vm.id)
    turn.chosen[vm.id] = ident
    return ident


def tell_job(turn: Turn, job_id: str, decision: str) -> None:
    """The operation's record names its newest decision, should its VM be gone before it ends."""
    job = turn.state.jobs.get(job_id)
    if job is not None:
        turn.state.put("job", job.id, replace(job, decision=decision))


def note_refusal(turn: Turn, refused: Refused) -> Choice | None:
    """Remember that a request found no room and left nothing; None when it failed for something else."""
    weighed = turn.weighed
    if weighed is None or weighed.host or refused.code not in (Code.NO_ROOM, Code.IMPOSSIBLE):
        return None
    name, _, reason = refused.text.partition(": ")
    vm = Vm("", name, turn.owner, "", weighed.demand.cores, weighed.demand.memory_bytes, "")
    known = [turn.state.vms[key] for key in turn.state.names["vm"].get(name, ())]
    vm = next((each for each in known if each.owner == turn.owner or turn.sees_all()), vm)
    ident = _put(turn, Outcome.REFUSED, vm, reason, "", vm.id)
    choice: Choice = turn.state.decisions[done_key(ident)]
    return choice


def _put(turn: Turn, outcome: Outcome, vm: Vm, reason: str, job_id: str, vm_id: str) -> str:
    state, weighed = turn.state, turn.weighed
    turn.weighed = None
    seen = weighed or NOTHING
    if weighed is not None and outcome is not Outcome.PLACED:
        seen = _look(turn, weighed.demand)
    demand, counts = seen.demand, seen.survey
    job = state.jobs.get(job_id)
    ident = turn.new_id("decision")
    choice = Choice(
        ident, turn.now.wall, outcome, vm_id, vm.name, vm.owner,
        job.by if job is not None else turn.who.name,
        job.verb if job is not None else turn.verb,
        job_id, seen.host, turn.revision, state.index.policy.version, vm.cores, vm.memory_bytes,
        asks_of(demand), demand.pin, tuple(sorted({*demand.exclude, *demand.kept})),
        counts.hosts, counts.open, counts.kept_out, counts.exact,
        seen.best, seen.unfit, shorten(reason, REASON_MOST) if reason else "", vm.decision,
    )  # fmt: skip
    state.put("decision", done_key(ident), choice)
    return ident


def _look(turn: Turn, demand: Demand) -> Weighed:
    """What stands against a demand that found no place. Of several, placed all or none, some would have had one."""
    index, wall = turn.state.index, turn.now.wall
    if demand.pin and not demand.fallback:
        verdicts = explain(index, demand, wall, [demand.pin]) if demand.pin in index.rooms else []
    else:
        verdicts = nearest(index, demand, wall)
    fits = tuple(Scored(each.host, each.points, dict(each.terms)) for each in verdicts if each.fits)
    unfit = tuple(_unfit(each) for each in verdicts if not each.fits)
    return Weighed(demand, "", fits, survey(index, demand, wall), unfit)


def _unfit(verdict: Verdict) -> Unfit:
    return Unfit(verdict.host, verdict.refusals[0].filter, shorten(verdict.reason, UNFIT_MOST))


# -- asked for -----------------------------------------------------------------------------------------------------
def keys_of(state: State, ref: str) -> list[str]:
    """Where the decision lies that is meant by its own id, an operation's, or a VM: several if the name is."""
    kind = kind_of_id(ref)
    if kind == "decision":
        return [done_key(ref)]
    if kind == "job":
        job = state.jobs.get(ref) or state.done.get(done_key(ref))
        vm = state.vms.get(job.target) if job is not None else None
        found = {job.decision if job is not None else "", vm.decision if vm is not None else ""} - {""}
        return [done_key(each) for each in found]
    vms = [ref] if kind == "vm" else list(state.names["vm"].get(ref, ()))
    return [done_key(state.vms[vm].decision) for vm in vms if vm in state.vms and state.vms[vm].decision]


def show(turn: Turn, body: Named) -> Decided:
    """tashi-explain --decision. Raises NotFound, also for what the caller may not see; says what was pruned."""
    ident = _named(turn, body.name)
    choice = turn.state.decisions.get(done_key(ident))
    if choice is None and 1 <= number_of(ident) <= turn.state.counted("decision"):
        text = f"{ident}: it is older than the change log, which is all that is kept of decisions"
        raise NotFound(text, "tashi-explain NAME says how it would be decided now; log_days in tashi.toml keeps more")
    if choice is None or not ((turn.sees_all() and not turn.acting) or choice.owner == turn.owner):
        raise NotFound(f"{ident}: no such decision", "tvm-list -o name,decision shows those of VMs that are there")
    return _decided(turn, choice)


def _named(turn: Turn, ref: str) -> str:
    """The id of the decision meant."""
    kind = kind_of_id(ref)
    if kind == "decision":
        return ref
    if kind == "job":
        job = turn.find("job", ref)
        ident: str = turn.decision_of(job)
        if not ident and job.children:
            hint = f"tjob-list -o id,name,decision parent={ref}"
            raise NotFound(f"{ref}: it has {job.children} parts, each with a decision of its own", hint)
        what = f"{ref}: {job.verb} has chosen no host"
    else:
        vm: Vm = turn.find("vm", ref)
        ident, what = vm.decision, f"{ref}: no host was chosen for it yet"
    if not ident:
        raise NotFound(what, "tashi-explain NAME says how it would be decided now")
    return ident


def _decided(turn: Turn, choice: Choice) -> Decided:
    hosts = [
        Judged(
            turn.host_name(each.host),
            "chosen" if at == 0 and choice.host else "fits",
            score=each.points / THOUSAND,
            terms={name: points / THOUSAND for name, points in each.terms.items()},
        )
        for at, each in enumerate(choice.best)
    ]
    hosts += [Judged(turn.host_name(each.host), "no", each.filter, reason=each.reason) for each in choice.nearest]
    size = size_of(Demand(choice.cores, choice.memory_bytes))
    return Decided(
        id=choice.id,
        at=stamp(choice.wall),
        outcome=choice.outcome,
        name=choice.name,
        vm=choice.vm,
        owner=choice.owner,
        by=choice.by,
        verb=choice.verb,
        job=choice.job,
        host=turn.host_name(choice.host),
        pin=turn.host_name(choice.pin),
        demand=f"{size}, {choice.asks}" if choice.asks else size,
        without=[turn.host_name(host) for host in choice.exclude],
        reason=choice.reason,
        hosts=choice.hosts,
        open=choice.open,
        kept_out=choice.kept_out,
        exact=choice.exact,
        verdicts=hosts,
        revision=choice.revision,
        policy_version=choice.policy,
        seed=choice.seed,
        before=choice.before,
    )
