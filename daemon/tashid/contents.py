"""What the records of a store mean: each decoded as the controller does at its start, and written as a line of JSON.

The lines of a store, in order, are its export; their SHA-256 stands for all that is in it, wherever it lies: a running
store, a backup of it and an export of that have one digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any

import msgspec

from tashi.core.records import TYPES, Answered
from tashi.model.choice import Choice
from tashi.model.job import Job
from tashi.wire.messages import Change
from tashid.store.interface import TABLES, Damaged, LogEntry
from tashid.store.snapshot import Snapshot
from tashid.store.upgrade import UPGRADES

FORMAT = 1
_encode = msgspec.json.Encoder().encode
_decoders = {
    table: msgspec.json.Decoder(TYPES.get(table, Any)) for table in TABLES
} | {"done": msgspec.json.Decoder(Job), "request": msgspec.json.Decoder(Answered),
    "decision": msgspec.json.Decoder(Choice),
}  # fmt: skip
_decode_change = msgspec.json.Decoder(Change).decode


class First(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An export's first line. ``pruned`` is the newest revision that the change log no longer holds."""

    tashi_export: int
    schema: int
    epoch: int
    pruned: int


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A record: its value is as it lies in the store."""

    table: str
    key: str
    value: msgspec.Raw


class Logged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry of the change log."""

    revision: int
    wall: float
    refers: tuple[tuple[str, str], ...]
    value: msgspec.Raw


class Last(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An export's last line: how many lines came before it, and their SHA-256."""

    digest: str
    lines: int


def problem(table: str, key: str, value: bytes) -> str:
    """Why the controller could not load this record; empty when it can."""
    try:
        record = _decoders[table].decode(value)
    except (ValueError, RecursionError) as error:
        return f"{table} {key}: {error}"
    if b"\n" in value:
        return f"{table} {key}: it is more than one line"
    if table in TYPES and record.id != key:
        return f"{table} {key}: its id is {record.id}"
    return ""


def log_problem(entry: LogEntry) -> str:
    """Why nobody could read this entry of the change log; empty when it is one."""
    try:
        found = _decode_change(entry.value).revision
    except (ValueError, RecursionError) as error:
        return f"change {entry.revision}: {error}"
    return "" if found == entry.revision else f"change {entry.revision}: it says that it is {found}"


def wrong(snapshot: Snapshot) -> list[str]:
    """Everything that is wrong with a store or a copy, a line each: pages, checksums, records, gaps in the log."""
    found = snapshot.damage()
    if found:
        return found
    if snapshot.header.schema < UPGRADES[-1].schema:
        return []  # as in `lines`
    rows = ((table, key, value) for table in TABLES for key, value in snapshot.load(table))
    found = [text for row in rows if (text := problem(*row))]
    expected = snapshot.header.pruned
    for entry in snapshot.log():
        expected += 1
        if entry.revision != expected:
            return [*found, f"change {expected} is missing"]
        text = log_problem(entry)
        found += [text] if text else []
    return found


def lines(snapshot: Snapshot) -> Iterator[bytes]:
    """The export, line by line, but for the last. Raises Damaged for what the controller could not load."""
    header = snapshot.header
    understood = header.schema == UPGRADES[-1].schema  # older records mean something only once they are upgraded
    yield _encode(First(FORMAT, header.schema, header.epoch, header.pruned)) + b"\n"
    for table in TABLES:
        for key, value in snapshot.load(table):
            _refuse(problem(table, key, value) if understood else "")
            yield _encode(Row(table, key, msgspec.Raw(value))) + b"\n"
    for entry in snapshot.log():
        _refuse(log_problem(entry) if understood else "")
        yield _encode(Logged(entry.revision, entry.wall_seconds, entry.refers, msgspec.Raw(entry.value))) + b"\n"


def _refuse(problem: str) -> None:
    if problem:
        raise Damaged(f"store: {problem}")


class Digest:
    """Counts lines and sums them up."""

    def __init__(self) -> None:
        self._sum, self.lines = hashlib.sha256(), 0

    def add(self, line: bytes) -> bytes:
        self._sum.update(line)
        self.lines += 1
        return line

    def last(self) -> Last:
        return Last(self._sum.hexdigest(), self.lines)


def digest(snapshot: Snapshot) -> Last:
    """What stands for all that a store holds."""
    total = Digest()
    for line in lines(snapshot):
        total.add(line)
    return total.last()
