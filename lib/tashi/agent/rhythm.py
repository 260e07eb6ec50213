"""When an agent looks at all that it has, beats, says again what was not heard, and takes its controller for silent.

All times are monotonic seconds.
"""

from __future__ import annotations

from math import inf

INVENTORY_SECONDS = 60.0  # all is looked at anew so often, whatever events were lost
INVENTORY_RETRY_SECONDS = 2.0
ALL_AGAIN_SECONDS = 15.0  # until another inventory is made, when one was told and not heard
RETELL_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


class Rhythm:
    def __init__(self) -> None:
        self._heartbeat_seconds, self._missed = 1.0, 5  # until the controller says otherwise
        self._look_due = self._beat_due = self._retell_due = 0.0
        self._pulse_at = 0.0
        self._retells = 0

    def begin(self, now: float, heartbeat_seconds: float, missed: int) -> None:
        """The controller has greeted us: all is due at once."""
        self._heartbeat_seconds, self._missed = heartbeat_seconds, missed
        self._retells, self._retell_due = 0, now
        self._look_due = self._beat_due = now

    def look_at(self, due: float) -> None:
        """The next look at all is then, no sooner and no later."""
        self._look_due = due

    def pulse(self, now: float) -> None:
        """The controller was heard."""
        self._pulse_at = now

    def silent(self, now: float) -> bool:
        """Whether the controller should have been heard by now."""
        return now - self._pulse_at > self._heartbeat_seconds * self._missed

    def looks(self, now: float) -> bool:
        """Whether it is time to look at all; if so, the next time is set."""
        is_due = now >= self._look_due
        if is_due:
            self._look_due = now + INVENTORY_SECONDS
        return is_due

    def beats(self, now: float) -> bool:
        """Whether a heartbeat is due; if so, the next time is set."""
        is_due = now >= self._beat_due
        if is_due:
            self._beat_due = now + self._heartbeat_seconds
        return is_due

    def tells_again(self, now: float, unheard: bool) -> bool:
        """Whether to say again what was not heard; each time it takes longer, until all was heard."""
        if not unheard:
            self._retells, self._retell_due = 0, now + RETELL_SECONDS[0]
        elif now >= self._retell_due:
            delay = RETELL_SECONDS[min(self._retells, len(RETELL_SECONDS) - 1)]
            self._retells, self._retell_due = self._retells + 1, now + delay
            return True
        return False

    def next_due(self, listening: bool, looking: bool, unheard: bool) -> float:
        """When any of it is due. While all is looked at already, ``looking``, another look is not."""
        due = [inf if looking else self._look_due]
        if listening:
            due.append(self._beat_due)
            if unheard:
                due.append(self._retell_due)
        return min(due)
