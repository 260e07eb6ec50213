"""How long a device takes, learnt from how long it took: the estimator of RFC 6298 for round trips."""

from __future__ import annotations

from msgspec import Struct


class Latency(Struct):
    """Smoothed seconds and their deviation. ``misses``: calls in a row that were given up."""

    mean: float = -1.0
    deviation: float = 0.0
    misses: int = 0

    def note(self, seconds: float, ended: bool) -> None:
        """A call took ``seconds`` and ended, or was given up: then it would have taken longer, nobody knows how
        much."""
        if not ended:
            self.misses += 1
            return
        if self.mean < 0:
            self.mean, self.deviation = seconds, seconds / 2
        else:
            self.deviation += (abs(self.mean - seconds) - self.deviation) / 4
            self.mean += (seconds - self.mean) / 8
        self.misses = 0

    def expected(self, least: float, most: float) -> float:
        """Seconds after which a call is given up: between these two, and ``most`` while nothing was learnt."""
        if self.mean < 0:
            return most
        return min(most, max(least, self.mean + 4 * self.deviation) * 2.0 ** min(self.misses, 10))
