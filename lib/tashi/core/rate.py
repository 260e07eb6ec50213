"""How often something may happen: a bucket that fills with time."""

from __future__ import annotations


class Rate:
    """``per_second`` on average, ``at_once`` after a rest. Seconds are the caller's, monotonic."""

    def __init__(self, per_second: float, at_once: float) -> None:
        self._per_second, self._at_once = per_second, at_once
        self._left, self._since = at_once, float("-inf")

    def take(self, now: float) -> bool:
        """Whether it may happen now; counted if so."""
        self._left = min(self._at_once, self._left + (now - self._since) * self._per_second)
        self._since = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
