"""A circuit breaker: a device that does not answer is left alone for a while, then asked once, then for longer.

closed -> (so many failures in a row, or a refused password) -> open -> (its time is up) -> half open: one call goes
through -> closed again, or open for twice as long. A wrong password opens it at once and for longest: BMCs lock users.
"""

from __future__ import annotations

from zlib import crc32

from msgspec import Struct


class Breaker(Struct):
    """``until``: the instant at which one call may go through; 0 while it is closed."""

    failures: int = 0
    opened: int = 0
    until: float = 0.0
    why: str = ""

    def refuses(self, now: float) -> bool:
        """Whether a call has to be refused now."""
        return now < self.until

    def succeed(self) -> None:
        """The device answered, if only with a refusal."""
        self.failures, self.opened, self.until, self.why = 0, 0, 0.0, ""

    def fail(self, why: str, now: float, allowed: int, seconds: float, longest: float, name: str) -> bool:
        """It did not. Whether that opened it, for ``seconds``, doubled each time up to ``longest``."""
        self.failures, self.why = self.failures + 1, why
        if self.failures < allowed and not self.opened:
            return False
        self._open(now, min(longest, seconds * 2.0 ** min(self.opened, 20)), name)
        return True

    def lock(self, why: str, now: float, longest: float, name: str) -> None:
        """It does not let us in."""
        self.failures, self.why = self.failures + 1, why
        self._open(now, longest, name)

    def _open(self, now: float, seconds: float, name: str) -> None:
        """A part of the time is the device's own, or a whole rack that fails at once would be tried at once."""
        self.opened += 1
        self.until = now + seconds * (1.0 + crc32(name.encode()) % 256 / 1024)
