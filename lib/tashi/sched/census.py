"""What keeps a demand out, counted over all hosts: the short form of `explain`, for a refusal.

Each host counts for the first filter that says no, as `explain` has it. The index knows most of that without asking
host by host: how many are closed or unwell, of which kind the others are, and how they stand by what is free. Looked at
one by one are hosts at the very edge of the size, those that are large enough and refused for something else, and those
that the demand names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from tashi.sched.demand import Demand
from tashi.sched.filters import FILTERS, Question
from tashi.sched.geometry import Geometry
from tashi.sched.index import Index
from tashi.sched.kinds import NOWHERE
from tashi.sched.shelf import Shelf
from tashi.sched.view import Room

LATE = list(FILTERS)[list(FILTERS).index("memory") + 1 :]  # filters that ask once the size is there
NONE: frozenset[str] = frozenset()
WORDS = {
    "pin": "not asked for",
    "state": "drained or draining",
    "health": "not well or not heard",
    "leftover": "with something of it",
    "queue": "kept for others",
    "version": "with older programs",
    "features": "without its features",
    "networks": "without its networks",
    "labels": "without its labels",
    "reservation": "reserved for others",
    "cores": "with too few cores free",
    "memory": "with too little memory free",
    "disk": "with too little disk free",
    "affinity": "without what it must be with",
    "anti-affinity": "with what it must be apart from",
    "spread": "where its group is ahead",
}


class Census(NamedTuple):
    """``counts``: filter -> hosts that it keeps out, in the order of the filters. ``nearest``: the id of the one that

    lacks least, empty when none is open, well and as it must be.
    """

    counts: dict[str, int]
    nearest: str

    @property
    def words(self) -> str:
        """Most first."""
        most = sorted(self.counts.items(), key=lambda each: -each[1])
        return ", ".join(f"{count} {WORDS[name]}" for name, count in most)


def census(index: Index, demand: Demand, wall: float = 0.0) -> Census:
    """Count the hosts that a demand can't have now; whatever it is pinned to."""
    demand = demand._replace(pin="")
    asked, bare = index.question(demand, wall), index.question(demand._replace(exclude=NONE, kept=NONE), wall)
    counts, large = index.unlike(demand, wall), list[Room]()
    shelves = index.shelves(demand, wall)
    for shape, shelf in shelves:
        large += _large_enough(index, shape, shelf, demand, counts)
    if sum(counts.values()) + len(large) < len(index.rooms):
        counts.update(_overpromised(index, bare))
    late = [each for each in bare.asked if each.name in LATE]
    if late:
        counts.update(next((each.name for each in late if each.why_not(bare, room)), "") for room in large)
    barred = demand.exclude | demand.kept
    for room in (index.rooms[host] for host in barred if host in index.rooms):
        counts[bare.first(room)] -= 1
        counts[asked.first(room)] += 1
    large = [room for room in large if room.host not in barred]
    near = large or [room for _, shelf in shelves for room in _largest(index, shelf) if room.host not in barred]
    nearest = min(near, key=lambda room: (_lacks(room, demand), room.number), default=None)
    return Census({name: counts[name] for name in FILTERS if counts[name]}, nearest.host if nearest is not None else "")


def _large_enough(index: Index, shape: Geometry, shelf: Shelf, demand: Demand, counts: Counter[str]) -> Iterator[Room]:
    """The hosts of a shelf that have room for the size; the others are counted."""
    core_level, memory_level = demand.cores // shape.core_grain, demand.memory_bytes // shape.memory_grain
    for number, row in enumerate(shelf.rows):
        for level, cell in row.cells.items():
            if number < core_level:
                counts["cores"] += len(cell)
            elif number > core_level and level < memory_level:
                counts["memory"] += len(cell)
            else:
                for room in index.on(cell):
                    if room.free_cores < demand.cores:
                        counts["cores"] += 1
                    elif room.free_memory < demand.memory_bytes:
                        counts["memory"] += 1
                    else:
                        yield room


def _overpromised(index: Index, question: Question) -> Iterator[str]:
    """What keeps hosts out that stand on no shelf, because they have less than was promised."""
    for room in index.rooms.values():
        if room.place is not None and room.place.row == NOWHERE:
            first = question.first(room)
            if first in ("cores", "memory"):
                yield first


def _largest(index: Index, shelf: Shelf) -> Iterator[Room]:
    """For each level of free cores some host with the most memory."""
    for row in shelf.rows:
        if row.filled:
            yield from index.on(row.cells[row.filled.bit_length() - 1][-1:])


def _lacks(room: Room, demand: Demand) -> float:
    """How much of what it wants is not free there, as a share of it."""
    cores = 1 - room.free_cores / demand.cores if demand.cores else 0.0
    memory = 1 - room.free_memory / demand.memory_bytes if demand.memory_bytes else 0.0
    return max(cores, memory, 0.0)
