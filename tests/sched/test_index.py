"""The index agrees with the oracle: on any cluster, with any rules, after any history, and after it was undone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from functools import lru_cache
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tashi.sched import crowd, kinds
from tashi.sched.crowd import others
from tashi.sched.demand import Demand, Order, Rules
from tashi.sched.index import Index
from tashi.sched.oracle import choose
from tashi.sched.policy import OPTIONAL, WEIGHTS, Policy, parse_policy
from tashi.sched.supply import Reservation, Supply
from tests.sched.made import GIB

HOSTS = [f"h-{number}" for number in (1, 2, 3, 10, 20, 21)]
GROUPS = ["blue", "red"]
NOW = 1000.0


def subset(of: list[Any], most: int = 2) -> st.SearchStrategy[frozenset[Any]]:
    return st.frozensets(st.sampled_from(of), max_size=most)


hosts = st.sampled_from(HOSTS)
groups = st.sampled_from(GROUPS)
some_groups = st.lists(groups, max_size=2, unique=True).map(tuple)
labels = st.dictionaries(st.sampled_from(["rack", "ssd"]), st.sampled_from(["1", "2"])).map(
    lambda d: frozenset(d.items())
)
versions = st.sampled_from([(), (("qemu", "8.2"),), (("qemu", "10.0"),)])
supplies = st.builds(
    Supply,
    host=hosts,
    cores=st.integers(0, 8),
    memory_bytes=st.integers(0, 8).map(lambda n: n * GIB),
    kept_cores=st.integers(0, 1),
    kept_memory_bytes=st.sampled_from([0, GIB]),
    foreign_cores=st.integers(0, 1),
    foreign_memory_bytes=st.sampled_from([0, GIB]),
    cores_ratio=st.sampled_from([Fraction(1), Fraction(4)]),
    memory_ratio=st.sampled_from([Fraction(1), Fraction(3, 2)]),
    disk=st.sampled_from([(), (("fast", 4 * GIB),)]),
    closed=st.sampled_from(["", "", "", "draining"]),
    unwell=st.sampled_from(["", "", "", "silent"]),
    features=subset(["accel=kvm", "cpu=avx2"]),
    networks=subset(["lan", "wan"]),
    labels=labels,
    versions=versions,
    reservation=st.sampled_from(
        [None, None, Reservation(users=frozenset({"ann"})), Reservation(frozenset(), frozenset({"lab"}), NOW + 10)]
    ),
    failures=st.integers(0, 5),
)
rules = st.builds(
    Rules,
    group=st.sampled_from(["", *GROUPS]),
    apart=some_groups,
    together=st.one_of(st.just(()), some_groups),
    away=some_groups,
    near=some_groups,
    spread=st.sampled_from(["", "", "rack", "host"]),
    skew=st.integers(1, 2),
)
demands = st.builds(
    Demand,
    cores=st.integers(1, 4),
    memory_bytes=st.integers(0, 4).map(lambda n: n * GIB),
    disk=st.sampled_from([(), (), (("fast", GIB),), (("", GIB),)]),
    features=st.one_of(st.just(frozenset()), subset(["accel=kvm", "cpu=avx2"])),
    networks=st.one_of(st.just(frozenset()), subset(["lan", "wan"], 1)),
    labels=st.one_of(st.just(frozenset()), labels),
    versions=st.one_of(st.just(()), versions),
    owner=st.sampled_from(["", "ann"]),
    groups=subset(["lab"], 1),
    rules=st.one_of(st.just(Rules()), rules),
    pin=st.one_of(st.just(""), st.just(""), hosts),
    fallback=st.booleans(),
    exclude=st.one_of(st.just(frozenset()), subset(HOSTS)),
    kept=st.one_of(st.just(frozenset()), subset(HOSTS, 1)),
    order=st.sampled_from([None, "pack", "spread"]),
    local=st.lists(st.tuples(hosts, st.integers(0, 3)), max_size=2).map(tuple),
)
policies = st.builds(
    parse_policy,
    st.sampled_from(["pack", "spread"]),
    st.one_of(st.none(), st.lists(st.sampled_from(OPTIONAL), unique=True).map(tuple)),
    st.fixed_dictionaries({}, optional={name: st.sampled_from([0, 0.5, 3]) for name in WEIGHTS}).filter(
        lambda w: 2 * w.get("balance", 0.25) <= w.get("order", 1)
    ),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("set"), supplies),
        st.tuples(st.just("drop"), hosts),
        st.tuples(st.just("claim"), hosts, demands),
        st.tuples(st.just("release"), st.integers(0, 30)),
        st.tuples(st.just("place"), demands, st.sampled_from([0.0, NOW, NOW + 20])),
        st.tuples(st.just("policy"), policies),
    ),
    max_size=40,
)


class Played:
    """An index, and what was done to it, so that it can be undone."""

    def __init__(self) -> None:
        self.index = Index()
        self.index.pool.capacity_bytes = 20 * GIB
        self.claims: list[tuple[str, Demand]] = []
        self.undo: list[Any] = []

    def play(self, kind: str, *args: Any) -> None:
        index = self.index
        if kind == "set":
            before = index.rooms[args[0].host].supply if args[0].host in index.rooms else None
            index.set_host(args[0])
            self.undo.append(("unset", args[0].host, before))
        elif kind == "drop":
            # As in the cluster: what is there goes first.
            for claim in [claim for claim in self.claims if claim[0] == args[0]]:
                self.release(claim)
            if args[0] in index.rooms:
                self.undo.append(("unset", args[0], index.rooms[args[0]].supply))
            index.drop_host(args[0])
        elif kind == "claim":
            self.claim((args[0], args[1]))
        elif kind == "release" and self.claims:
            self.release(self.claims[args[0] % len(self.claims)])
        elif kind == "place":
            demand, wall = args
            for _ in range(2):  # the second one alike may be answered from memory
                found = index.pick(demand, wall)
                assert found == choose(index, demand, index.policy, wall)
                if found is not None:
                    self.claim((found, demand))
        elif kind == "policy":
            self.undo.append(("policy", index.policy))
            index.set_policy(args[0])

    def claim(self, claim: tuple[str, Demand]) -> None:
        if claim[0] not in self.index.rooms:
            self.undo.append(("unset", claim[0], None))
        self.index.claim(*claim)
        self.claims.append(claim)
        self.undo.append(("release", claim))

    def release(self, claim: tuple[str, Demand]) -> None:
        self.index.release(*claim)
        self.claims.remove(claim)
        self.undo.append(("claim", claim))

    def rollback(self, mark: int) -> None:
        while len(self.undo) > mark:
            match self.undo.pop():
                case ("unset", host, None):
                    self.index.drop_host(host)
                case ("unset", _, supply):
                    self.index.set_host(supply)
                case ("release", claim):
                    self.index.release(*claim)
                    self.claims.remove(claim)
                case ("claim", claim):
                    self.index.claim(*claim)
                    self.claims.append(claim)
                case ("policy", policy):
                    self.index.set_policy(policy)


def answers(index: Index, asked: list[Demand]) -> list[str | None]:
    picked = [index.pick(demand, NOW) for demand in asked]
    assert picked == [choose(index, demand, index.policy, NOW) for demand in asked]
    return picked


@contextmanager
def crowded(large: int, kept: int = 3, facets: int = 2) -> Iterator[None]:
    """Groups on more hosts than ``large`` are crowds; few crowds and sets of labels are kept."""
    with (
        mock.patch.object(crowd, "LARGE", large),
        mock.patch.object(crowd, "CROWDS", kept),
        mock.patch.object(kinds, "FACETS", facets),
    ):
        yield


def check_crowds(index: Index) -> None:
    """Hosts of a crowd, and they alone, stand beside every shelf on which they stand; what was forgotten is gone."""
    crowds = index._crowds
    assert len(crowds._kept) <= crowd.CROWDS
    beside: dict[int, list[int]] = {room.turn: [] for room in index.rooms.values()}
    for kept in crowds._kept.values():
        rooms = [room for room in index.rooms.values() if room.place is not None and crowds._has(kept, room)]
        assert kept.turns == {room.turn for room in rooms}
        for room in rooms:
            assert room.place is not None
            for shelf in room.place.shelves:
                beside[room.turn].append(id(kept.beside[shelf]))
        for shelf, alone in kept.beside.items():
            assert set(alone.turns()) == kept.turns & set(shelf.turns())
    for room in index.rooms.values():
        if room.place is not None:
            assert sorted(map(id, room.place.beside)) == sorted(beside[room.turn])
            assert room.place.kind.trait.stocks == (room.stocks() if index.kinds.by_stock else ())


@pytest.mark.parametrize("large", [crowd.LARGE, 1, 0])
@settings(max_examples=60, deadline=None)
@given(st.lists(supplies, min_size=2, max_size=6), steps, steps, st.lists(demands, min_size=1, max_size=4))
def test_any_history_is_placed_as_the_oracle_says(
    large: int, there: Any, kept: Any, undone: Any, asked: list[Demand]
) -> None:
    with crowded(large):
        check_history(there, kept, undone, asked)


def check_history(there: Any, kept: Any, undone: Any, asked: list[Demand]) -> None:
    played = Played()
    for supply in there:
        played.index.set_host(supply)
    for step in kept:
        played.play(*step)
    before, mark, count = answers(played.index, asked), len(played.undo), len(played.claims)
    for step in undone:
        played.play(*step)
    answers(played.index, asked)
    check_crowds(played.index)
    played.rollback(mark)
    check_crowds(played.index)
    assert len(played.claims) == count
    assert answers(played.index, asked) == before, "what was undone left something"
    assert answers(again(played), asked) == before, "the choice depends on how it came about"


def again(played: Played) -> Index:
    """An index that was given the same things for the first time, in another order."""
    fresh = Index(played.index.policy)
    fresh.pool.capacity_bytes = played.index.pool.capacity_bytes
    for room in sorted(played.index.rooms.values(), key=lambda room: -room.number):
        fresh.set_host(room.supply)
    for host, demand in reversed(played.claims):
        fresh.claim(host, demand)
    return fresh


orders: list[Order] = ["pack", "spread"]
sized = lru_cache(Demand)  # one object for each size: the index remembers what was asked last
usual = st.just((2, 4))
sizes = st.one_of(usual, usual, st.tuples(st.integers(1, 40), st.integers(1, 300)))
hours = st.lists(st.one_of(sizes, sizes, st.integers(0, 50), st.tuples(st.integers(1, 5), usual)), max_size=60)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.one_of(st.just((64, 256)), st.tuples(st.integers(20, 300), st.integers(50, 2000))), min_size=2, max_size=5
    ),
    hours,
    st.sampled_from(orders),
)
def test_large_hosts_are_seen_in_grains_and_filled_exactly(has: Any, history: Any, order: Order) -> None:
    """Sizes are placed (cores, GiB), the n-th is released (n), or one is claimed on a host (host, size)."""
    index = Index(Policy(order))
    for number, (cores, memory) in enumerate(has, 1):
        index.set_host(Supply(f"h-{number}", cores, memory * GIB + 12345 * number))
    there: list[tuple[str, Demand]] = []
    for step in history:
        if isinstance(step, int):
            if there:
                index.release(*there.pop(step % len(there)))
            continue
        first, second = step
        demand = sized(*((second[0], second[1] * GIB) if isinstance(second, tuple) else (first, second * GIB)))
        host: str | None = f"h-{first % len(has) + 1}"
        if not isinstance(second, tuple):
            host = index.pick(demand)
            assert host == choose(index, demand, index.policy)
        if host is not None:
            index.claim(host, demand)
            there.append((host, demand))


def test_what_was_asked_last_is_answered_anew_when_anything_else_changes() -> None:
    one = Demand(2, 4 * GIB)

    def alike(order: Order = "pack") -> Index:
        """h-1 has one, which was asked for and placed just now."""
        index = Index(Policy(order))
        for number in (1, 2):
            index.set_host(Supply(f"h-{number}", 64, 256 * GIB))
        assert index.pick(one) == "h-1"
        index.claim("h-1", one)
        return index

    index = alike()
    assert index.pick(one) == "h-1"
    index.claim("h-2", Demand(8, 8 * GIB))
    assert index.pick(one) == "h-2", "another became fuller"
    index = alike()
    index.claim("h-2", one)
    assert index.pick(one) == "h-1"
    index.release("h-1", one)
    assert index.pick(one) == "h-2", "it became emptier"
    index = alike()
    index.set_host(Supply("h-1", 64, 256 * GIB, closed="draining"))
    assert index.pick(one) == "h-2"
    index = alike()
    index.drop_host("h-1")
    assert index.pick(one) == "h-2"
    index = alike()
    index.set_policy(Policy("spread"))
    assert index.pick(one) == "h-2"
    assert alike("spread").pick(one) == "h-2"
    index = alike()
    index.claim("h-1", Demand(62, GIB))
    assert index.pick(one) == "h-2", "it is full"


company = st.builds(
    Demand,
    cores=st.integers(1, 3),
    memory_bytes=st.integers(1, 3).map(lambda n: n * GIB),
    rules=st.builds(
        Rules,
        group=groups,
        apart=st.one_of(st.just(()), some_groups),
        together=st.one_of(st.just(()), st.just(()), some_groups),
        away=some_groups,
        near=some_groups,
        spread=st.sampled_from(["", "rack"]),
        skew=st.integers(1, 2),
    ),
    labels=st.sampled_from([frozenset(), *(frozenset({("rack", rack)}) for rack in "012")]),
    # What is not about company is as usual.
    **{
        name: st.just(value)
        for name, value in Demand(1, 1)._asdict().items()
        if name not in ("cores", "memory_bytes", "labels", "rules")
    },
)
racks = st.sampled_from([frozenset({("rack", str(rack))}) for rack in range(3)])


@pytest.mark.parametrize("large", [crowd.LARGE, 1, 0])
@settings(max_examples=120, deadline=None)
@given(st.lists(racks, min_size=3, max_size=6), st.lists(st.one_of(company, st.tuples(hosts, racks)), max_size=30))
def test_groups_are_placed_as_the_oracle_says(large: int, there: Any, history: Any) -> None:
    """Many of few groups, on hosts that are alike, while labels change below them."""
    with crowded(large):
        check_groups(there, history)


def check_groups(there: Any, history: Any) -> None:
    index = Index(parse_policy(weights={"order": 0.1, "balance": 0.05, "company": 1}))
    for host, labels_there in zip(HOSTS, there, strict=False):
        index.set_host(Supply(host, 16, 16 * GIB, labels=labels_there))
    for step in history:
        if not isinstance(step, Demand):
            index.set_host(Supply(step[0], 16, 16 * GIB, labels=step[1]))
            continue
        found = index.pick(step)
        assert found == choose(index, step, index.policy)
        if found is not None:
            after = [room.host for room in index.best(step, 2)[1:]]
            second = choose(index, step._replace(exclude=frozenset({found})), index.policy)
            assert after == ([second] if second else [])
            index.claim(found, step)
    check_crowds(index)


@given(st.sets(st.integers(-60, 0)), st.sets(st.integers(-60, 0)))
def test_what_is_not_in_the_cell_beside_is_told_in_order(cell: set[int], beside: set[int]) -> None:
    beside &= cell
    assert list(others(sorted(cell), sorted(beside))) == sorted(cell - beside, reverse=True)


@settings(max_examples=60, deadline=None)
@given(st.permutations([(3, 5), (5, 3), (3, 5), (5, 3), (5, 3)]), st.sampled_from(orders))
def test_among_equals_the_lowest_number_is_chosen(free: list[tuple[int, int]], order: Order) -> None:
    """Equal points, in other rows: what is free differs, and adds up to the same."""
    index = Index(parse_policy(order, weights={"balance": 0}))
    for number, (cores, memory) in enumerate(free, 1):
        index.set_host(Supply(f"h-{number}", 16, 16 * GIB))
        index.claim(f"h-{number}", Demand(16 - cores, (16 - memory) * GIB))
    assert index.pick(Demand(1, GIB)) == choose(index, Demand(1, GIB), index.policy) == "h-1"
