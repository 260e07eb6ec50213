"""What keeps a demand out is counted over all hosts: the sums are those of asking every host."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tashi.sched.census import WORDS, census
from tashi.sched.demand import Demand
from tashi.sched.explain import explain
from tashi.sched.filters import FILTERS
from tashi.sched.index import Index
from tashi.sched.supply import Supply
from tests.sched.made import GIB
from tests.sched.test_index import NOW, Played, demands, steps, supplies

SIZED = (
    "cores",
    "memory",
    "disk",
    "affinity",
    "anti-affinity",
    "spread",
)  # filters that ask about what is free, and after


@settings(max_examples=80, deadline=None)
@given(st.lists(supplies, min_size=2, max_size=6), steps, st.lists(demands, min_size=1, max_size=4))
def test_what_keeps_a_demand_out_is_counted_as_every_host_says(there: Any, history: Any, asked: list[Demand]) -> None:
    played = Played()
    for supply in there:
        played.index.set_host(supply)
    for step in history:
        played.play(*step)
    index = played.index
    for demand in asked:
        told = census(index, demand, NOW)
        each = {verdict.host: verdict for verdict in explain(index, demand._replace(pin=""), NOW)}
        no = Counter(verdict.refusals[0].filter for verdict in each.values() if not verdict.fits)
        assert told.counts == no
        near = each[told.nearest] if told.nearest else None
        assert near is None or near.fits or near.refusals[0].filter in SIZED


def test_the_nearest_lacks_least() -> None:
    index = Index()
    for number in (1, 2, 3):
        index.set_host(Supply(f"h-{number}", 16, 16 * GIB, closed="draining" if number == 3 else ""))
    index.claim("h-1", Demand(10, 10 * GIB))
    index.claim("h-2", Demand(12, GIB))
    assert census(index, Demand(8, GIB)) == ({"state": 1, "cores": 2}, "h-1")
    assert census(index, Demand(8, GIB, exclude=frozenset({"h-1"}))).nearest == "h-2"
    assert census(index, Demand(1, 10 * GIB)) == ({"state": 1, "memory": 1}, "h-2")
    words = census(index, Demand(8, GIB)).words
    assert words == "2 with too few cores free, 1 drained or draining"


def test_every_filter_has_words_for_whom_it_keeps_out() -> None:
    assert list(WORDS) == list(FILTERS)
