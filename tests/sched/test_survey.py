"""What is told of a choice: the next best, and how many hosts each filter keeps out."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tashi.sched import crowd
from tashi.sched.demand import Demand, Rules
from tashi.sched.filters import FILTERS, Question
from tashi.sched.index import Index
from tashi.sched.oracle import choose
from tashi.sched.supply import Supply
from tashi.sched.survey import LOOKED_AT, NEAREST, NEXT_BEST, VALUES, WORDS, Surveyor, nearest, survey
from tashi.sched.weights import terms
from tests.sched.made import GIB, cluster
from tests.sched.test_index import NOW, Played, crowded, demands, steps, supplies


def counted(index: Index, demand: Demand) -> dict[str, int]:
    """Every filter put to every host."""
    if demand.pin and not demand.fallback:
        return {"pin": len(index.rooms) - (demand.pin in index.rooms)}
    question = Question(index, demand, index.policy, NOW)
    counts: dict[str, int] = {}
    for room in index.rooms.values():
        for each in question.asked:
            looks = room.place is not None or each.name == ("state" if room.supply.closed else "health")
            if looks and each.why_not(question, room):
                counts[each.name] = counts.get(each.name, 0) + 1
    return counts


@pytest.mark.parametrize("large", [crowd.LARGE, 0])
@settings(max_examples=60, deadline=None)
@given(st.lists(supplies, min_size=2, max_size=6), steps, st.lists(demands, min_size=1, max_size=4))
def test_counts_are_those_of_every_filter_put_to_every_host(
    large: int, there: Any, kept: Any, asked: list[Demand]
) -> None:
    with crowded(large):
        check_counts(there, kept, asked)


def check_counts(there: Any, kept: Any, asked: list[Demand]) -> None:
    played = Played()
    for supply in there:
        played.index.set_host(supply)
    for step in kept:
        played.play(*step)
    for demand in asked:
        found = survey(played.index, demand, NOW)
        wanted = counted(played.index, demand)
        assert found.kept_out == wanted and found.exact
        assert list(found.kept_out) == [name for name in FILTERS if name in found.kept_out], "in the filters' order"
        assert found.hosts == len(played.index.rooms)


@pytest.mark.parametrize("large", [crowd.LARGE, 0])
@settings(max_examples=60, deadline=None)
@given(st.lists(supplies, min_size=2, max_size=6), steps, st.lists(demands, min_size=1, max_size=4))
def test_the_next_best_is_who_would_be_chosen_next(large: int, there: Any, kept: Any, asked: list[Demand]) -> None:
    with crowded(large):
        check_next_best(there, kept, asked)


def check_next_best(there: Any, kept: Any, asked: list[Demand]) -> None:
    played = Played()
    index, surveyor = played.index, Surveyor(played.index)
    for supply in there:
        index.set_host(supply)
    for step in kept:
        played.play(*step)
    for demand in asked * 2:
        for _ in range(3):
            host, told = index.pick(demand, NOW), surveyor.choose(demand, NOW)
            if host is None or told is None:
                assert host is None and told is None
                break
            assert told.survey == survey(index, demand, NOW), "kept for too long"
            wanted: list[str] = []
            but = demand
            while host != demand.pin and len(wanted) < NEXT_BEST:
                but = but._replace(exclude=but.exclude | {host, *wanted})
                other = choose(index, but, index.policy, NOW)
                if other is None:
                    break
                wanted.append(other)
            assert [each.host for each in told.best] == [host, *wanted]
            for each in told.best:
                assert each.points == sum(
                    part for _, part in terms(index, index.rooms[each.host], demand, index.policy)
                )
            assert index.pick(demand, NOW) == host, "telling of it changes nothing"
            played.claim((host, demand))


def test_the_same_again_and_again_is_told_from_memory() -> None:
    index = cluster(3, cores=8)
    surveyor, demand = Surveyor(index), Demand(2, GIB)
    first = surveyor.choose(demand)
    for _ in range(4):
        told = surveyor.choose(Demand(2, GIB))
        assert told is not None and told.best[0].host == "h-1"
        assert first is not None and told.survey is first.survey and told.best[1] is first.best[1]
        assert told.best[0].points > told.best[1].points or index.used("h-1") == (0, 0)
        assert told.survey == survey(index, demand)
        index.claim("h-1", demand)
    told = surveyor.choose(demand)
    assert told is not None and [each.host for each in told.best] == ["h-2", "h-3"]
    assert told.survey.kept_out == {"cores": 1}


def test_many_hosts_at_the_very_level_are_not_all_looked_at() -> None:
    index = cluster(100, cores=128)  # counted two by two
    for number in range(1, 101):
        index.claim(f"h-{number}", Demand(128, GIB))
    found = survey(index, Demand(2, GIB))
    assert found.kept_out == {"cores": 100} and found.exact, "they stand below it"
    found = survey(index, Demand(1, GIB))
    assert found.kept_out == {"cores": LOOKED_AT} and not found.exact


def test_of_a_group_over_many_values_not_all_are_looked_at() -> None:
    index = cluster(VALUES + 50)
    ahead = Demand(1, GIB, rules=Rules("web", spread="host"))
    for number in range(1, VALUES + 41):
        index.claim(f"h-{number}", ahead)
    found = survey(index, ahead)
    assert found.kept_out == {"spread": VALUES + 40} and not found.exact, "one is there"
    for room in list(index.rooms.values()):
        index.claim(room.host, ahead)
    found = survey(index, ahead)
    assert found.kept_out == {"spread": VALUES} and not found.exact


def test_the_nearest_have_the_least_against_them() -> None:
    index = cluster(300, cores=8, memory=8)
    for number in range(1, 301):
        index.claim(f"h-{number}", Demand(8 if number != 77 else 7, GIB))
    index.set_host(Supply("h-77", 8, 8 * GIB))
    told = nearest(index, Demand(1, 8 * GIB))
    assert len(told) == NEAREST and all(each.refusals for each in told)
    assert told[0].host == "h-77" and [each.filter for each in told[0].refusals] == ["memory"]
    assert nearest(index, Demand(9, 8 * GIB))[0].host == "h-77"
    few = cluster(2, cores=8)
    few.set_host(Supply("h-3", 8, 8 * GIB, closed="draining", unwell="silent"))
    assert [each.host for each in nearest(few, Demand(9, GIB))] == ["h-1", "h-2", "h-3"]


def test_of_those_that_lack_room_alone_the_nearest_lacks_least() -> None:
    index = Index()
    for number in (1, 2, 3):
        index.set_host(Supply(f"h-{number}", 16, 16 * GIB, closed="draining" if number == 3 else ""))
    index.claim("h-1", Demand(10, 10 * GIB))
    index.claim("h-2", Demand(12, GIB))
    assert [each.host for each in nearest(index, Demand(8, GIB))] == ["h-1", "h-2", "h-3"]
    assert nearest(index, Demand(8, GIB, exclude=frozenset({"h-1"})))[0].host == "h-2"
    assert survey(index, Demand(8, GIB)).words == "2 with too few cores free, 1 drained or draining"


def test_of_many_that_lack_memory_the_nearest_is_among_those_looked_at() -> None:
    index = cluster(200, cores=8, memory=8)
    for number in range(1, 201):
        index.claim(f"h-{number}", Demand(*((7, 2 * GIB) if number == 150 else (1, 7 * GIB))))
    assert nearest(index, Demand(1, 7 * GIB))[0].host == "h-150"


def test_every_filter_has_words_for_whom_it_keeps_out() -> None:
    assert list(WORDS) == list(FILTERS)
