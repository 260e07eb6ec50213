"""One demand's way through the shelves: from the best place on, until nothing that follows can be better.

Points fall along a row, and from the best row on (see `weights`): the walk takes cells in that order and stops at the
first that can't beat what was found. Hosts on which a demand has a special eye (its company, its data) are left out
here; where they are few they are judged one by one, where they are a `crowd` they have a walk of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from tashi.sched.crowd import others
from tashi.sched.demand import NO_RULES, SHARED, Demand, Order
from tashi.sched.geometry import SCALE, Geometry
from tashi.sched.kinds import Kind
from tashi.sched.policy import Policy
from tashi.sched.shelf import EMPTY, Shelf
from tashi.sched.view import Room, View


class Found(NamedTuple):
    points: int
    turn: int
    room: Room


MOST = 10**20  # above every turn of a host, and all points


class Best:
    """The best hosts that were found so far, ``count`` of them at most.

    One that is to come among them has more points than ``least``, or as many and an earlier turn than ``last``.
    """

    __slots__ = ("count", "found", "last", "least")

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self.found: list[Found] = []  # the best first
        self.least, self.last = -MOST, MOST

    def see(self, points: int, turn: int, room: Room) -> None:
        """Take a host in, if it is good enough."""
        if points < self.least or (points == self.least and turn > self.last):
            return
        found = self.found
        at = len(found)
        while at and (found[at - 1].points < points or (found[at - 1].points == points and found[at - 1].turn > turn)):
            at -= 1
        found.insert(at, Found(points, turn, room))
        if len(found) > self.count:
            found.pop()
        if len(found) == self.count:
            self.least, self.last, _ = found[-1]


class Search:
    """What a host must pass for this demand that its kind does not tell. ``most``: members of its group that a value of
    the spread label may have already. ``special``: hosts that are left out; ``passed_over``: by shelf, one with hosts
    alone that need no look. ``besides``: what every host that is looked at may have in points besides; then ``points``
    tells how many one has in all. ``stocked``: what hosts of a kind have for what is free in their own pools."""

    __slots__ = (
        "banned", "besides", "cores", "disk", "exclude", "memory", "most", "passed_over", "plain", "points", "special",
        "spread", "stocked", "tally", "together",
    )  # fmt: skip

    def __init__(self, view: View, demand: Demand, shuns: bool) -> None:
        rules = demand.rules
        self.cores, self.memory = demand.cores, demand.memory_bytes
        self.exclude = demand.exclude | demand.kept if demand.kept else demand.exclude
        self.disk: list[tuple[str, int]] = []
        self.banned: list[Mapping[str, int]] = []
        self.together: list[Mapping[str, int]] = []
        self.spread = rules.spread
        self.tally: Mapping[str, int] = {}
        self.most = 0
        self.special: list[Collection[str]] = []
        self.passed_over: Mapping[Shelf, Shelf] = {}
        self.besides = 0
        self.points: Callable[[Room], int] | None = None
        self.stocked: Callable[[Kind], int] | None = None
        if rules is not NO_RULES:
            self.banned = [hosts for group in rules.apart if (hosts := view.where(group))]
            if shuns and rules.group and (hosts := view.shunning(rules.group)):
                self.banned.append(hosts)
            self.together = [hosts for group in rules.together if (hosts := view.where(group))]
            if rules.spread:
                self.tally = view.tally(rules.group, rules.spread)
        if demand.disk:
            self.disk = [each for each in demand.disk if each[0] != SHARED]
        # Whether size alone decides.
        self.plain = not (self.exclude or self.disk or self.banned or self.together or self.spread)

    def leave_out(self, several: Iterable[Collection[str]]) -> None:
        """Pass over hosts that are in any of these."""
        self.special = [hosts for hosts in several if hosts]
        self.plain = self.plain and not self.special

    def takes(self, room: Room) -> bool:
        """Whether this host passes; ``special`` ones are not asked about here."""
        if room.free_cores < self.cores or room.free_memory < self.memory:
            return False
        return self.plain or self.minds(room)

    def minds(self, room: Room) -> bool:
        """Whether a host of the right size passes all else."""
        host = room.host
        if host in self.exclude or any(host in hosts for hosts in self.banned):
            return False
        if not all(host in hosts for hosts in self.together):
            return False
        if self.spread:
            value = room.labels.get(self.spread)
            if value is None or self.tally.get(value, 0) > self.most:
                return False
        for pool, wanted in self.disk:
            free = room.disk_free(pool)
            if free is None or wanted > free:
                return False
        return True


def fewest(shelves: list[Shelf], label: str, tally: Mapping[str, int]) -> int:
    """Members that the value with the fewest has, of the values that hosts on these shelves have."""
    low = -1
    for shelf in shelves:
        values = shelf.domains.get(label, {})
        if len(values) > len(tally):
            return 0  # there is one without any
        for value in values:
            count = tally.get(value, 0)
            if not count:
                return 0
            low = count if low < 0 or count < low else low
    return max(low, 0)


class Slope(NamedTuple):
    """A host's points by how empty it would be of cores (x) and memory (y): top + order (x + y) - uneven |x - y|.

    Thousandths of a point. ``order`` is below zero under pack.
    """

    order: int
    uneven: int
    top: int


def slope_of(order: Order, policy: Policy) -> Slope:
    """The slope of a policy, under pack or under spread."""
    value, balance = policy.weight("order"), policy.weight("balance")
    top = 2 * SCALE * balance
    return Slope(value, 2 * balance, top) if order == "spread" else Slope(-value, 2 * balance, top + 2 * SCALE * value)


def hope(left: int, shape: Geometry, slope: Slope, search: Search) -> int:
    """No host in these rows has more points than this, what all of them have besides not counted."""
    order, uneven, top = slope
    if order < 0:
        x = ((left & -left).bit_length() - 1) * SCALE // shape.core_full
        return top + (order - uneven) * x
    x = (left.bit_length() - 1) * SCALE // shape.core_full
    y = (shape.memory_full - search.memory // shape.memory_grain) * SCALE // shape.memory_full
    return top + order * (x + y) - uneven * abs(x - y)


def best_on(
    shelf: Shelf, shape: Geometry, slope: Slope, other: int, search: Search, rooms: Mapping[int, Room], best: Best
) -> None:
    """Let ``best`` see the best of a shelf. ``other``: what every host of it has besides."""
    core_grain, core_full, memory_grain, memory_full = shape
    core_level, memory_level = search.cores // core_grain, search.memory // memory_grain
    order, uneven, top = slope
    top += other
    pack = order < 0
    # How empty of memory the best host of a row may be.
    edge = 0 if pack else (memory_full - memory_level) * SCALE // memory_full
    beside = search.passed_over.get(shelf)
    left = shelf.filled >> core_level
    while left:
        above = (left & -left if pack else left).bit_length() - 1
        left ^= 1 << above
        x = above * SCALE // core_full
        if top + order * (x + edge) - uneven * abs(x - edge) < best.least:
            break  # the best that this row and all after it could have
        row = shelf.rows[core_level + above]
        passed = beside.row(core_level + above) if beside is not None else EMPTY
        if passed.size == row.size:
            continue
        cells = row.filled >> memory_level
        while cells:
            level = (cells & -cells if pack else cells).bit_length() - 1
            cells ^= 1 << level
            y = level * SCALE // memory_full
            points = top + order * (x + y) - uneven * (x - y if x > y else y - x)
            if points < best.least:
                break
            cell, gone = row.cells[memory_level + level], passed.cells.get(memory_level + level)
            _look(others(cell, gone) if gone else reversed(cell), points, search, rooms, best)


def _look(cell: Iterator[int], points: int, search: Search, rooms: Mapping[int, Room], best: Best) -> None:
    """Let ``best`` see the first hosts of a cell that pass."""
    for negated in cell:
        if points == best.least and -negated > best.last:
            break
        room = rooms[-negated]
        if room.free_cores < search.cores or room.free_memory < search.memory:
            continue
        if search.plain or (search.minds(room) and not any(room.host in hosts for hosts in search.special)):
            best.see(search.points(room) if search.points else points, -negated, room)


def _others(kind: Kind, failure: int, search: Search) -> int:
    """What all hosts of a kind have besides, or may have."""
    points = failure * kind.failures + search.besides
    return points + search.stocked(kind) if search.stocked else points


def walk(
    shelves: Sequence[tuple[Kind, Shelf]],
    slope: Slope,
    failure: int,
    search: Search,
    rooms: Mapping[int, Room],
    best: Best,
) -> None:
    """Let ``best`` see the best of all shelves, those with the most hope first.

    ``failure``: thousandths for each of its points.
    """
    if len(shelves) == 1:
        ((kind, shelf),) = shelves
        best_on(shelf, kind.geometry, slope, _others(kind, failure, search), search, rooms, best)
        return
    hopes: list[tuple[int, int, Kind, Shelf, int]] = []
    for kind, shelf in shelves:
        left = shelf.filled >> search.cores // kind.geometry.core_grain
        if left:
            other = _others(kind, failure, search)
            hopes.append((-hope(left, kind.geometry, slope, search) - other, len(hopes), kind, shelf, other))
    hopes.sort()
    for least, _, kind, shelf, other in hopes:
        if -least < best.least:
            break
        best_on(shelf, kind.geometry, slope, other, search, rooms, best)
