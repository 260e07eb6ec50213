"""The old end of the change log: how much of it is kept, and whether the store is near its limit all the same."""

from __future__ import annotations

from typing import NamedTuple

from tashi.model.clock import Now
from tashi.run.log import Log
from tashi.wire.errors import TashiError, Unavailable
from tashid.store.interface import Store

AT_ONCE = 1000  # entries
SECONDS = 0.005, 1.0, 60.0  # until it is looked at again: when more is to go, when not, when it is damaged
NEARLY_FULL = 0.8  # of the store's limit


class Retention(NamedTuple):
    """How much of the change log is kept."""

    entries: int
    seconds: float


class Tail:
    """``due`` is when there is something to do, in monotonic seconds."""

    def __init__(self, store: Store, retention: Retention, log: Log) -> None:
        self._store, self._retention, self._log = store, retention, log
        self._nearly_full = False
        self.due = 0.0

    def cut(self, now: Now) -> None:
        """Drop a little, if it is time; at once again while there is more to drop."""
        if now.monotonic < self.due:
            return
        more, no_more, damaged = SECONDS
        try:
            gone = self._store.prune(self._retention.entries, now.wall - self._retention.seconds, AT_ONCE)
            self._look_at_size()
            again = more if gone == AT_ONCE else no_more
        except TashiError as error:
            self._log.error("can't prune the change log", error=error.text, hint=error.hint)
            again = no_more if isinstance(error, Unavailable) else damaged
        self.due = now.monotonic + again

    def _look_at_size(self) -> None:
        """Say it once when the store comes near its limit, while there is time to do something about it."""
        used, limit = self._store.usage()
        nearly_full = used >= NEARLY_FULL * limit
        if nearly_full and not self._nearly_full:
            self._log.warning("the store is nearly full", bytes=used, store_limit=limit)
        self._nearly_full = nearly_full
