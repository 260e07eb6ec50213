"""What hosts did wrong lately: starts that failed there, and times at which they fell silent.

Nothing of it is stored: a controller that starts gives every host another chance. A host that falls silent once is
given work again as soon as it is back. One that does it again and again has to prove steady first, or machines would
be placed on it between two of its absences.
"""

from __future__ import annotations

WINDOW_SECONDS = 600.0  # what is older is forgotten
SILENCES = 2  # so many within the window make a host unsteady


class Troubles:
    """By host id; times are monotonic seconds. ``steady_seconds``: what it must be heard for then; 0: it need not."""

    def __init__(self, steady_seconds: float) -> None:
        self._steady_seconds = steady_seconds
        self._failed: dict[str, list[float]] = {}
        self._silent: dict[str, list[float]] = {}
        self._unsteady: dict[str, tuple[float, int]] = {}  # until when, and how often it was silent

    def start_failed(self, host: str, now: float) -> None:
        self._failed.setdefault(host, []).append(now)

    def fell_silent(self, host: str, now: float) -> None:
        self._silent.setdefault(host, []).append(now)
        self._unsteady.pop(host, None)

    def is_back(self, host: str, now: float) -> None:
        """It is heard again, and what runs there is known."""
        times = sum(now - when < WINDOW_SECONDS for when in self._silent.get(host, ()))
        if times >= SILENCES and self._steady_seconds:
            self._unsteady[host] = now + self._steady_seconds, times

    def failures(self, host: str) -> int:
        """Starts that failed there and are not forgotten."""
        return len(self._failed.get(host, ()))

    def unsteady(self, host: str) -> str:
        """Why it gets nothing although it is well; empty when it may."""
        if host not in self._unsteady:
            return ""
        times, seconds = self._unsteady[host][1], self._steady_seconds
        return f"silent {times} times lately, it must be heard for {seconds:g} seconds first"

    def pass_time(self, now: float) -> list[str]:
        """Forget what is old; the hosts of which something else is so now."""
        changed = {host for host, (until, _) in self._unsteady.items() if now >= until}
        for host in changed:
            del self._unsteady[host]
        for book in (self._failed, self._silent):
            for host, times in list(book.items()):
                if now - times[0] >= WINDOW_SECONDS:
                    book[host] = [when for when in times if now - when < WINDOW_SECONDS]
                    changed.add(host)
                    if not book[host]:
                        del book[host]
        return sorted(changed)
