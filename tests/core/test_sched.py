"""The placement index agrees with the oracle on any history, says why not, and stays fast."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tashi.sched.index import Index, Policy
from tashi.sched.oracle import View, choose
from tashi.sched.pool import Pool

HOSTS = [f"h-{number}" for number in (1, 2, 3, 10, 20)]
GIB = 2**30

host = st.sampled_from(HOSTS)
cores = st.integers(0, 6)
memory = st.integers(0, 6)
step = st.one_of(
    st.tuples(st.just("set"), host, cores, memory, st.booleans()),
    st.tuples(st.just("drop"), host),
    st.tuples(st.just("claim"), host, cores, memory),
    st.tuples(st.just("release"), st.integers(0, 30)),
    st.tuples(
        st.just("place"),
        st.integers(1, 5),
        memory,
        st.sampled_from(["pack", "spread"]),
        st.frozensets(host, max_size=2),
    ),
)


class Plain:
    """The same history, kept in plain dictionaries."""

    def __init__(self) -> None:
        self.hosts: dict[str, tuple[int, int, bool]] = {}
        self.claims: list[tuple[str, int, int]] = []

    def views(self) -> list[View]:
        return [
            View(
                name,
                has_cores - sum(c for at, c, _ in self.claims if at == name),
                has_memory - sum(m for at, _, m in self.claims if at == name),
                eligible,
            )
            for name, (has_cores, has_memory, eligible) in self.hosts.items()
        ]


@settings(max_examples=300, deadline=None)
@given(st.lists(step, max_size=60))
def test_any_history_is_placed_as_the_oracle_says(history: list[tuple]) -> None:  # type: ignore[type-arg]
    index, plain = Index(), Plain()
    for kind, *args in history:
        if kind == "set":
            name, has_cores, has_memory, eligible = args
            index.set_host(name, has_cores, has_memory, eligible, "draining")
            plain.hosts[name] = (has_cores, has_memory, eligible)
        elif kind == "drop":
            index.drop_host(args[0])
            plain.hosts.pop(args[0], None)
            plain.claims = [claim for claim in plain.claims if claim[0] != args[0]]
        elif kind == "claim":
            if args[0] not in plain.hosts:
                plain.hosts[args[0]] = (0, 0, False)
            index.claim(*args)
            plain.claims.append(tuple(args))
        elif kind == "release" and plain.claims:
            index.release(*plain.claims.pop(args[0] % len(plain.claims)))
        elif kind == "place":
            want_cores, want_memory, policy, exclude = args
            found = index.pick(want_cores, want_memory, policy, exclude)
            assert found == choose(plain.views(), want_cores, want_memory, policy, exclude)
            reasons = index.explain(want_cores, want_memory, exclude)
            fitting = {view.host for view in plain.views() if index.fits(view.host, want_cores, want_memory)} - exclude
            assert set(reasons) == set(plain.hosts) - fitting
            assert index.ever_fits(want_cores, want_memory) == any(
                c >= want_cores and m >= want_memory for c, m, _ in plain.hosts.values()
            )
            if found:
                index.claim(found, want_cores, want_memory)
                plain.claims.append((found, want_cores, want_memory))
        assert {view.host: (view.free_cores, view.free_memory) for view in plain.views()} == {
            name: index.free(name) for name in plain.hosts
        }


def test_pack_takes_the_fullest_and_spread_the_emptiest() -> None:
    index = Index()
    for name in ("h-1", "h-2", "h-3"):
        index.set_host(name, 8, 8 * GIB, True)
    index.claim("h-2", 4, GIB)
    assert index.pick(4, GIB, "pack") == "h-2"
    assert index.pick(5, GIB, "pack") == "h-1"
    assert index.pick(1, GIB, "spread") == "h-1"
    assert index.pick(1, GIB, "spread", frozenset({"h-1"})) == "h-3"
    assert index.pick(9, GIB, "pack") is None


def test_the_choice_depends_on_what_is_there_not_on_its_history() -> None:
    there, back = Index(), Index()
    for name in ("h-10", "h-9"):
        there.set_host(name, 4, GIB, True)
    for name in ("h-9", "h-10"):
        back.set_host(name, 4, GIB, True)
    back.claim("h-9", 2, 0)
    back.release("h-9", 2, 0)
    policies: list[Policy] = ["pack", "spread"]
    for policy in policies:
        assert there.pick(1, 0, policy) == back.pick(1, 0, policy) == "h-9"


def test_every_host_says_why_not() -> None:
    index = Index()
    index.set_host("h-1", 4, 2 * GIB, True)
    index.claim("h-1", 3, GIB)
    index.set_host("h-2", 64, 64 * GIB, False, "draining")
    index.set_host("h-3", 64, 64 * GIB, False, "unknown: silent for 7 s")
    index.set_host("h-4", 64, 64 * GIB, True)
    index.claim("h-5", 1, 0)
    assert index.explain(4, 2 * GIB, frozenset({"h-4"})) == {
        "h-1": "needs 4 cores, 1 free; needs 2G of memory, 1G free",
        "h-2": "draining",
        "h-3": "unknown: silent for 7 s",
        "h-4": "it is there, or not cleared away yet",
        "h-5": "its capacity is not known yet",
    }
    assert index.explain(4, GIB, pin="h-2") == {
        name: "draining" if name == "h-2" else "not the host asked for" for name in ("h-1", "h-2", "h-3", "h-4", "h-5")
    }


def test_what_was_never_claimed_is_not_released() -> None:
    index = Index()
    index.set_host("h-1", 4, GIB, True)
    index.claim("h-1", 1, 0)
    with pytest.raises(ValueError, match="never claimed"):
        index.release("h-1", 2, 0)
    with pytest.raises(KeyError):
        index.release("h-2", 1, 0)


def test_the_pool_is_counted_once() -> None:
    pool = Pool()
    assert pool.why_not(2**50) == ""  # nobody has seen it yet
    pool.capacity_bytes = 10 * GIB
    pool.claim(8 * GIB)
    assert pool.why_not(2 * GIB) == ""
    assert pool.why_not(3 * GIB) == "needs 3G of disk, the pool has 2G free"
    assert pool.ever_fits(10 * GIB) and not pool.ever_fits(11 * GIB)
    pool.release(8 * GIB)
    with pytest.raises(ValueError):
        pool.release(1)


def test_the_cost_does_not_grow_with_the_hosts() -> None:
    def seconds_each(count: int) -> float:
        index = Index()
        for number in range(1, count + 1):
            index.set_host(f"h-{number}", 64, 256 * GIB, True)
        best = float("inf")
        for _ in range(5):
            placed = []
            start = time.perf_counter()
            for _ in range(2000):
                name = index.pick(2, 4 * GIB)
                assert name is not None
                index.claim(name, 2, 4 * GIB)
                placed.append(name)
            best = min(best, (time.perf_counter() - start) / 2000)
            for name in placed:
                index.release(name, 2, 4 * GIB)
        return best

    few, many = seconds_each(100), seconds_each(10_000)
    assert many < 5 * few
