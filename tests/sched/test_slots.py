"""Slots are as many as would be placed one after the other; groups are all or as many as fit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tashi.sched.demand import Demand, Rules, contradiction
from tashi.sched.group import place_group
from tashi.sched.index import Index
from tashi.sched.slots import slots
from tests.sched.made import GIB, cluster
from tests.sched.test_index import NOW, demands, hosts, supplies


@settings(max_examples=80, deadline=None)
@given(st.lists(supplies, min_size=1, max_size=6), st.lists(st.tuples(hosts, demands), max_size=6), demands)
def test_they_are_as_many_as_can_be_placed(there: Any, claimed: Any, demand: Demand) -> None:
    assume(not contradiction(demand))
    index = Index()
    index.pool.capacity_bytes = 7 * GIB
    for supply in there:
        index.set_host(supply)
    for host, other in claimed:
        index.claim(host, other)
    told = slots(index, demand, NOW)
    placed = 0
    while (host := index.pick(demand, NOW)) is not None:
        assert told.hosts.get(host), f"{host} was said to have room for none"
        index.claim(host, demand)
        index.pool.claim(sum(size for pool, size in demand.disk if not pool))
        placed += 1
    assert told.total == placed


def test_a_host_counts_by_its_scarcer_resource() -> None:
    index = cluster(2, cores=8, memory=8)
    index.claim("h-1", Demand(1, 7 * GIB))
    assert slots(index, Demand(2, GIB)) == (5, {"h-1": 1, "h-2": 4})
    with pytest.raises(ValueError, match="no end"):
        slots(index, Demand(0, 0))


def test_twelve_over_three_hosts_are_four_on_each() -> None:
    index = cluster(3, cores=8, memory=8)
    even = Demand(1, GIB, rules=Rules(group="web", spread="host"))
    assert None not in place_group(index, [even] * 12)
    assert index.where("web") == {"h-1": 4, "h-2": 4, "h-3": 4}


def test_a_group_is_placed_whole_or_not_at_all_unless_a_part_will_do() -> None:
    index = cluster(3, cores=8, memory=8, racks=3)
    apart = Demand(1, GIB, rules=Rules(group="web", apart=("web",)))
    assert place_group(index, [apart] * 4) == [None] * 4
    assert index.where("web") == {} and index.used("h-1") == (0, 0)
    assert place_group(index, [apart] * 4, partial=True) == ["h-1", "h-2", "h-3", None]
    assert slots(index, apart).total == 0


def test_a_full_rack_holds_the_others_back() -> None:
    index = cluster(4, cores=8, memory=8, racks=2)  # h-1 and h-3 in r1, h-2 and h-4 in r2
    for host in ("h-2", "h-4"):
        index.claim(host, Demand(7, 7 * GIB))
    even = Demand(1, GIB, rules=Rules(group="web", spread="rack"))
    assert slots(index, even).total == 5
    assert sum(host is not None for host in place_group(index, [even] * 9, partial=True)) == 5
    wide = even._replace(rules=even.rules._replace(skew=3))
    assert slots(index, wide).total == 2
