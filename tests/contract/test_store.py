"""What every store promises: one suite, run on all of them. Theirs is the contract in tashid/store/interface.py."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tashi.wire.errors import Fault, Unavailable
from tashid.store.interface import COLD_TABLES, KEY_MAX, TABLES, Full, LogEntry, Put, Store
from tashid.store.memory import MemoryStore
from tashid.store.open import open_store

LIMIT = 2**20  # bytes: small, so that a test reaches it
NEVER = 0.0  # no entry is older than 1970


class Kind:
    """One implementation: how to make it, how a controller that starts again opens it, how a copy is opened."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder
        self.open_stores: list[Store] = []

    def fresh(self, limit_bytes: int = LIMIT) -> Store:
        if self.name == "memory":
            return MemoryStore(limit_bytes)
        return self._keep(open_store(str(self.folder / f"store{len(self.open_stores)}"), limit_bytes))

    def reopen(self, store: Store) -> Store:
        if isinstance(store, MemoryStore):
            return store.reopened()
        store.close()
        path = self.folder / f"store{self.open_stores.index(store)}"
        self.open_stores[self.open_stores.index(store)] = again = open_store(str(path), LIMIT)
        return again

    def _keep(self, store: Store) -> Store:
        self.open_stores.append(store)
        return store


@pytest.fixture(params=["memory", "lmdb"])
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Kind]:
    made = Kind(request.param, tmp_path)
    yield made
    for store in made.open_stores:
        store.close()


@pytest.fixture
def store(kind: Kind) -> Store:
    return kind.fresh()


def entries(first: int, count: int, wall_seconds: float = 1000.0) -> list[LogEntry]:
    return [LogEntry(revision, wall_seconds, b'{"n":%d}' % revision) for revision in range(first, first + count)]


def everything(store: Store) -> object:
    """All that can be read, to compare two stores or two moments."""
    return {table: list(store.load(table)) for table in TABLES}, store.changes(0, 10**6), store.head()


# -- reading what was written ----------------------------------------------------------------------------------------
def test_an_empty_store_is_empty(store: Store) -> None:
    assert all(list(store.load(table)) == [] for table in TABLES)
    assert store.get("vm", "v-1") is None
    assert store.head() == 0
    assert store.changes(0, 10) == ([], 1, 0, 0)
    assert store.verify() == []


def test_committed_values_are_read_back(store: Store) -> None:
    epoch = store.acquire()
    store.commit([Put("vm", "v-1", b'{"name":"a"}'), Put("host", "v-1", b""), Put("vm", "v-2", b"x")], [], epoch=epoch)
    assert store.get("vm", "v-1") == b'{"name":"a"}'
    assert store.get("host", "v-1") == b""
    assert store.get("vm", "") is None
    assert list(store.load("vm")) == [("v-1", b'{"name":"a"}'), ("v-2", b"x")]


def test_of_two_puts_to_one_key_the_later_counts(store: Store) -> None:
    epoch = store.acquire()
    store.commit(
        [Put("vm", "a", b"1"), Put("vm", "a", b"2"), Put("vm", "b", b"1"), Put("vm", "b", None)], [], epoch=epoch
    )
    assert list(store.load("vm")) == [("a", b"2")]
    store.commit([Put("vm", "a", None), Put("vm", "a", b"3"), Put("vm", "none", None)], [], epoch=epoch)
    assert list(store.load("vm")) == [("a", b"3")]


def test_rows_come_in_the_order_of_the_keys_bytes(store: Store) -> None:
    keys = ["v-10", "v-2", "z", "Z", "ä", "\u20ac", "\U0001f600", "a\0b", "a", "\0", "k" * KEY_MAX]
    store.commit([Put("vm", key, key.encode()) for key in keys], [], epoch=store.acquire())
    wanted = sorted(keys, key=str.encode)
    assert [key for key, _ in store.load("vm")] == wanted
    pages = [store.scan("vm", after, 1) for after in ["", *wanted]]
    assert [page[0][0] for page in pages[:-1]] == wanted
    assert pages[-1] == []
    assert [key for key, _ in store.scan("vm", "a", 3)] == wanted[wanted.index("a") + 1 :][:3]
    assert store.scan("vm", "", 0) == []


def test_a_table_of_many_rows_loads_whole(kind: Kind) -> None:
    store = kind.fresh(2**30)
    store.commit([Put("vm", f"v-{n}", b"%d" % n) for n in range(2500)], [], epoch=store.acquire())
    assert dict(store.load("vm")) == {f"v-{n}": b"%d" % n for n in range(2500)}


def test_large_and_odd_values_survive(store: Store) -> None:
    values = [bytes(range(256)) * 40, b"\0" * 5000, b"x" * 2048]
    store.commit([Put("vm", str(n), value) for n, value in enumerate(values)], [], epoch=store.acquire())
    assert [value for _, value in store.load("vm")] == values


