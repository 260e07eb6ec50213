"""A store in memory: for tests, and for the simulator, which crashes the controller above it.

``Contents`` is what would lie on a disk; a handle dies with its controller and the next one, by ``reopened``, goes on
with the same contents. ``crash`` is called before and after a batch is written, and may raise to end the controller
there. A batch is in the contents whole or not at all, as in every store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

from tashi.wire.errors import Unavailable
from tashid.store.interface import TABLES, Full, LogEntry, LogPage, PlainPut
from tashid.store.schema import check_batch


class Contents:
    """What outlives a handle. ``writer`` is the one handle that may write."""

    def __init__(self) -> None:
        self.tables: dict[str, dict[str, bytes]] = {table: {} for table in TABLES}
        self.log: list[LogEntry] = []
        self.pruned = 0  # the newest revision no longer in the log
        self.epoch = 0
        self.used = 0  # bytes of keys and values
        self.writer: MemoryStore | None = None

    @property
    def head(self) -> int:
        return self.pruned + len(self.log)

    def put(self, table: str, key: str, value: bytes | None) -> None:
        rows = self.tables[table]
        old = rows.pop(key, None) if value is None else rows.get(key)
        if old is not None:
            self.used -= len(key) + len(old)
        if value is not None:
            rows[key] = value
            self.used += len(key) + len(value)

    def append(self, entry: LogEntry) -> None:
        self.log.append(entry)
        self.used += len(entry.value)


class MemoryStore:
    """A handle. ``crash`` gets "before-write" and "after-write" around each commit, prune and acquire."""

    def __init__(
        self,
        limit_bytes: int = 2**30,
        crash: Callable[[str], None] | None = None,
        contents: Contents | None = None,
    ) -> None:
        self._limit, self.crash = limit_bytes, crash
        self.contents = contents or Contents()
        self.contents.writer = self

    def reopened(self) -> MemoryStore:
        """A new handle on the same contents, with a new epoch; this one can't write any more."""
        self.contents.epoch += 1
        return MemoryStore(self._limit, self.crash, self.contents)

    # -- reading -----------------------------------------------------------------------------------------------------
    def load(self, table: str) -> Iterator[tuple[str, bytes]]:
        return iter(sorted(self.contents.tables[table].items()))

    def get(self, table: str, key: str) -> bytes | None:
        return self.contents.tables[table].get(key)

    def scan(self, table: str, after: str = "", limit: int = 1000) -> list[tuple[str, bytes]]:
        rows = self.contents.tables[table]
        return [(key, rows[key]) for key in sorted(key for key in rows if key > after)[:limit]]

    def changes(self, after: int, limit: int, match: Callable[[bytes], bool] | None = None) -> LogPage:
        contents = self.contents
        start = max(after, contents.pruned)
        entries: list[tuple[int, bytes]] = []
        upto = start
        for entry in islice(contents.log, start - contents.pruned, start - contents.pruned + 10 * limit):
            if len(entries) == limit:
                break
            upto = entry.revision
            if match is None or match(entry.value):
                entries.append((entry.revision, entry.value))
        return LogPage(entries, contents.pruned + 1, contents.head, upto)

    def head(self) -> int:
        return self.contents.head

    def usage(self) -> tuple[int, int]:
        return self.contents.used, self._limit

    # -- writing -----------------------------------------------------------------------------------------------------
    def commit(self, puts: Sequence[PlainPut], log: Sequence[LogEntry], *, epoch: int, reserve: bool = False) -> None:
        contents = self.contents
        if epoch != contents.epoch:
            raise Unavailable(f"fenced: epoch {epoch} is not the newest, {contents.epoch}")
        check_batch(puts, log, contents.head)
        if contents.used >= self._limit and not reserve:
            raise Full(f"store holds {contents.used} bytes, its limit is {self._limit}")

        def write() -> None:
            for put in puts:
                contents.put(*put)
            for entry in log:
                contents.append(entry)

        self._write(write)

    def prune(self, keep_entries: int, older_than_wall: float, at_most: int = 1000) -> int:
        contents = self.contents
        count = 0
        for entry in contents.log[:at_most]:
            if len(contents.log) - count <= keep_entries and entry.wall_seconds >= older_than_wall:
                break
            count += 1

        def write() -> None:
            for entry in contents.log[:count]:
                contents.used -= len(entry.value)
                for table, key in entry.refers:
                    contents.put(table, key, None)
            del contents.log[:count]
            contents.pruned += count

        if count:
            self._write(write)
        return count

    def acquire(self, by: int = 1) -> int:
        def write() -> None:
            self.contents.epoch += by

        self._write(write)
        return self.contents.epoch

    def _write(self, work: Callable[[], None]) -> None:
        if self.contents.writer is not self:
            raise Unavailable("fenced: the store has been opened again")
        if self.crash:
            self.crash("before-write")
        work()
        if self.crash:
            self.crash("after-write")

    def verify(self) -> list[str]:
        contents = self.contents
        wanted = range(contents.pruned + 1, contents.head + 1)
        return [] if [entry.revision for entry in contents.log] == list(wanted) else ["the log has gaps"]

    def close(self) -> None:
        """The contents stay, for the next handle."""
