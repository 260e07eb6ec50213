"""What each filter and weight says of a host, in words; what a policy may be; demands that contradict themselves."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any

import pytest

from tashi.sched.demand import Demand, Rules, contradiction
from tashi.sched.explain import Verdict, explain, why_never
from tashi.sched.filters import FILTERS
from tashi.sched.index import Index
from tashi.sched.oracle import choose
from tashi.sched.policy import ALWAYS, OPTIONAL, WEIGHTS, Policy, parse_policy
from tashi.sched.supply import Reservation, Supply
from tashi.sched.weights import WEIGHTS as WEIGHS
from tests.sched.made import GIB, cluster

HOST = Supply("h-1", 8, 8 * GIB)
ONE = Demand(1, GIB)
WEB = Rules(group="web")


def verdict(supply: Supply, demand: Demand, *there: Demand) -> Verdict:
    index = Index()
    index.pool.capacity_bytes = GIB
    index.set_host(supply)
    for other in there:
        index.claim("h-1", other)
    (only,) = explain(index, demand, 1000.0)
    assert (index.pick(demand, 1000.0) == "h-1") is only.fits
    return only


# filter: (what the host is, what is wanted of it, what is there, what is said, what would help)
SAID: list[tuple[str, Supply, Demand, list[Demand], str, str]] = [
    ("pin", HOST, ONE._replace(pin="h-2"), [], "not the host asked for", "ask for it, or for none"),
    ("state", HOST._replace(closed="draining"), ONE, [], "draining", "thost-resume {host}"),
    ("health", HOST._replace(unwell="silent since noon"), ONE, [], "silent since noon", "it must be heard, and well"),
    (
        "leftover",
        HOST,
        ONE._replace(exclude=frozenset({"h-1"})),
        [],
        "it is there, or not cleared away yet",
        "it must be cleared away there",
    ),
    (
        "queue",
        HOST,
        ONE._replace(kept=frozenset({"h-1"})),
        [],
        "kept for one that has waited long",
        "that one must have its place first",
    ),
    (
        "version",
        HOST._replace(versions=(("qemu", "8.2.1-rc1"),)),
        ONE._replace(versions=(("qemu", "8.10"),)),
        [],
        "needs qemu 8.10, 8.2.1-rc1 there",
        "upgrade qemu",
    ),
    (
        "features",
        HOST._replace(features=frozenset({"accel=tcg"})),
        ONE._replace(features=frozenset({"accel=kvm"})),
        [],
        "needs accel=kvm, it has accel=tcg",
        "another machine",
    ),
    (
        "networks",
        HOST._replace(networks=frozenset({"lan"})),
        ONE._replace(networks=frozenset({"lan", "wan"})),
        [],
        "needs network wan, it has lan",
        "connect it",
    ),
    (
        "labels",
        HOST._replace(labels=frozenset({("rack", "r1")})),
        ONE._replace(labels=frozenset({("rack", "r2")})),
        [],
        "needs label rack=r2, it has rack=r1",
        "thost-set {host} --label rack=r2",
    ),
    (
        "labels",
        HOST,
        ONE._replace(labels=frozenset({("rack", "r2"), ("disk", "ssd")})),
        [],
        "needs label disk=ssd, rack=r2, it has no such label",
        "thost-set {host} --label disk=ssd --label rack=r2",
    ),
    (
        "reservation",
        HOST._replace(reservation=Reservation(frozenset({"ann"}), frozenset({"lab"}))),
        ONE._replace(owner="bob"),
        [],
        "it is reserved for ann, lab",
        "thost-set {host} --open",
    ),
    ("cores", HOST, Demand(4, GIB), [Demand(5, GIB)], "needs 4 cores, 3 free", "1 more free"),
    ("cores", HOST, Demand(9, GIB), [], "needs 9 cores, 8 free", "8 are all that it may give"),
    ("memory", HOST, Demand(1, 2 * GIB), [Demand(1, 7 * GIB)], "needs 2G of memory, 1G free", "1G more free"),
    (
        "disk",
        HOST._replace(disk=(("fast", 2 * GIB),)),
        ONE._replace(disk=(("fast", 2 * GIB),)),
        [ONE._replace(disk=(("fast", GIB),))],
        "needs 2G in pool fast, 1G free",
        "1G more free",
    ),
    (
        "disk",
        HOST,
        ONE._replace(disk=(("", 2 * GIB),)),
        [],
        "needs 2G of disk, the pool has 1G free",
        "free disk in the pool",
    ),
    (
        "anti-affinity",
        HOST,
        ONE._replace(rules=Rules(apart=("web",))),
        [ONE._replace(rules=WEB)],
        "needs to be apart from web, one of it is there",
        "move web away",
    ),
    (
        "anti-affinity",
        HOST,
        ONE._replace(rules=WEB),
        [ONE._replace(rules=Rules(apart=("web",)))],
        "what is there must be apart from web",
        "move that away",
    ),
    (
        "spread",
        HOST,
        ONE._replace(rules=Rules(group="web", spread="rack")),
        [],
        "needs a label rack, it has none",
        "thost-set {host} --label rack=VALUE",
    ),
]


@pytest.mark.parametrize(("name", "supply", "demand", "there", "said", "cure"), SAID)
def test_a_filter_says_what_is_wanted_and_what_there_is(
    name: str, supply: Supply, demand: Demand, there: list[Demand], said: str, cure: str
) -> None:
    found = verdict(supply, demand, *there)
    assert [(each.filter, each.text, each.cure) for each in found.refusals] == [(name, said, cure)]


def test_every_filter_is_known_to_the_policy_and_gives_a_reason() -> None:
    assert set(FILTERS) == {*ALWAYS, *OPTIONAL} and all(each.reason for each in FILTERS.values())
    assert set(WEIGHS) == set(WEIGHTS) and all(each.reason for each in WEIGHS.values())
    told = {name for name, *_ in SAID} | {"affinity"}
    assert told == set(FILTERS), "each has a line above"


def test_affinity_follows_its_group_and_leads_where_there_is_none() -> None:
    index = cluster(3)
    follow = ONE._replace(rules=Rules(together=("db",)))
    assert index.pick(follow) == "h-1"
    index.claim("h-3", ONE._replace(rules=Rules(group="db")))
    assert index.pick(follow) == "h-3"
    first, *others = explain(index, follow)
    assert (first.host, first.reason) == ("h-3", "")
    assert {each.reason for each in others} == {"needs to be with db, none of it is there"}


def test_a_spread_says_how_many_are_where() -> None:
    index = cluster(2, racks=2)
    web = ONE._replace(rules=Rules(group="web", spread="rack"))
    index.claim("h-1", web)
    assert [each.reason for each in explain(index, web)] == ["", "needs at most 1 of web in rack r1, 1 are there"]


def test_a_reservation_ends_when_its_time_is_up() -> None:
    index = Index()
    index.set_host(HOST._replace(reservation=Reservation(frozenset({"ann"}), until_wall=2000.0)))
    bob = ONE._replace(owner="bob")
    assert index.pick(bob, 1999.0) is None
    assert index.pick(bob, 2000.0) == "h-1"
    assert index.pick(ONE._replace(owner="ann"), 1999.0) == "h-1"


def test_what_may_be_promised_is_what_is_not_kept_times_the_ratio_less_what_others_use() -> None:
    supply = Supply("h-1", 10, 10 * GIB, 2, 2 * GIB, Fraction(3, 2), Fraction(5, 4), 1, GIB)
    assert (supply.core_limit, supply.memory_limit) == (11, 9 * GIB)
    index = Index()
    index.set_host(supply)
    assert verdict(supply, Demand(11, 9 * GIB)).fits
    assert not verdict(supply, Demand(12, GIB)).fits
    assert index.free("h-1") == (11, 9 * GIB)


def test_weights_choose_among_hosts_that_fit() -> None:
    index = cluster(4)
    index.claim("h-2", Demand(8, 32 * GIB, rules=Rules(group="db")))
    assert index.pick(ONE) == "h-2", "the fullest"
    assert index.pick(ONE._replace(order="spread")) == "h-1", "the emptiest"
    assert index.pick(ONE._replace(rules=Rules(away=("db",)))) == "h-1"
    assert index.pick(ONE._replace(local=(("h-4", GIB), ("h-3", GIB // 2)))) == "h-4", "where its data is"
    index.set_host(Supply("h-2", 64, 256 * GIB, failures=2))
    assert index.pick(ONE) == "h-1", "starts failed on h-2 lately"
    assert index.pick(ONE._replace(rules=Rules(near=("db",)))) == "h-2"


def test_a_group_is_not_kept_waiting_by_a_host_without_its_pool() -> None:
    index, web = cluster(2), ONE._replace(disk=(("fast", GIB),), rules=Rules("web", spread="host"))
    index.set_host(Supply("h-2", 64, 256 * GIB, disk=(("fast", 4 * GIB),)))
    index.claim("h-2", web)
    assert index.pick(web) == choose(index, web, index.policy) == "h-2", "h-1 is no place that could be even with it"


def test_balance_keeps_cores_and_memory_together() -> None:
    index = cluster(2, policy=parse_policy(weights={"order": 1, "balance": 0.5}))
    index.claim("h-1", Demand(30, 90 * GIB))
    index.claim("h-2", Demand(20, 120 * GIB))
    assert index.pick(Demand(8, 8 * GIB)) == "h-2", "which has cores to spare"
    assert index.pick(Demand(1, 64 * GIB)) == "h-1", "which has memory to spare"


def test_spread_looks_at_own_disks_for_those_that_want_much_of_them() -> None:
    index = cluster(2, policy=parse_policy("spread"))
    for host in ("h-1", "h-2"):
        index.set_host(Supply(host, 64, 256 * GIB, disk=(("fast", 1024 * GIB),)))
    large, small = (ONE._replace(disk=(("fast", size * GIB),)) for size in (256, 1))
    assert index.pick(large) == "h-1", "nothing is anywhere"
    index.claim("h-1", large)
    index.claim("h-2", Demand(8, 32 * GIB, small.disk))
    assert index.pick(large) == "h-2", "whose disk is emptier, though all else is fuller"
    assert index.pick(small) == "h-1", "whose cores and memory are"
    assert index.pick(small._replace(order="pack")) == "h-2", "disks are not packed"
    index.release("h-1", large)
    assert index.pick(large) == "h-1", "where it is free again"


def test_a_pin_with_a_fallback_is_a_wish() -> None:
    index = cluster(2)
    pinned = ONE._replace(pin="h-2", fallback=True)
    assert index.pick(pinned) == "h-2" == explain(index, pinned)[0].host
    index.set_host(Supply("h-2", 64, 256 * GIB, closed="draining"))
    assert index.pick(pinned) == "h-1"
    assert index.pick(pinned._replace(fallback=False)) is None


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"order": "best"}, "order 'best' is not one of pack, spread"),
        ({"filters": ("rack",)}, "'rack': no such filter; those that may be named are version, "),
        ({"filters": ("cores",)}, "cores always asks; those that may be named are "),
        ({"weights": {"cheap": 1}}, "'cheap': no such weight; there are order, balance, disk, company, data, "),
        ({"weights": {"data": -1}}, "weight data: -1 is not a number from 0 to 1000"),
        ({"weights": {"data": True}}, "weight data: True is not a number"),
        ({"weights": {"balance": 0.6}}, "weight balance is more than half of order"),
    ],
)
def test_a_wrong_policy_is_refused_by_name(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}"):
        parse_policy(**given)


def test_a_filter_that_a_policy_leaves_out_does_not_ask() -> None:
    wants = ONE._replace(labels=frozenset({("rack", "r9")}))
    index = cluster(1)
    assert index.pick(wants) is None
    index.set_policy(parse_policy(filters=tuple(name for name in OPTIONAL if name != "labels")))
    assert index.pick(wants) == "h-1"
    assert parse_policy() == Policy()


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        (ONE._replace(rules=Rules(apart=("a", "b"), together=("b",))), "it can't be with b and apart from it"),
        (ONE._replace(rules=Rules(spread="rack")), "it is in no group"),
        (ONE._replace(rules=Rules(group="a", spread="rack", skew=0)), "a skew of 0"),
        (ONE._replace(labels=frozenset({("rack", "a"), ("rack", "b")})), "label rack can't be all of a, b"),
        (ONE._replace(pin="h-1", exclude=frozenset({"h-1"})), "on a host that it must leave"),
        (
            ONE._replace(features=frozenset({"firmware=bios", "firmware=uefi"})),
            "can't have firmware=bios and firmware=",
        ),
        (ONE, "^$"),
    ],
)
def test_a_contradiction_is_named(demand: Demand, said: str) -> None:
    assert re.search(said, contradiction(demand))


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        (ONE._replace(disk=(("tape", GIB),)), "no host has a pool tape"),
        (ONE._replace(disk=(("fast", 3 * GIB),)), "no host's pool fast could ever hold 3G"),
        (Demand(9, GIB, (("fast", GIB),)), "no host with 1G in pool fast could ever hold 9 cores and 1G of memory"),
        (Demand(9, GIB), ""),
        (ONE._replace(disk=(("fast", 2 * GIB), ("", 99 * GIB))), ""),
    ],
)
def test_a_pool_that_no_host_has_is_never_there(demand: Demand, said: str) -> None:
    index = cluster(2, cores=16, memory=16)
    index.set_host(HOST._replace(disk=(("fast", 2 * GIB),)))
    index.claim("h-1", ONE._replace(disk=(("fast", 2 * GIB),)))
    assert why_never(index, demand) == said


def test_a_pin_does_not_overrule_a_rule() -> None:
    index = cluster(3)
    index.claim("h-3", ONE._replace(rules=Rules(group="db")))
    follow = ONE._replace(pin="h-2", rules=Rules(together=("db",)))
    assert index.pick(follow) is None
    assert index.pick(follow._replace(fallback=True)) == "h-3"
    assert index.pick(follow._replace(pin="h-3")) == "h-3"


def test_empty_hosts_are_left_in_every_rack() -> None:
    """Hosts come rack by rack; a cluster that is half full of whole-host VMs still has room in each rack."""
    index = Index()
    for number in range(1, 101):
        index.set_host(Supply(f"h-{number}", 8, 8 * GIB, labels=frozenset({("rack", f"r{(number - 1) // 20}")})))
    whole = Demand(8, 8 * GIB)
    for _ in range(50):
        host = index.pick(whole)
        assert host is not None
        index.claim(host, whole)
    racks = [index.rooms[host].labels["rack"] for host in index.rooms if index.used(host) == (0, 0)]
    assert set(racks) == {f"r{number}" for number in range(5)}
