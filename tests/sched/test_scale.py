"""The cost of a placement does not grow with the cluster, and hosts are filled well."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from tashi.sched.demand import Demand, Rules
from tashi.sched.explain import most_ever
from tashi.sched.index import Index
from tashi.sched.survey import Surveyor
from tests.sched.made import GIB, cluster


def filled(hosts: int) -> Index:
    index, chance = cluster(hosts, racks=max(2, hosts // 40)), random.Random(1)
    for room in list(index.rooms.values()):
        index.claim(room.host, Demand(chance.randrange(56), chance.randrange(200) * GIB))
    return index


def steps(work: Callable[[], object]) -> int:
    """How many instructions of the interpreter this takes: the same number on every machine, however busy."""
    count = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal count
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        count += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_the_cost_does_not_grow_with_the_hosts() -> None:
    def steps_of_a_hundred(index: Index) -> int:
        chance = random.Random(2)

        def place() -> None:
            for demand in demands:
                host = index.pick(demand)
                assert host is not None
                index.claim(host, demand)

        for turn in range(2):  # the first finds out which hosts are alike, once
            demands = [
                Demand(
                    cores := chance.choice((1, 2, 4)),
                    cores * chance.choice((2, 4, 8)) * GIB,
                    rules=Rules(group := f"g{turn}-{number // 20}", (group,), spread="rack"),
                )
                for number in range(100)
            ]
            taken = steps(place)
        return taken

    few, many = steps_of_a_hundred(filled(400)), steps_of_a_hundred(filled(20_000))
    assert 0 < many < 1.1 * few


MANY = Rules("many", apart=("many",))
FEW = Demand(2, 4 * GIB)


@pytest.mark.parametrize(
    "demand",
    [
        FEW._replace(rules=MANY),
        FEW._replace(rules=Rules(apart=("many",))),
        FEW._replace(rules=Rules(away=("many",))),
        FEW._replace(rules=Rules(near=("many",))),
        FEW._replace(rules=Rules(together=("many",))),
        FEW._replace(rules=Rules("many", spread="host")),
        FEW._replace(disk=(("fast", GIB),)),
    ],
    ids=lambda demand: " ".join(f"{key}={value}" for key, value in demand.rules._asdict().items() if value),
)
def test_a_group_on_many_hosts_and_a_pool_that_none_has_cost_no_more_on_more(demand: Demand) -> None:
    """Half of all hosts have one of a group, and for another half of them there is room."""

    def steps_on(hosts: int) -> int:
        index = cluster(hosts)
        for number in range(1, hosts + 1, 2):
            index.claim(f"h-{number}", FEW._replace(rules=MANY))
        surveyor = Surveyor(index)
        surveyor.choose(demand)  # the first finds out where the group is, once

        def place() -> None:
            told = surveyor.choose(demand)
            assert (told is None) == bool(demand.disk)
            if told is not None:
                index.claim(told.best[0].host, demand)

        return steps(place)

    assert 0 < steps_on(8000) < 1.3 * steps_on(500)


def test_whether_many_could_ever_fit_is_known_from_the_first_hosts() -> None:
    def steps_on(hosts: int) -> int:
        index, demand = cluster(hosts), Demand(4, GIB)
        assert most_ever(index, demand, 40) >= 40
        return steps(lambda: most_ever(index, demand, 40))

    assert most_ever(cluster(2), Demand(4, GIB), 40) == 32
    assert 0 < steps_on(1000) < 1.1 * steps_on(10)


def test_hosts_are_filled_to_within_fifteen_hundredths_of_the_least_that_would_do() -> None:
    index, chance = cluster(100), random.Random(3)
    cores = memory = 0
    while max(cores / 64, memory / 256) < 70:
        size = chance.choices((1, 2, 4, 8, 16, 32), (35, 28, 18, 10, 6, 3))[0]
        demand = Demand(size, min(256, size * chance.choice((1, 2, 4, 8))) * GIB)
        host = index.pick(demand)
        assert host is not None, "no rejection"
        index.claim(host, demand)
        cores, memory = cores + demand.cores, memory + demand.memory_bytes // GIB
    used = sum(index.used(host) != (0, 0) for host in index.rooms)
    assert used <= 1.15 * max(cores / 64, memory / 256)
