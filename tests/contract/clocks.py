"""A clock for tests."""

from __future__ import annotations


class StillClock:
    """Passes by sleeping alone."""

    def __init__(self) -> None:
        self._now = 1000.0

    def now(self) -> float:
        return self._now

    def sleep(self, seconds: float) -> None:
        self._now += seconds
