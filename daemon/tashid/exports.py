"""tashi-export and tashi-import: all records as lines of JSON, and a store made of such lines."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import closing
from typing import TypeVar

import msgspec

from tashi.config import Controller
from tashi.wire.errors import Code, NotFound, Refused
from tashid import backup, contents
from tashid.contents import FORMAT, Digest, First, Last, Logged, Row
from tashid.staging import Report, Staging
from tashid.store.interface import LogEntry, Put, TooNew, TooOld
from tashid.store.lmdb import LmdbStore
from tashid.store.snapshot import Snapshot
from tashid.store.upgrade import UPGRADES

BATCH_LINES, BATCH_BYTES = 1000, 2**22  # of an import, in one transaction

Line = TypeVar("Line", First, Last)


def export(own: Controller, path: str) -> Iterator[bytes]:
    """The lines of the backup ``path``; with an empty one of the controller's store, whether it runs or not.

    Raises Damaged for what the controller could not load, NotFound, TashiError or OSError.
    """
    data = path or os.path.join(own.state, "store", "data.mdb")
    try:
        os.stat(data)  # what may not be looked at is no file that is missing: that is the OSError
    except FileNotFoundError as error:
        hint = "" if path else "[controller] state in tashi.toml says where it is"
        raise NotFound(f"{data}: no such file", hint) from error
    if path:
        backup.read(path)
    total = Digest()
    with closing(Snapshot(data, beside=not path)) as snapshot:
        for line in contents.lines(snapshot):
            yield total.add(line)
    yield msgspec.json.encode(total.last()) + b"\n"


def take_in(own: Controller, lines: Iterable[bytes], wall: float, dry_run: bool = False) -> Report:
    """Make the controller's store, which must not be there yet, of an export. Raises TashiError or OSError."""
    source = iter(lines)
    first = _decode(next(source, b""), First, 1)
    newest, oldest = UPGRADES[-1].schema, UPGRADES[0].schema
    if first.tashi_export > FORMAT or first.schema > newest:
        text = f"export of format {first.tashi_export}, schema {first.schema}; this version knows {FORMAT} and {newest}"
        raise TooNew(text, "use the version that wrote it, or a newer one")
    if first.schema < oldest:
        raise TooOld(f"export of schema {first.schema}; the oldest that this version reads is {oldest}")
    with Staging(own, False, wall, {}) as staging:
        last = _fill(own, staging.folder, first, source)
        found = staging.digest()
        if found != last:
            text = f"export: {found.lines} lines of digest {found.digest} came of {last.lines} of {last.digest}"
            raise Refused(Code.BAD_REQUEST, text, "it is not as it was written: use another one")
        return staging.finish(found, dry_run)


def _fill(own: Controller, folder: str, first: First, lines: Iterator[bytes]) -> Last:
    """Commit all lines but the last, which is returned; the store's schema is the export's."""
    steps = [step for step in UPGRADES if step.schema <= first.schema]
    with closing(LmdbStore(folder, own.store_limit, steps)) as store:
        store.rewrite([], store.header._replace(epoch=first.epoch, pruned=first.pruned))
    with closing(
        LmdbStore(folder, own.store_limit, steps)
    ) as store:  # opened anew: its log begins where this one's does
        puts, log, size = list[Put](), list[LogEntry](), 0
        for number, line in enumerate(lines, 2):
            if line.startswith(b'{"digest":'):
                store.commit(puts, log, epoch=first.epoch, reserve=True)
                if next(lines, None) is not None:
                    raise _bad(number + 1, "it comes after the last")
                return _decode(line, Last, number)
            each = _record(line, number)
            if isinstance(each, Put):
                puts.append(each)
            else:
                log.append(each)
            size += len(line)
            if size > BATCH_BYTES or len(puts) + len(log) >= BATCH_LINES:
                store.commit(puts, log, epoch=first.epoch, reserve=True)
                puts, log, size = [], [], 0
    raise _bad(0, "the last line, with the digest, is missing: it was cut short")


def _record(line: bytes, number: int) -> Put | LogEntry:
    try:
        if line.startswith(b'{"table":'):
            row = msgspec.json.decode(line, type=Row)
            problem = contents.problem(row.table, row.key, bytes(row.value))
            found: Put | LogEntry = Put(row.table, row.key, bytes(row.value))
        else:
            logged = msgspec.json.decode(line, type=Logged)
            found = LogEntry(logged.revision, logged.wall, bytes(logged.value), logged.refers)
            problem = contents.log_problem(found)
    except (ValueError, RecursionError) as error:
        problem = str(error)
    if problem:
        raise _bad(number, problem)
    return found


def _decode(line: bytes, kind: type[Line], number: int) -> Line:
    try:
        return msgspec.json.decode(line, type=kind)
    except (ValueError, RecursionError) as error:
        raise _bad(number, str(error)) from error


def _bad(number: int, text: str) -> Refused:
    where = f"line {number}: " if number else ""
    return Refused(Code.BAD_REQUEST, f"export: {where}{text}", "tashi-export writes what can be imported")
