"""Who has which machines when, and when so many are free. Pure arithmetic over reservations.

A span is from ``begin`` to before ``end``, in seconds since 1970.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from math import inf

from tashi.model.machine import Machine
from tashi.model.reservation import Reservation
from tashi.model.units import stamp
from tashi.wire.errors import Code, Refused

Calendar = Mapping[str, Sequence[Reservation]]  # machine -> what it is reserved for


def in_the_way(calendar: Calendar, machine: str, begin: float, end: float) -> Reservation | None:
    """The first reservation of a machine that meets the span."""
    meets = [each for each in calendar.get(machine, ()) if each.from_wall < end and begin < each.until_wall]
    return min(meets, key=lambda each: each.from_wall, default=None)


def free(calendar: Calendar, machines: Iterable[str], begin: float, end: float) -> list[str]:
    """Those that nobody has at any time of the span, in their order."""
    return [machine for machine in machines if in_the_way(calendar, machine, begin, end) is None]


def next_begin(calendar: Calendar, machines: Collection[str], count: int, begin: float, seconds: float) -> float | None:
    """The first instant from ``begin`` on at which ``count`` of them are free for so long; None where there are fewer.

    That is ``begin`` itself, or when a reservation ends.
    """
    if len(machines) < count:
        return None
    firsts, lasts = list[float](), list[float]()  # of the spans in which a machine can't be begun with
    for machine in machines:
        last = -inf
        for each in sorted(calendar.get(machine, ()), key=lambda each: each.from_wall):
            first = each.from_wall - seconds
            if first < last:
                lasts[-1] = each.until_wall  # too short a gap
            else:
                firsts.append(first)
                lasts.append(each.until_wall)
            last = each.until_wall
    firsts.sort()
    lasts.sort()
    for instant in (begin, *lasts[bisect_right(lasts, begin) :]):
        taken = bisect_left(firsts, instant) - bisect_right(lasts, instant)
        if len(machines) - taken >= count:
            return instant
    raise AssertionError("after the last reservation all are free")


def current(calendar: Calendar, machine: str, wall: float) -> Reservation | None:
    """Whose it is at this instant."""
    return next((each for each in calendar.get(machine, ()) if each.covers(wall)), None)


def next_after(calendar: Calendar, machine: str, wall: float) -> Reservation | None:
    """The first one that has not begun."""
    later = (each for each in calendar.get(machine, ()) if each.from_wall > wall)
    return min(later, key=lambda each: each.from_wall, default=None)


def who_has(held: Reservation) -> str:
    return f"{held.owner} has it from {stamp(held.from_wall)} until {stamp(held.until_wall)} ({held.id})"


def refuse_removal(calendar: Calendar, machine: Machine) -> None:
    """A machine that is somebody's, now or later, stays."""
    taken = min(calendar.get(machine.id, ()), key=lambda each: each.from_wall, default=None)
    if taken is not None:
        raise Refused(Code.WRONG_STATE, f"{machine.name}: {who_has(taken)}", f"zoni-release {taken.id}")
