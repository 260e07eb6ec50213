"""Which machine is looked at next, when nobody asks: all of them in turn, a few at a time, none of them all the time.

One that takes long soon no longer counts among the few, so the dead and the slow don't keep the others waiting. A round
over many machines takes as long as their devices do; over few it takes ``EVERY_SECONDS``. While many are asked for,
nobody is looked at unasked: that would take the devices' time from those who wait.
"""

from __future__ import annotations

from math import inf

EVERY_SECONDS = 20.0
AT_ONCE = 16
COUNTED_SECONDS = 1.0  # that a look counts among those at once


class Watch:
    def __init__(self) -> None:
        self._turn: dict[str, float] = {}  # machine -> when it may be looked at again, in the order of their turns
        self._under_way: dict[str, float] = {}  # machine -> when its look was begun
        self._asked: set[str] = set()

    def add(self, machine: str, now: float) -> None:
        """Look at it in its turn; at once when it is new."""
        if machine not in self._under_way:
            self._turn.setdefault(machine, now)

    def drop(self, machine: str) -> None:
        self._turn.pop(machine, None)
        self._under_way.pop(machine, None)
        self._asked.discard(machine)

    def asked(self, machine: str) -> None:
        """Somebody waits for a look at it."""
        self._asked.add(machine)

    def answered(self, machine: str) -> None:
        """Nobody does any more."""
        self._asked.discard(machine)

    def looked(self, machine: str, now: float) -> None:
        """A look at it is over, whoever asked for it: its next turn is after all others."""
        self._under_way.pop(machine, None)
        self._turn.pop(machine, None)
        self._turn[machine] = now + EVERY_SECONDS

    def next(self, now: float) -> str:
        """The machine to look at now; empty when none is due."""
        first = next(iter(self._turn), "")
        if not first or self._turn[first] > now or self._busy() or len(self._counted(now)) >= AT_ONCE:
            return ""
        del self._turn[first]
        self._under_way[first] = now
        return first

    def due(self, now: float) -> float:
        """When `next` has one, in monotonic seconds."""
        first = next(iter(self._turn), "")
        if not first or self._busy():
            return inf
        counted = self._counted(now)
        free = min(counted) + COUNTED_SECONDS if len(counted) >= AT_ONCE else now
        return max(self._turn[first], free)

    def _busy(self) -> bool:
        return len(self._asked) > AT_ONCE

    def _counted(self, now: float) -> list[float]:
        return [began for began in self._under_way.values() if now - began < COUNTED_SECONDS]
