"""The embedded store: one LMDB file in a directory that one process holds.

Theory of operation. A tree per table, one for the log (key: the revision, 8 bytes, big-endian) and one for the header.
A commit is one write transaction with LMDB's default sync: the data by fdatasync, then the meta page. So it is all or
none, and durable when it returns. Batching many requests into one commit is the caller's doing.

The data file is always as long as the memory map (its tail is a hole), so that no read can fault and a file that was
cut short shows. The map doubles by itself up to the soft limit. Commits with ``reserve`` may go RESERVE beyond it, and
on a full disk they get the blocks of the ballast file. After a failed commit the environment is opened again and must
hold exactly what it held before.

Reads are short transactions: an old snapshot would keep every page freed since then from being used again.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from itertools import islice
from typing import NamedTuple, TypeAlias, TypeVar

import lmdb
from lmdb.verify import VerifyError
from lmdb.verify import verify as verify_structure

from tashi.wire.errors import TashiError, Unavailable
from tashid.store import framing
from tashid.store.disk import Ballast, lengthen, sync_directory
from tashid.store.framing import HEADER, LOG
from tashid.store.interface import KEY_MAX, TABLES, Damaged, Full, LogEntry, LogPage, PlainPut
from tashid.store.pages import check_data_file
from tashid.store.place import Lock, refuse_network
from tashid.store.schema import Header, check_batch, decode_header
from tashid.store.trees import broken, change, delete, put, used
from tashid.store.upgrade import UPGRADES, Upgrade, upgrade

FIRST_MAP = 16 * 2**20  # bytes
RESERVE = 16 * 2**20  # bytes of map above the soft limit, for commits that make room
PAGE = os.sysconf("SC_PAGE_SIZE")
LOAD_ROWS = 1000  # rows in one read transaction while loading
HEADER_KEY = b"header"
TREES = (*TABLES, LOG, HEADER)
EngineError = lmdb.Error
# What LMDB finds wrong by itself (its own codes are negative, errno is positive) is damage, but for these.
PASSING = (lmdb.MapResizedError, lmdb.PanicError, lmdb.ReadersFullError, lmdb.TlsFullError, lmdb.TxnFullError)

T = TypeVar("T")
Txn: TypeAlias = "lmdb.Transaction[bytes]"
Tree: TypeAlias = "lmdb._Database"
Trees: TypeAlias = dict[str, Tree]
Work: TypeAlias = "Callable[[Txn, Trees], T]"


class _Open(NamedTuple):
    env: lmdb.Environment
    trees: Trees


class _State(NamedTuple):
    """What the store must hold: the header, as it lies in the file too, and the newest revision."""

    record: bytes
    header: Header
    head: int


class LmdbStore:
    """The store in directory ``path``, made when it is not there; ``limit_bytes`` is the soft limit.

    One of an older schema is brought to the last one of ``upgrades``. Raises Locked, Damaged, TooNew, TooOld, Refused
    (a network file system) or Unavailable (the directory can't be used).
    """

    def __init__(self, path: str, limit_bytes: int, upgrades: Sequence[Upgrade] = UPGRADES) -> None:
        self._path, self._limit, self._schema = path, limit_bytes, upgrades[-1].schema
        self._data = os.path.join(path, "data.mdb")
        self._opened: _Open | None = None
        self._map_bytes = 0
        try:
            os.makedirs(path, mode=0o700, exist_ok=True)
            refuse_network(path)
            with ExitStack() as undo:
                self._lock = Lock(path)
                undo.callback(self._lock.release)
                if not os.path.lexists(self._data):
                    self._create()
                self._opened, self._state = self._open()
                undo.callback(self._opened.env.close)
                self._ballast = Ballast(os.path.join(path, "ballast"))
                upgrade(self, path, upgrades)
                undo.pop_all()
        except (OSError, lmdb.Error) as error:
            raise self._trouble(error) from error

    # -- reading -----------------------------------------------------------------------------------------------------
    def load(self, table: str) -> Iterator[tuple[str, bytes]]:
        after = ""
        while rows := self.scan(table, after, LOAD_ROWS):
            yield from rows
            after = rows[-1][0]

    def get(self, table: str, key: str) -> bytes | None:
        name = key.encode()
        if not 0 < len(name) <= KEY_MAX:
            return None  # no such key can have been put
        env, trees = self._opened or self._open_again()
        try:
            with env.begin(trees[table]) as txn:
                record = txn.get(name)
        except lmdb.Error as error:
            raise self._trouble(error) from error
        return None if record is None else self._unseal(table, name, record)

    def scan(self, table: str, after: str = "", limit: int = 1000) -> list[tuple[str, bytes]]:
        def look(txn: Txn, trees: Trees) -> list[tuple[bytes, bytes]]:
            with txn.cursor(db=trees[table]) as cursor:
                found = cursor.set_range(after.encode() + b"\0")
                return list(islice(cursor.iternext(), limit)) if found else []

        unseal = framing.unseal  # without a second call each: a start reads all there is
        return [
            (key.decode(), value)  # only once the checksum, which is of the key too, says that it is text
            for key, record in self._read(look)
            if (value := unseal(table, key, record) or self._unseal(table, key, record)) is not None
        ]

    def changes(self, after: int, limit: int, match: Callable[[bytes], bool] | None = None) -> LogPage:
        tail = self._state.header.pruned + 1
        start = max(after + 1, tail)

        def look(txn: Txn, trees: Trees) -> LogPage:
            entries: list[tuple[int, bytes]] = []
            upto = start - 1
            with txn.cursor(db=trees[LOG]) as cursor:
                found = cursor.set_range(framing.revision_key(start))
                for key, record in islice(cursor.iternext(), 10 * limit if found else 0):
                    if len(entries) == limit:
                        break
                    upto = int.from_bytes(key, "big")
                    value = framing.entry_value(self._unseal(LOG, key, record))
                    if match is None or match(value):
                        entries.append((upto, value))
            return LogPage(entries, tail, self._state.head, upto)

        return self._read(look)

    def head(self) -> int:
        return self._state.head

    @property
    def header(self) -> Header:
        return self._state.header

    def usage(self) -> tuple[int, int]:
        return self._read(used), self._limit

    def _read(self, work: Work[T]) -> T:
        """What ``work`` finds in a short snapshot."""
        env, trees = self._opened or self._open_again()
        try:
            with env.begin() as txn:
                return work(txn, trees)
        except lmdb.Error as error:
            raise self._trouble(error) from error

    def _unseal(self, table: str, key: bytes, record: bytes) -> bytes:
        body = framing.unseal(table, key, record)
        if body is None:
            raise Damaged(f"store {self._path}: {table}: the checksum of record {key!r} does not fit")
        return body

    # -- writing -----------------------------------------------------------------------------------------------------
    def commit(self, puts: Sequence[PlainPut], log: Sequence[LogEntry], *, epoch: int, reserve: bool = False) -> None:
        if epoch != self._state.header.epoch:
            raise Unavailable(f"fenced: epoch {epoch} is not the newest, {self._state.header.epoch}")
        check_batch(puts, log, self._state.head)
        if not reserve:
            self._admit()
        rows, gone = framing.seal_puts(puts)
        entries = framing.seal_log(log)

        def write(txn: Txn, trees: Trees) -> None:
            if entries:
                put(txn, trees[LOG], entries, append=True)
            change(txn, trees, rows, gone)

        self._write(write, self._state._replace(head=self._state.head + len(entries)), reserve=reserve)

    def prune(self, keep_entries: int, older_than_wall: float, at_most: int = 1000) -> int:
        _, header, head = self._state

        def look(txn: Txn, trees: Trees) -> tuple[int, list[tuple[str, bytes]]]:
            count, gone = 0, []
            with txn.cursor(db=trees[LOG]) as cursor:
                for key, record in islice(cursor, at_most):
                    wall_seconds, refers = framing.entry_rest(self._unseal(LOG, key, record))
                    if head - header.pruned - count <= keep_entries and wall_seconds >= older_than_wall:
                        break
                    count += 1
                    gone += [(LOG, key), *refers]
            return count, gone

        count, gone = self._read(look)
        (self._opened or self._open_again()).env.reader_check()  # a killed snapshot would keep what was freed since
        if count:
            after = self._with_header(header._replace(pruned=header.pruned + count))
            self._write(lambda txn, trees: delete(txn, trees, gone), after, reserve=True)
        return count

    def acquire(self, by: int = 1) -> int:
        header = self._state.header
        self.rewrite([], header._replace(epoch=header.epoch + by))
        return self._state.header.epoch

    def rewrite(self, puts: Sequence[PlainPut], header: Header) -> None:
        """Records and a header in one transaction, without a lease: for what happens before there is one."""
        rows, gone = framing.seal_puts(puts)
        self._write(lambda txn, trees: change(txn, trees, rows, gone), self._with_header(header), reserve=True)

    def _with_header(self, header: Header) -> _State:
        record = framing.seal(HEADER, HEADER_KEY, header.encode())
        return self._state._replace(record=record, header=header)

    def _write(self, work: Work[None], after: _State, *, reserve: bool) -> None:
        """One durable transaction that leads to the state ``after``; ``work`` may be called more than once."""
        while True:
            env, trees = self._opened or self._open_again()
            try:
                with env.begin(write=True) as txn:
                    if txn.get(HEADER_KEY, db=trees[HEADER]) != self._state.record:
                        raise Unavailable("fenced: another process has written to this store")
                    if after.record != self._state.record:
                        txn.put(HEADER_KEY, after.record, db=trees[HEADER])
                    work(txn, trees)
                break
            except lmdb.MapFullError:
                self._grow(env, reserve)
            except lmdb.Error as error:
                self._opened = None
                env.close()
                if not (reserve and self._ballast.held):
                    raise self._trouble(error) from error
                try:
                    self._ballast.release()  # for any error: a write that a full disk cuts short is told as EIO
                except OSError as worse:
                    raise self._trouble(worse) from error
        self._state = after

    def _admit(self) -> None:
        """Raise Full or Unavailable while only commits that make room are taken."""
        try:
            room = self._ballast.held or self._ballast.hold()
        except OSError as error:
            raise self._trouble(error) from error
        if not room:
            raise Unavailable(f"store {self._path}: the disk is full", hint="make room on it")
        if self._map_bytes > self._limit and self._read(used) >= self._limit:
            raise self._full()

    def _grow(self, env: lmdb.Environment, reserve: bool) -> None:
        """Double the file and its map. Raises Full at the limit, Unavailable when the file can't grow."""
        size = min(2 * self._map_bytes, self._limit + (RESERVE if reserve else 0)) // PAGE * PAGE
        if size <= self._map_bytes:
            raise self._full()
        try:
            lengthen(self._data, size)
            env.set_mapsize(size)
        except (OSError, lmdb.Error) as error:
            raise self._trouble(error) from error
        self._map_bytes = size

    def _full(self) -> Full:
        return Full(
            f"store {self._path} holds {self._read(used)} bytes, its limit is {self._limit}",
            hint="raise [controller] store_limit in tashi.toml, or keep less of the change log: log_days, log_entries",
        )

    # -- files -------------------------------------------------------------------------------------------------------
    def _create(self) -> None:
        """An empty store under its own name only when it is whole: what has the name later was one."""
        traces = [name for name in ("data.mdb-lock", "ballast") if os.path.lexists(os.path.join(self._path, name))]
        if traces:
            raise Damaged(f"store {self._path}: data.mdb is missing, though {' and '.join(traces)} are there")
        fresh = os.path.join(self._path, "new.mdb")
        for name in (fresh, fresh + "-lock"):  # of a creation that was cut short
            with suppress(FileNotFoundError):
                os.unlink(name)
        header = framing.seal(HEADER, HEADER_KEY, Header(self._schema).encode())
        with _environment(fresh, FIRST_MAP) as env, env.begin(write=True) as txn:
            trees = {name: env.open_db(name.encode(), txn=txn) for name in TREES}
            txn.put(HEADER_KEY, header, db=trees[HEADER])
        os.unlink(fresh + "-lock")
        os.rename(fresh, self._data)
        sync_directory(self._path)

    def _open(self) -> tuple[_Open, _State]:
        size = check_data_file(self._data)
        self._map_bytes = max(FIRST_MAP, -(-size // PAGE) * PAGE)
        lengthen(self._data, self._map_bytes)
        env = _environment(self._data, self._map_bytes)
        try:
            env.reader_check()  # a killed process may have left a snapshot behind
            with env.begin(write=True) as txn:
                trees = {HEADER: env.open_db(HEADER.encode(), txn=txn, create=False)}
                header = self._header(txn.get(HEADER_KEY, b"", db=trees[HEADER]))
                older = header.schema < self._schema  # it may lack a tree
                trees |= {
                    name: env.open_db(name.encode(), txn=txn, create=older) for name in TREES if name not in trees
                }
                return _Open(env, trees), self._state_of(txn, trees)
        except BaseException:
            env.close()
            raise

    def _state_of(self, txn: Txn, trees: Trees) -> _State:
        """What the file holds, from its header and the two ends of the log, which must agree."""
        record = txn.get(HEADER_KEY, b"", db=trees[HEADER])
        header = self._header(record)
        with txn.cursor(db=trees[LOG]) as cursor:
            tail = int.from_bytes(cursor.key(), "big") if cursor.first() else header.pruned + 1
            head = int.from_bytes(cursor.key(), "big") if cursor.last() else header.pruned
        count = txn.stat(trees[LOG])["entries"]
        if tail != header.pruned + 1 or count != head - header.pruned:
            raise Damaged(f"store {self._path}: {count} log entries, {tail} to {head}, pruned to {header.pruned}")
        return _State(record, header, head)

    def _header(self, record: bytes) -> Header:
        return decode_header(self._unseal(HEADER, HEADER_KEY, record), self._path, self._schema)

    def _open_again(self) -> _Open:
        """After a failed commit: nothing may have changed."""
        try:
            opened, state = self._open()
        except (OSError, lmdb.Error) as error:
            raise self._trouble(error) from error
        if state != self._state:
            opened.env.close()
            raise Damaged(f"store {self._path}: a commit that failed is in the file", "start the controller again")
        self._opened = opened
        return opened

    def _trouble(self, error: OSError | lmdb.Error) -> TashiError:
        return trouble(f"store {self._path}", error)

    def verify(self) -> list[str]:
        return self._read(self._problems)

    def _problems(self, txn: Txn, trees: Trees) -> list[str]:
        """``txn`` keeps the newest pages from being used again while the file is walked."""
        wrong = misbuilt(self._data)
        if wrong:
            return wrong  # LMDB can't be trusted to read these pages
        return broken(txn, trees)

    def close(self) -> None:
        if self._opened:
            self._opened.env.close()
        self._lock.release()


def _environment(path: str, map_bytes: int) -> lmdb.Environment:
    return lmdb.open(path, map_size=map_bytes, subdir=False, mode=0o600, max_dbs=len(TREES), lib_version=0)


def trouble(where: str, error: OSError | lmdb.Error) -> TashiError:
    """An error of the disk or of LMDB as ours: Damaged when the file is to blame, else Unavailable."""
    damage = isinstance(error, lmdb.Error) and error.code < 0 and not isinstance(error, PASSING)
    return (Damaged if damage else Unavailable)(f"{where}: {error}")


def misbuilt(data: str) -> list[str]:
    """What is wrong with the pages of a file, a line each. LMDB is not asked: it trusts what it reads."""
    try:
        wrong: list[str] = verify_structure(data, subdir=False)  # type: ignore[no-untyped-call]
    except VerifyError as error:
        wrong = [str(error)]
    return wrong


def read_only(data: str, beside: bool) -> tuple[lmdb.Environment, Txn]:
    """A data file as it is now, to be read; ``beside`` a process that may write to it meanwhile."""
    env = lmdb.open(data, subdir=False, readonly=True, lock=beside, max_dbs=len(TREES), create=False, lib_version=0)
    try:
        return env, env.begin()
    except lmdb.MapResizedError:  # it has grown since it was opened
        env.set_mapsize(0)
        return env, env.begin()
