"""tashi-explain and tashi-slots: placement asked about, by the same filters and weights, and nothing changed."""

from __future__ import annotations

from itertools import islice

from tashi.core import quota
from tashi.core.asks import wish_of
from tashi.core.demands import demand_of
from tashi.core.turn import Turn
from tashi.model.host import Host
from tashi.model.name import number_of
from tashi.model.vm import Vm, at_rest
from tashi.sched import slots as counted
from tashi.sched.demand import Demand
from tashi.sched.explain import Verdict, size_of
from tashi.sched.explain import explain as judge
from tashi.wire.errors import NotFound
from tashi.wire.placing import Demanded, Explained, Judged, Slots

THOUSANDTHS = 1000


def explain(turn: Turn, body: Demanded) -> Explained:
    """Every host's verdict, or one's. Hosts come in order of their numbers, ``limit`` at a time, each page by merit."""
    demand, hosts, after = _demand(turn, body), turn.state.ordered("host"), 0
    if body.only is not None:
        only: Host = turn.find("host", body.only)
        hosts = [only.id]
    else:
        page = list(islice((host for host in hosts if number_of(host) > body.after), body.limit))
        after = number_of(page[-1]) if page and page[-1] != hosts[-1] else 0
        hosts = page
    chosen = turn.state.index.pick(demand, turn.now.wall)
    verdicts = judge(turn.state.index, demand, turn.now.wall, hosts)
    return Explained(_words(demand), [_judged(turn, verdict, chosen) for verdict in verdicts], after)


def slots(turn: Turn, body: Demanded) -> Slots:
    """How many more there is room for."""
    demand = _demand(turn, body)
    found = counted.slots(turn.state.index, demand, turn.now.wall)
    if not body.each:
        return Slots(found.total, _words(demand))
    hosts = sorted(found.hosts, key=number_of)
    return Slots(found.total, _words(demand), {turn.host_name(host): found.hosts[host] for host in hosts})


def _judged(turn: Turn, verdict: Verdict, chosen: str | None) -> Judged:
    host = turn.host_name(verdict.host)
    if verdict.fits:
        terms = {name: points / THOUSANDTHS for name, points in verdict.terms}
        word = "chosen" if verdict.host == chosen else "fits"
        return Judged(host, word, score=verdict.points / THOUSANDTHS, terms=terms)
    first = verdict.refusals[0]
    return Judged(host, "no", first.filter, first.wanted, first.available, verdict.reason, verdict.cure)


def _demand(turn: Turn, body: Demanded) -> Demand:
    """The demand of a VM that is there, as its next placement would ask; or one made of options."""
    pin = turn.find("host", body.host).id if body.host is not None else ""
    if body.vm is None:
        return _made(turn, body, pin)
    vm: Vm = turn.find("vm", body.vm)
    there = frozenset(vm.leftovers)
    if vm.host and not at_rest(vm):
        there |= {vm.host}  # where it could migrate to
    elif not pin and vm.waiting:
        pin = vm.pin
    return demand_of(vm, quota.groups_of(turn.state, vm.owner), pin, there)


def _made(turn: Turn, body: Demanded, pin: str) -> Demand:
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
    return demand_of(vm, quota.groups_of(turn.state, vm.owner), pin, disk_bytes=disk)


def _words(demand: Demand) -> str:
    """What is asked, in one line."""
    rules = demand.rules
    asks = [f"{key}={value}" for key, value in sorted(demand.labels)] + sorted(demand.features)
    for words, groups in (
        ("apart from", rules.apart),
        ("with", rules.together),
        ("away from", rules.away),
        ("near", rules.near),
    ):
        asks += [f"{words} {group}" for group in groups]
    if rules.spread:
        asks.append(f"spread over {rules.spread}")
    return ", ".join([size_of(demand), *asks])
