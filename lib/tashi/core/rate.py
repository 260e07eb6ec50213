"""How often something may happen: a bucket that fills with time."""

from __future__ import annotations

PER_SECOND, AT_ONCE = 0.1, 10  # for each caller
ALL_PER_SECOND, ALL_AT_ONCE = 100 / 60, 100  # for all of them
CALLERS_KEPT = 1000


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


class Allowance:
    """How often callers may leave something in the change log by what is refused to them: nobody can flood it."""

    def __init__(self) -> None:
        self._each: dict[str, Rate] = {}
        self._all = Rate(ALL_PER_SECOND, ALL_AT_ONCE)

    def take(self, who: str, now: float) -> bool:
        """Whether this one may now; counted if so."""
        if len(self._each) >= CALLERS_KEPT:
            self._each.clear()
        own = self._each.setdefault(who, Rate(PER_SECOND, AT_ONCE))
        return own.take(now) and self._all.take(now)
