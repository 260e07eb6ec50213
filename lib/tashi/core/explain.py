"""tashi-explain and tashi-slots: placement asked about, by the same filters and weights, and nothing changed."""

from __future__ import annotations

from bisect import bisect_right

from tashi.core import queue, quota
from tashi.core.asks import wish_of
from tashi.core.demands import demand_of
from tashi.core.placement import NONE, kept_for_others, request_of, taken_out
from tashi.core.turn import Turn
from tashi.model.host import Host
from tashi.model.name import number_of
from tashi.model.vm import Vm, at_rest
from tashi.sched import slots as counted
from tashi.sched.demand import Demand
from tashi.sched.explain import Verdict, asks_of, size_of
from tashi.sched.explain import explain as judge
from tashi.sched.filters import Refusal
from tashi.wire.errors import NotFound
from tashi.wire.placing import Demanded, Explained, Judged, Slots

THOUSANDTHS = 1000
BEFORE_QUEUE = ("pin", "state", "health", "leftover")  # filters that are asked before `queue`


def explain(turn: Turn, body: Demanded) -> Explained:
    """Every host's verdict, or one's. Hosts come in order of their numbers, ``limit`` at a time, each page by merit."""
    if body.vm is None:
        return _explained(turn, body, _made(turn, body), "")
    vm: Vm = turn.find("vm", body.vm)
    here = "" if _to_be_placed(vm) else vm.host
    demand = _of(turn, body, vm)
    before = queue.earlier(turn, vm)
    with taken_out(turn.state, vm):
        demand = demand._replace(exclude=demand.exclude | {here}) if here else demand
        return _explained(turn, body, demand, here, _its_turn(turn, before) if before is not None else None)


def slots(turn: Turn, body: Demanded) -> Slots:
    """How many more there is room for."""
    demand = _made(turn, body) if body.vm is None else _of(turn, body, turn.find("vm", body.vm))
    found = counted.slots(turn.state.index, demand, turn.now.wall)
    if not body.each:
        return Slots(found.total, _words(demand))
    hosts = sorted(found.hosts, key=number_of)
    return Slots(found.total, _words(demand), {turn.host_name(host): found.hosts[host] for host in hosts})


def _its_turn(turn: Turn, before: Vm) -> Refusal:
    """What speaks against every host while an earlier one of the same owner's waits."""
    return Refusal(
        "queue", "", f"{before.owner} has asked for {before.name} before", f"tjob-cancel {request_of(turn, before)}"
    )


def _explained(turn: Turn, body: Demanded, demand: Demand, here: str, no_turn: Refusal | None = None) -> Explained:
    """``here``: the host where it is, which is judged as if it were to come there. ``no_turn``: against every host."""
    hosts, after, wall = turn.state.ordered("host"), 0, turn.now.wall
    if body.only is not None:
        only: Host = turn.find("host", body.only)
        hosts = [only.id]
    else:
        start = bisect_right(hosts, body.after, key=number_of)
        page = hosts[start : start + body.limit]
        after = number_of(page[-1]) if page and page[-1] != hosts[-1] else 0
        hosts = page
    index = turn.state.index
    chosen = index.pick(demand, wall)
    others = [host for host in hosts if host != here]
    told = [
        _judged(turn, _besides(verdict, no_turn), "chosen" if verdict.host == chosen else "fits")
        for verdict in judge(index, demand, wall, others)
    ]
    if here in hosts:
        (verdict,) = judge(index, demand._replace(exclude=demand.exclude - {here}), wall, [here])
        told.append(_judged(turn, verdict, "here", "here"))
    return Explained(_words(demand), told, after)


def _besides(verdict: Verdict, no_turn: Refusal | None) -> Verdict:
    """With what speaks against every host, at its place among the filters."""
    if no_turn is None:
        return verdict
    at = sum(each.filter in BEFORE_QUEUE for each in verdict.refusals)
    return Verdict(verdict.host, (*verdict.refusals[:at], no_turn, *verdict.refusals[at:]))


def _to_be_placed(vm: Vm) -> bool:
    """Whether it has no place now; else it would be moved."""
    return bool(vm.waiting) or at_rest(vm)


def _judged(turn: Turn, verdict: Verdict, fits: str, fits_not: str = "no") -> Judged:
    host = turn.host_name(verdict.host)
    if verdict.fits:
        terms = {name: points / THOUSANDTHS for name, points in verdict.terms}
        return Judged(host, fits, score=verdict.points / THOUSANDTHS, terms=terms)
    first = verdict.refusals[0]
    return Judged(host, fits_not, first.filter, first.wanted, first.available, verdict.reason, verdict.cure(host))


def _of(turn: Turn, body: Demanded, vm: Vm) -> Demand:
    """The demand of a VM that is there, as its next placement would ask."""
    pin = turn.find("host", body.host).id if body.host is not None else vm.pin if vm.waiting else ""
    kept = kept_for_others(turn.state, vm) if _to_be_placed(vm) else NONE
    return demand_of(vm, quota.groups_of(turn.state, vm.owner), pin, frozenset(vm.leftovers), kept)


def _made(turn: Turn, body: Demanded) -> Demand:
    """That of one that options describe."""
    pin = turn.find("host", body.host).id if body.host is not None else ""
    disk = body.disk_bytes
    if body.image is not None:
        try:
            disk = max(disk, turn.find("image", body.image).size_bytes)
        except NotFound as error:
            raise NotFound(error.text, "timg-list shows what there is") from None
    vm = Vm(
        id="",
        name="it",
        owner=turn.owner,
        image="",
        cores=body.cores,
        memory_bytes=body.memory_bytes,
        created_at="",
        wish=wish_of("it", body.asks),
    )
    kept = kept_for_others(turn.state, vm)
    return demand_of(vm, quota.groups_of(turn.state, vm.owner), pin, kept=kept, disk_bytes=disk)


def _words(demand: Demand) -> str:
    """What is asked, in one line."""
    return ", ".join(filter(None, [size_of(demand), asks_of(demand)]))