# -- commits ---------------------------------------------------------------------------------------------------------
def test_what_no_caller_may_ask_is_a_fault_and_writes_nothing(store: Store) -> None:
    epoch = store.acquire()
    store.commit([Put("vm", "v-1", b"1")], entries(1, 1), epoch=epoch)
    before = everything(store)
    good = Put("vm", "v-2", b"2")
    for puts, log in [
        ([good, Put("nothing", "a", b"")], []),
        ([good, Put("log", "a", b"")], []),
        ([good, Put("vm", "", b"")], []),
        ([good, Put("vm", "k" * (KEY_MAX + 1), b"")], []),
        ([good, Put("vm", "\u20ac" * (KEY_MAX // 3 + 1), b"")], []),
        ([good], entries(3, 1)),
        ([good], entries(1, 1)),
        ([good], [LogEntry(2, 1.0, b"", (("vm", "v-1"),))]),
        ([good], [LogEntry(2, 1.0, b"", (("done", ""),))]),
    ]:
        with pytest.raises(Fault):
            store.commit(puts, log, epoch=epoch)
        assert everything(store) == before


def test_acquire_fences_every_older_epoch(kind: Kind) -> None:
    store = kind.fresh()
    first = store.acquire()
    second = store.acquire()
    assert second > first > 0
    store.commit([Put("vm", "v-1", b"1")], [], epoch=second)
    for epoch in (first, 0, second + 1):
        with pytest.raises(Unavailable, match="fenced"):
            store.commit([Put("vm", "v-1", b"2")], [], epoch=epoch)
    again = kind.reopen(store)
    assert again.acquire() > second
    with pytest.raises(Unavailable, match="fenced"):
        again.commit([Put("vm", "v-1", b"2")], [], epoch=second)
    assert again.get("vm", "v-1") == b"1"


def test_everything_survives_being_opened_again(kind: Kind) -> None:
    store = kind.fresh()
    epoch = store.acquire()
    store.commit([Put("vm", "v-1", b"1"), Put("done", "j-1", b"2")], entries(1, 5), epoch=epoch)
    store.prune(3, NEVER)
    before = everything(store)
    again = kind.reopen(store)
    assert everything(again) == before
    again.commit([], entries(6, 1), epoch=again.acquire())
    assert again.head() == 6


# -- the log ---------------------------------------------------------------------------------------------------------
def test_changes_are_read_in_pieces(store: Store) -> None:
    store.commit([], entries(1, 7), epoch=store.acquire())
    page = store.changes(0, 3)
    assert page == ([(1, b'{"n":1}'), (2, b'{"n":2}'), (3, b'{"n":3}')], 1, 7, 3)
    page = store.changes(page.upto, 100)
    assert ([revision for revision, _ in page.entries], page.upto) == ([4, 5, 6, 7], 7)
    assert store.changes(7, 3) == ([], 1, 7, 7)
    assert store.changes(99, 3) == ([], 1, 7, 99), "a reader from a future that a restore took back"


def test_a_sparse_match_goes_on_where_it_stopped(store: Store) -> None:
    store.commit([], entries(1, 250), epoch=store.acquire())
    looked: list[bytes] = []

    def match(value: bytes) -> bool:
        looked.append(value)
        return value == b'{"n":205}'

    found, after, calls = [], 0, 0
    while after < store.head():
        looked.clear()
        page = store.changes(after, 5, match)
        assert len(looked) <= 50
        assert page.upto > after
        found += page.entries
        after, calls = page.upto, calls + 1
    assert (found, calls) == ([(205, b'{"n":205}')], 5)


def test_a_matching_reader_gets_no_more_than_it_asked_for(store: Store) -> None:
    store.commit([], entries(1, 50), epoch=store.acquire())
    page = store.changes(0, 2, lambda value: value.endswith((b"5}", b"7}")))
    assert ([revision for revision, _ in page.entries], page.upto) == ([5, 7], 7)


def test_the_log_is_pruned_by_count_and_by_age(store: Store) -> None:
    epoch = store.acquire()
    store.commit([], entries(1, 4, wall_seconds=100.0), epoch=epoch)
    store.commit([], entries(5, 4, wall_seconds=200.0), epoch=epoch)
    assert store.prune(8, NEVER) == 0
    assert store.prune(6, NEVER) == 2
    assert store.changes(0, 1) == ([(3, b'{"n":3}')], 3, 8, 3), "behind the tail: tail is greater than after + 1"
    assert store.prune(100, 150.0) == 2
    assert store.changes(4, 100).tail == 5
    assert store.prune(0, NEVER, at_most=3) == 3
    assert store.prune(0, NEVER) == 1
    assert store.changes(0, 100) == ([], 9, 8, 8)
    assert store.head() == 8
    store.commit([], entries(9, 1), epoch=epoch)
    assert store.changes(8, 100).entries == [(9, b'{"n":9}')]
    assert store.verify() == []


def test_an_empty_pruned_log_remembers_its_head(kind: Kind) -> None:
    store = kind.fresh()
    store.commit([], entries(1, 3), epoch=store.acquire())
    assert store.prune(0, NEVER) == 3
    again = kind.reopen(store)
    assert again.changes(0, 1) == ([], 4, 3, 3)
    with pytest.raises(Fault, match="gap"):
        again.commit([], entries(1, 1), epoch=again.acquire())


def test_cold_records_go_with_the_entry_that_refers_to_them(store: Store) -> None:
    epoch = store.acquire()
    request = ("request", "u-1:\u20ac")
    store.commit(
        [Put("done", "j-1", b"old"), Put("done", "j-2", b"new"), Put(*request, b"{}"), Put("vm", "j-1", b"stays")],
        [
            LogEntry(1, 1.0, b"", (("done", "j-1"), request, ("done", "gone"))),
            LogEntry(2, 2.0, b"", (("done", "j-2"),)),
        ],
        epoch=epoch,
    )
    assert store.prune(1, NEVER) == 1
    assert [list(store.load(table)) for table in COLD_TABLES] == [[("j-2", b"new")], [], []]
    assert store.get("vm", "j-1") == b"stays"


# -- limits ----------------------------------------------------------------------------------------------------------
def fill(store: Store, epoch: int) -> int:
    """Commit until the store is full; how many went in."""
    for count in range(10_000):
        try:
            store.commit([Put("vm", f"v-{count}", b"x" * 10_000)], [], epoch=epoch)
        except Full:
            return count
    raise AssertionError("it never got full")


@pytest.mark.fault(12)
def test_a_full_store_takes_only_what_makes_room(store: Store) -> None:
    epoch = store.acquire()
    count = fill(store, epoch)
    used, limit = store.usage()
    assert limit == LIMIT <= used <= LIMIT + 100_000
    assert count > 50
    assert store.get("vm", f"v-{count}") is None, "a refused batch left something"
    store.commit([], entries(1, 2), epoch=epoch, reserve=True)
    assert store.acquire() == epoch + 1
    assert store.prune(0, NEVER) == 2
    store.commit([Put("vm", f"v-{n}", None) for n in range(count // 2)], [], epoch=epoch + 1, reserve=True)
    store.commit([Put("vm", "v-new", b"1")], [], epoch=epoch + 1)
    assert store.usage()[0] < used


# -- all of it at random, both stores side by side -------------------------------------------------------------------
class Commit(NamedTuple):
    puts: list[Put]
    log: list[tuple[float, bytes, tuple[tuple[str, str], ...]]]


class Prune(NamedTuple):
    keep_entries: int
    older_than_wall: float
    at_most: int


class Changes(NamedTuple):
    after: int
    limit: int


class Scan(NamedTuple):
    table: str
    after: str
    limit: int


class Reopen(NamedTuple):
    pass


Step = Commit | Prune | Changes | Scan | Reopen

KEYS = st.sampled_from(["a", "b", "v-1", "v-2", "\u20ac", "k" * KEY_MAX])
VALUES = st.none() | st.binary(max_size=20) | st.just(b"big" * 2000)
PUTS = st.lists(st.builds(Put, st.sampled_from(TABLES), KEYS, VALUES), max_size=8)
REFERS = st.lists(st.tuples(st.sampled_from(COLD_TABLES), KEYS), max_size=2).map(tuple)
STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(Commit, PUTS, st.lists(st.tuples(st.floats(0, 100), st.binary(max_size=9), REFERS), max_size=4)),
    st.builds(Prune, st.integers(0, 6), st.floats(0, 100), st.integers(1, 5)),
    st.builds(Changes, st.integers(-1, 20), st.integers(0, 3)),
    st.builds(Scan, st.sampled_from(TABLES), KEYS | st.just(""), st.integers(0, 3)),
    st.just(Reopen()),
)


def carry_out(kind: Kind, store: Store, step: Step) -> tuple[Store, object]:
    """One step on one store: the store to go on with, and what it answered."""
    answer: object = None
    match step:
        case Commit(puts, log):
            numbered = [LogEntry(number, *entry) for number, entry in enumerate(log, store.head() + 1)]
            store.commit(puts, numbered, epoch=store.acquire())
        case Prune():
            answer = store.prune(*step)
        case Changes():
            answer = store.changes(*step)
        case Scan():
            answer = store.scan(*step)
        case Reopen():
            store = kind.reopen(store)
    return store, answer


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=12))
def test_both_stores_always_answer_alike(tmp_path: Path, steps: list[Step]) -> None:
    kinds = Kind("memory", tmp_path), Kind("lmdb", tmp_path)
    memory, files = kinds[0].fresh(), kinds[1].fresh()
    try:
        for step in steps:
            memory, wanted = carry_out(kinds[0], memory, step)
            files, got = carry_out(kinds[1], files, step)
            assert got == wanted
            assert everything(files) == everything(memory)
        assert files.verify() == []
    finally:
        files.close()
        shutil.rmtree(tmp_path / "store0")
