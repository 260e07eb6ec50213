"""How much of what agents say is heard: one that reports without end has a budget, and costs the others nothing.

What is above it is dropped before it is read, and nothing is lost by that: agents say again what was not acknowledged.
Each kind of message has a budget of its own, so that beats get through however much is reported beside them.
"""

from __future__ import annotations

import re
from collections import Counter

from tashi.core.rate import Rate

# (a second on average, at once after a rest). A host's guests may all end in one moment, and an agent that was alone
# for long has much to tell; the rest of what agents say is said a few times a minute, or with each heartbeat.
REPORTS = (1000.0, 10_000.0)
OTHERS = (50.0, 200.0)
KINDS = {b"tell": REPORTS, b"beat": OTHERS}
_kind = re.compile(rb'\s*{\s*"say"\s*:\s*"(tell|beat)"').match
QUIET_SECONDS = 60.0  # without a dropped message: the flood is over


class Floods:
    """By the key of each agent. ``dropped``: how many messages were not heard, since the start."""

    def __init__(self) -> None:
        self.dropped: Counter[str] = Counter()
        self._budgets: dict[tuple[str, bytes], Rate] = {}
        self._last: dict[str, float] = {}  # when one was dropped, monotonic

    def heard(self, key: str, payload: bytes | memoryview | None, now: float) -> bool:
        """Whether this message is within its sender's budget; counted either way."""
        found = _kind(payload or b"")
        kind = found[1] if found is not None else b""
        budget = self._budgets.get((key, kind))
        if budget is None:
            budget = self._budgets[key, kind] = Rate(*KINDS.get(kind, OTHERS))
        if budget.take(now):
            return True
        self.dropped[key] += 1
        return False

    def begins(self, key: str, now: float) -> bool:
        """A message was dropped: whether it is the first after a time without."""
        last = self._last.get(key)
        self._last[key] = now
        return last is None or now - last > QUIET_SECONDS
