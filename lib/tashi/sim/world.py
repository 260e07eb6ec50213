"""Simulated time: one heap of events, one source of chance, one log. Nothing happens beside it.

Everything in a run follows from its seed: the order of events with equal times is the order in which they were asked
for, and every draw comes from one generator. Times are seconds since the run began.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable

HASTE_MAX = 100
WALL_START = 1_767_225_600.0  # 2026-01-01, so that stamps in a log are the same in every run


class Violation(AssertionError):
    """An invariant does not hold; the text begins with its name."""


class Timer:
    """Something that will happen; ``drop`` unasks it."""

    __slots__ = ("act",)

    def __init__(self, act: Callable[[], None] | None) -> None:
        self.act = act

    def drop(self) -> None:
        self.act = None


class Haste:
    """Counts how often in a row a program asks to be woken in the past: one that goes on with that burns a core."""

    def __init__(self, who: str) -> None:
        self._who, self._times = who, 0

    def note(self, due: float, now: float) -> None:
        """Raise Violation at the hundredth time."""
        self._times = self._times + 1 if due <= now else 0
        if self._times >= HASTE_MAX:
            raise Violation(f"I4 {self._who} spins: it wants to be woken at {due:.3f}, it is {now:.3f}")


class World:
    """The clock, what is going to happen, chance, and what has been seen to happen."""

    def __init__(self, seed: int, keep_lines: int = 400, chance: random.Random | None = None) -> None:
        self.chance = chance or random.Random(seed)
        self.on_tell: Callable[[str, str], None] = lambda who, text: None
        self.seconds = 0.0
        self.wall_jump = 0.0  # the controller's wall clock is set by people; nothing may depend on it
        self.lines: list[str] = []
        self.events = 0
        self._keep_lines = keep_lines
        self._asked = 0
        self._heap: list[tuple[float, int, Timer]] = []

    @property
    def wall(self) -> float:
        return WALL_START + self.seconds + self.wall_jump

    def after(self, seconds: float, act: Callable[[], None]) -> Timer:
        """Do ``act`` in so many seconds (at least 0)."""
        self._asked += 1
        timer = Timer(act)
        heapq.heappush(self._heap, (self.seconds + max(seconds, 0.0), self._asked, timer))
        return timer

    def step(self, until: float) -> bool:
        """Let the next event happen, if it is due by ``until``; False when none is."""
        while self._heap:
            if self._heap[0][0] > until:
                break
            when, _, timer = heapq.heappop(self._heap)
            if timer.act is None:
                continue
            self.seconds = max(self.seconds, when)
            self.events += 1
            act, timer.act = timer.act, None
            act()
            return True
        self.seconds = max(self.seconds, until)
        return False

    def happens(self, probability: float) -> bool:
        return self.chance.random() < probability

    def tell(self, who: str, text: str) -> None:
        """A line of the log that people want to see, too."""
        self.say(who, text)
        self.on_tell(who, text)

    def say(self, who: str, text: str) -> None:
        """A line of the log; the oldest are forgotten when ``keep_lines`` is reached (0: none ever)."""
        self.lines.append(f"{self.seconds:9.3f}  {who:<12} {text}")
        if self._keep_lines and len(self.lines) > 2 * self._keep_lines:
            del self.lines[: -self._keep_lines]
