"""A move of a plan: what it does, why, what it gains and what it costs, and the line that carries it to who does it.

Score and gain are in hosts: one is an average host wholly used (see `score`). A gain is enjoyed for HORIZON seconds and
a move keeps two hosts busy while it copies, so both are host-seconds: that is what makes them comparable.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from tashi.model.name import kind_of_id
from tashi.sched.plan.snapshot import LINK_BYTES_PER_SECOND, Snapshot

HORIZON_SECONDS = 86_400.0
Record = dict[str, Any]


class Move(NamedTuple):
    """``guest`` from one host to another, by id. ``gain`` in hosts; ``why`` says what it is good for."""

    guest: str
    source: str
    target: str
    gain: float
    why: str


class Price(NamedTuple):
    """What a move copies and how long that takes."""

    bytes: int
    seconds: float

    @property
    def hosts(self) -> float:
        """The price in hosts, to be held against a gain."""
        return 2 * self.seconds / HORIZON_SECONDS


def price(snapshot: Snapshot, guest: str, source: str) -> Price:
    """The guest's memory over the rate at which a guest last left this host; the slowest known one where none has."""
    size = snapshot.guests[guest].demand.memory_bytes
    rate = snapshot.hosts[source].link_bytes_per_second
    if not rate:
        rate = min(
            (each.link_bytes_per_second for each in snapshot.hosts.values() if each.link_bytes_per_second), default=0
        )
    return Price(size, size / (rate or LINK_BYTES_PER_SECOND))


def record(snapshot: Snapshot, move: Move) -> Record:
    """A line of a plan. ``generation`` and ``revision`` are what it was made for."""
    guest, cost = snapshot.guests[move.guest], price(snapshot, move.guest, move.source)
    return {
        "name": guest.name,
        "id": guest.id,
        "from": snapshot.name(move.source),
        "to": snapshot.name(move.target),
        "gain": round(move.gain, 6),
        "price": round(cost.hosts, 6),
        "copy_bytes": cost.bytes,
        "copy_seconds": round(cost.seconds, 1),
        "why": move.why,
        "generation": guest.generation,
        "revision": snapshot.revision,
    }


class Line(NamedTuple):
    """What of a plan's line is needed to carry it out, and to see whether it is out of date. Hosts by name."""

    id: str
    name: str
    source: str
    target: str
    generation: int
    revision: int


def line_of(snapshot: Snapshot, move: Move) -> Line:
    """A move to be carried out at once."""
    guest, name = snapshot.guests[move.guest], snapshot.name
    return Line(guest.id, guest.name, name(move.source), name(move.target), guest.generation, snapshot.revision)


def read_lines(lines: Iterable[str]) -> list[Line]:
    """The moves that lines of JSON or of text tell, in order. Raises ValueError that names the line and what is wrong.

    Text is what -n prints for people, of which a reviewer may have cut any lines: the first words of each are enough.
    """
    found = []
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            line = _of_record(_json(text)) if text.lstrip().startswith("{") else _of_words(text.split())
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if line is not None:
            found.append(line)
    return found


def _json(text: str) -> Record:
    try:
        record: Record = json.loads(text)
    except RecursionError:
        raise ValueError("not JSON") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON, which -n -j prints: {error}") from None
    return record


def _of_words(words: list[str]) -> Line | None:
    """None for the header."""
    if words[:2] == ["NAME", "ID"]:
        return None
    numbers = words[4:6]
    if len(numbers) < 2 or not all(each.isascii() and each.isdigit() for each in numbers):
        raise ValueError("not a move, which -n prints as NAME ID FROM TO GENERATION REVISION and more")
    name, ident, source, target = words[:4]
    return _line(ident, name, source, target, *map(int, numbers))


def _of_record(record: Record) -> Line | None:
    """None for a record that tells of an error: who wrote it has told already."""
    if "error" in record:
        return None
    for key in ("id", "name", "from", "to"):
        if not isinstance(record.get(key), str) or not record[key]:
            raise ValueError(f"{key} is missing: this is no move of a plan")
    for key in ("generation", "revision"):
        if isinstance(record.get(key), bool) or not isinstance(record.get(key), int):
            raise ValueError(f"{key} is missing: what the move was planned for can't be checked")
    return _line(record["id"], record["name"], record["from"], record["to"], record["generation"], record["revision"])


def _line(ident: str, name: str, source: str, target: str, generation: int, revision: int) -> Line:
    if kind_of_id(ident) != "vm":
        raise ValueError(f"id: {ident[:40]!r} is not the id of a vm")
    return Line(ident, name, source, target, generation, revision)
