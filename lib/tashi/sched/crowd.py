"""Crowds: where groups are that are on many hosts, so that these are passed over, or looked at alone, at one stroke.

Beside each shelf on which hosts of a crowd stand there is another one with those hosts alone, at the same rows and
levels. Two such cells are in one order and the same up to the first host that is not of the crowd; halving finds it.

A crowd is made when a demand first minds its groups, at the cost of their hosts, and then kept as VMs come and go.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from tashi.sched.shelf import NOWHERE, Shelf

if TYPE_CHECKING:
    from tashi.sched.demand import Rules
    from tashi.sched.kinds import Place, Standing
    from tashi.sched.view import Room, View

LARGE = 64  # hosts that groups are on: fewer are looked at one by one
CROWDS = 256  # that are kept; the one that was asked for longest ago makes room

Mark = tuple[Literal["with", "shunning"], str]  # hosts with members of a group, or with VMs that want none beside them


class Crowd:
    """``turns``: its hosts that are open and well. ``beside``: by shelf, the one with its hosts alone."""

    __slots__ = ("beside", "marks", "turns")

    def __init__(self, marks: frozenset[Mark]) -> None:
        self.marks = marks
        self.turns: set[int] = set()
        self.beside: dict[Shelf, Shelf] = {}

    def come(self, turn: int, place: Place) -> None:
        """A host is of the crowd now."""
        self.turns.add(turn)
        for shelf in place.shelves:
            self.stand(turn, place, shelf)

    def go(self, turn: int, place: Place) -> None:
        """The opposite."""
        self.turns.remove(turn)
        for shelf in place.shelves:
            self.part(turn, place, shelf)

    def stand(self, turn: int, place: Place, shelf: Shelf) -> None:
        """A host of the crowd stands on this shelf, too."""
        beside = self.beside.get(shelf)
        if beside is None:
            beside = self.beside[shelf] = Shelf()
        place.beside.append(beside)
        if place.row != NOWHERE:
            beside.put(turn, place.row, place.level)

    def part(self, turn: int, place: Place, shelf: Shelf) -> None:
        """The opposite."""
        beside = self.beside[shelf]
        place.beside.remove(beside)
        if place.row != NOWHERE:
            beside.take(turn, place.row, place.level)

    def alone(self, shelves: Standing) -> Standing:
        """Its hosts of these shelves."""
        return [(kind, self.beside[shelf]) for kind, shelf in shelves if shelf in self.beside]


class Crowds:
    """The crowds that were asked for lately."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._kept: dict[frozenset[Mark], Crowd] = {}
        self._marked: dict[Mark, list[Crowd]] = {}

    def large(self, marks: Iterable[Mark]) -> bool:
        """Whether so many hosts have these marks that they are worth a crowd."""
        return sum(len(self._hosts(mark)) for mark in marks) > LARGE

    def of(self, marks: Iterable[Mark]) -> Crowd:
        """The crowd of the hosts that have any of these marks."""
        key = frozenset(marks)
        crowd = self._kept.pop(key, None)
        if crowd is None:
            crowd = self._make(key)
        self._kept[key] = crowd  # the newest is the last
        return crowd

    def count(self, marks: Sequence[Mark]) -> int:
        """How many hosts that are open and well have any of these marks."""
        return len(self.of(marks).turns) if self.large(marks) else sum(1 for _ in self._rooms(marks))

    # -- changes ----------------------------------------------------------------------------------------------------
    def changed(self, room: Room, rules: Rules) -> None:
        """A VM with these rules has come to a host, or left it."""
        if not self._kept or room.place is None:
            return
        marks: list[Mark] = [("with", rules.group), *(("shunning", group) for group in rules.apart)]
        for crowd in {crowd for mark in marks for crowd in self._marked.get(mark, ())}:
            there = self._has(crowd, room)
            if there and room.turn not in crowd.turns:
                crowd.come(room.turn, room.place)
            elif not there and room.turn in crowd.turns:
                crowd.go(room.turn, room.place)

    def join(self, room: Room, place: Place) -> None:
        """A host becomes open and well."""
        for crowd in self._kept.values():
            if self._has(crowd, room):
                crowd.come(room.turn, place)

    def leave(self, room: Room, place: Place) -> None:
        """The opposite."""
        for crowd in self._kept.values():
            if room.turn in crowd.turns:
                crowd.go(room.turn, place)

    def stand(self, room: Room, place: Place, shelf: Shelf) -> None:
        """A host stands on a new shelf, too."""
        for crowd in self._kept.values():
            if room.turn in crowd.turns:
                crowd.stand(room.turn, place, shelf)

    def part(self, room: Room, place: Place, shelf: Shelf) -> None:
        """The opposite."""
        for crowd in self._kept.values():
            if room.turn in crowd.turns:
                crowd.part(room.turn, place, shelf)

    def forget(self, shelves: Collection[Shelf]) -> None:
        """These shelves are gone; nobody stands there."""
        for crowd in self._kept.values():
            for shelf in shelves:
                crowd.beside.pop(shelf, None)

    # -- inside -----------------------------------------------------------------------------------------------------
    def _hosts(self, mark: Mark) -> Mapping[str, int]:
        side, group = mark
        return self._view.where(group) if side == "with" else self._view.shunning(group)

    def _has(self, crowd: Crowd, room: Room) -> bool:
        return any(room.host in self._hosts(mark) for mark in crowd.marks)

    def _rooms(self, marks: Iterable[Mark]) -> Iterator[tuple[Room, Place]]:
        """Hosts that stand on shelves and have any of these marks."""
        for host in {host for mark in marks for host in self._hosts(mark)}:
            room = self._view.rooms[host]
            if room.place is not None:
                yield room, room.place

    def _make(self, marks: frozenset[Mark]) -> Crowd:
        while len(self._kept) >= CROWDS:
            self._drop(next(iter(self._kept)))
        crowd = Crowd(marks)
        for mark in marks:
            self._marked.setdefault(mark, []).append(crowd)
        for room, place in self._rooms(marks):
            crowd.come(room.turn, place)
        return crowd

    def _drop(self, marks: frozenset[Mark]) -> None:
        crowd = self._kept.pop(marks)
        for room, place in self._rooms(marks):
            crowd.go(room.turn, place)
        for mark in marks:
            self._marked[mark].remove(crowd)
            if not self._marked[mark]:
                del self._marked[mark]


def others(cell: list[int], beside: list[int]) -> Iterator[int]:
    """What of a cell is not in the one beside it, which has nothing else: the last first.

    Between two that differ each run of equals is passed over in as many steps as it takes to halve it to nothing.
    """
    end, least = len(cell), len(beside)
    while end:
        least = bisect_right(beside, cell[end - 1], 0, least)
        run = range(1, min(end, least) + 1)
        same = bisect_left(run, True, key=lambda back: cell[end - back] != beside[least - back])
        end -= same
        least -= same
        if end:
            yield cell[end - 1]
            end -= 1
