"""All that a data file holds at one moment: read beside the store's own process, from a stopped one, or from a copy.

A snapshot that stands beside a writer keeps every page freed since then from being used again, so it is for a process
of its own that ends soon, or is ended. The store looks after what a killed one has left behind.
"""

from __future__ import annotations

from collections.abc import Iterator

from tashid.store import framing
from tashid.store.framing import HEADER, LOG
from tashid.store.interface import Damaged, LogEntry
from tashid.store.lmdb import HEADER_KEY, TREES, EngineError, Tree, misbuilt, read_only, trouble
from tashid.store.pages import check_data_file
from tashid.store.schema import Header, decode_header
from tashid.store.trees import broken
from tashid.store.upgrade import UPGRADES

LOOKS = 5  # at two meta pages that a writer may change between two reads


class Snapshot:
    """The file ``data``; ``beside``: it is a store's, and somebody may write to it.

    Raises Damaged, TooNew or Unavailable, and so does whatever reads.
    """

    def __init__(self, data: str, *, beside: bool) -> None:
        self._data, self._beside = data, beside
        _check(data, LOOKS if beside else 1)
        wrong = [] if beside else misbuilt(data)
        if wrong:
            raise Damaged(f"{data}: {wrong[0]}")
        try:
            self._env, self._txn = read_only(data, beside)
            self._trees = self._open_trees()
        except (OSError, EngineError) as error:
            raise trouble(data, error) from error
        record = self._txn.get(HEADER_KEY, b"", db=self._trees[HEADER])
        self.header: Header = decode_header(self._unseal(HEADER, HEADER_KEY, record), data, UPGRADES[-1].schema)

    def _open_trees(self) -> dict[str, Tree]:
        """Those that it has: one of an older schema may lack some."""
        with self._txn.cursor() as cursor:
            there = {bytes(name) for name in cursor.iternext(values=False)}
        return {
            name: self._env.open_db(name.encode(), txn=self._txn, create=False)
            for name in TREES
            if name.encode() in there
        }

    def load(self, table: str) -> Iterator[tuple[str, bytes]]:
        """All (key, value) of a table, in the order of the keys' bytes."""
        for key, body in self._bodies(table):
            yield key.decode(), body

    def log(self) -> Iterator[LogEntry]:
        """The change log, the oldest entry first."""
        for key, body in self._bodies(LOG):
            wall_seconds, refers = framing.entry_rest(body)
            pairs = tuple((table, name.decode()) for table, name in refers)
            yield LogEntry(int.from_bytes(key, "big"), wall_seconds, framing.entry_value(body), pairs)

    def damage(self) -> list[str]:
        """Everything that is wrong with the file, a line each."""
        wrong = misbuilt(self._data) if self._beside else []
        return wrong or broken(self._txn, self._trees)

    def copy(self, file: int) -> None:
        """Write all of it anew, without gaps, to a descriptor."""
        try:
            self._env.copyfd(file, compact=True, txn=self._txn)
        except (OSError, EngineError) as error:
            raise trouble(f"copy of {self._data}", error) from error

    def close(self) -> None:
        self._txn.abort()
        self._env.close()

    def _bodies(self, tree: str) -> Iterator[tuple[bytes, bytes]]:
        if tree not in self._trees:
            return
        try:
            with self._txn.cursor(db=self._trees[tree]) as cursor:
                for key, record in cursor:
                    yield key, self._unseal(tree, key, record)
        except EngineError as error:
            raise trouble(self._data, error) from error

    def _unseal(self, tree: str, key: bytes, record: bytes) -> bytes:
        body = framing.unseal(tree, key, record)
        if body is None:
            raise Damaged(f"{self._data}: {tree}: the checksum of record {key!r} does not fit")
        return body


def _check(data: str, looks: int) -> None:
    """The meta pages, again if they do not fit: a commit may have come between the two."""
    try:
        check_data_file(data)
    except Damaged:
        if looks <= 1:
            raise
        _check(data, looks - 1)
    except OSError as error:
        raise trouble(data, error) from error
