"""What a store can do: ten operations, and what each promises.

Keys are text (1 to KEY_MAX bytes of UTF-8), values are bytes (JSON; the store's own header holds the schema number).
A store knows nothing about what its values mean. One conformance suite, tests/contract/test_store.py, is the
definition; every implementation passes it.

A store belongs to one thread. What reads all of it, a copy or an export, does so beside it in a process of its own:
snapshot.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from tashi.wire.errors import Fault, Unavailable

# The working set is loaded into memory at start; the cold tables are only ever read by key.
WORKING_TABLES = (
    "meta", "vm", "host", "image", "user", "group", "key", "job", "usage", "machine", "pdu", "switch", "secret",
    "domain", "reservation",
    "zoniagent",
)  # fmt: skip
COLD_TABLES = ("done", "request", "decision")  # finished operations; answered request ids; placement's decisions
TABLES = WORKING_TABLES + COLD_TABLES
KEY_MAX = 500  # bytes: LMDB's limit is 511, a scan needs one more than the key


class Put(NamedTuple):
    """Write ``value`` under ``key``; None deletes the key (deleting what is not there is no error)."""

    table: str
    key: str
    value: bytes | None


PlainPut = tuple[str, str, bytes | None]  # a Put, or a tuple like one


class LogEntry(Struct, frozen=True, gc=False):
    """One line of the change log.

    ``refers`` are (table, key) pairs in cold tables that are pruned together with this entry.
    """

    revision: int
    wall_seconds: float
    value: bytes
    refers: tuple[tuple[str, str], ...] = ()


class LogPage(NamedTuple):
    """A piece of the log: entries in order of revision, the first revision still kept, and the newest.

    ``upto``: all up to this revision has been looked at, so the next call goes on ``after`` it. In an empty log
    ``tail`` is ``head`` + 1. A reader is behind the tail, and needs a snapshot, when its ``after`` < ``tail`` - 1.
    """

    entries: list[tuple[int, bytes]]
    tail: int
    head: int
    upto: int


class Locked(Unavailable):
    """Another process has this store open."""


class Damaged(Fault):
    """The store's files are not what a store writes: truncated, flipped bits, missing parts."""

    def __init__(self, text: str, hint: str = "restore the newest backup: tashi-restore --replace FILE") -> None:
        super().__init__(text, hint)


class TooNew(Fault):
    """Written by a newer version; this one refuses to touch it."""


class TooOld(Fault):
    """Written by a version so old that this one can't bring it up to date."""


class Full(Unavailable):
    """The soft limit is reached; only commits with ``reserve`` are taken until something is deleted."""


class Store(Protocol):
    """Durable state of one controller."""

    def load(self, table: str) -> Iterator[tuple[str, bytes]]:
        """All (key, value) of a table, in the order of the keys' bytes."""

    def get(self, table: str, key: str) -> bytes | None:
        """The value committed last, or None."""

    def scan(self, table: str, after: str = "", limit: int = 1000) -> list[tuple[str, bytes]]:
        """Up to ``limit`` (key, value) with key > ``after``, in order."""

    def commit(self, puts: Sequence[PlainPut], log: Sequence[LogEntry], *, epoch: int, reserve: bool = False) -> None:
        """Make all of it durable, or none.

        ``log`` revisions continue the log without a gap; of two puts to one key the later counts. Raises Unavailable
        when nothing was written (disk full, I/O error, ``epoch`` is not the newest: `fenced`), Full above the soft
        limit unless ``reserve`` is set, Fault for what no caller may ask (unknown table, bad key, gap in the log).
        """

    def changes(self, after: int, limit: int, match: Callable[[bytes], bool] | None = None) -> LogPage:
        """Log entries with revision > ``after`` (those that match). Never blocks; looks at 10 x ``limit`` at most."""

    def prune(self, keep_entries: int, older_than_wall: float, at_most: int = 1000) -> int:
        """Drop the oldest entries, with what they refer to, while more than ``keep_entries`` are there or the
        oldest is older than ``older_than_wall`` (seconds since 1970). At most ``at_most`` go; returns how many."""

    def acquire(self, by: int = 1) -> int:
        """Take the lease: a new epoch, ``by`` higher than any before, durable. Every later commit names it."""

    def head(self) -> int:
        """The newest revision ever logged, pruned or not; 0 when there was none."""

    def usage(self) -> tuple[int, int]:
        """(bytes in use, soft limit in bytes)."""

    def verify(self) -> list[str]:
        """Everything that is wrong with the files, a line each; an empty list is good news."""

    def close(self) -> None:
        """Give up lock and files. Nothing else may be called afterwards."""
