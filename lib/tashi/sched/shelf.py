"""Hosts of one geometry in the order in which they would be filled.

A row for each level of free cores, in it a cell for each level of free memory, in that the turns of the hosts. Rows
and cells that are not empty are the bits of integers, so the next one is a shift away. Numbers are kept negated: the
first host is the last of its list, where taking it out costs nothing however many there are.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

NOWHERE = -1  # the row and level of a host that has no place in the order


class Row:
    __slots__ = ("cells", "filled", "size")

    def __init__(self) -> None:
        self.filled = 0  # bit n: the cell of memory level n has hosts
        self.cells: dict[int, list[int]] = {}
        self.size = 0  # hosts in all cells


EMPTY = Row()


class Shelf:
    """``domains``: label -> value -> how many hosts that belong here have it, for labels over which groups are spread.

    A host that has nothing left to give belongs here all the same, it only has no place in the order.
    """

    __slots__ = ("domains", "filled", "levels", "rows")

    def __init__(self) -> None:
        self.filled = 0  # bit n: row n has hosts
        self.rows: list[Row] = []
        self.levels: list[int] = []  # how many hosts have this level of free memory, in all rows
        self.domains: dict[str, dict[str, int]] = {}

    def count(self, label: str, value: str, change: int) -> None:
        """Count a host in (1) or out (-1) of those with this value of a label."""
        values = self.domains.setdefault(label, {})
        left = values.get(value, 0) + change
        if left:
            values[value] = left
        else:
            del values[value]

    def put(self, turn: int, row: int, level: int) -> None:
        rows = self.rows
        while row >= len(rows):
            rows.append(Row())
        while level >= len(self.levels):
            self.levels.append(0)
        there = rows[row]
        there.size += 1
        self.levels[level] += 1
        cell = there.cells.get(level)
        if cell is None:
            there.cells[level] = [-turn]
            there.filled |= 1 << level
            self.filled |= 1 << row
        else:
            insort(cell, -turn)

    def take(self, turn: int, row: int, level: int) -> None:
        there = self.rows[row]
        there.size -= 1
        self.levels[level] -= 1
        cell = there.cells[level]
        if len(cell) > 1:
            del cell[bisect_left(cell, -turn)]
            return
        del there.cells[level]
        there.filled ^= 1 << level
        if not there.filled:
            self.filled ^= 1 << row

    def row(self, number: int) -> Row:
        """The row with this number; an empty one when nothing ever stood there."""
        return self.rows[number] if number < len(self.rows) else EMPTY

    def short_of_cores(self, row: int) -> int:
        """How many hosts stand in lower rows than this."""
        return sum(each.size for each in self.rows[:row])

    def short_of_memory(self, level: int) -> int:
        """How many hosts stand at lower levels than this."""
        return sum(self.levels[:level])

    def turns(self) -> Iterator[int]:
        """Every host that has a place here, in no order."""
        for row in self.rows:
            for cell in row.cells.values():
                yield from (-negated for negated in cell)
