"""What hosts did wrong lately: starts that failed there, and times at which they fell silent.

Nothing of it is stored: a controller that starts gives every host another chance. A host that falls silent once is
given work again as soon as it is back. One that does it again and again has to prove steady first, or machines would
be placed on it between two of its absences.
"""

from __future__ import annotations

WINDOW_SECONDS = 600.0  # what is older is forgotten
SILENCES = 2  # so many within the window make a host unsteady
STEADY_SECONDS = 60.0  # it must be heard for so long then


class Troubles:
    """By host id; times are monotonic seconds."""

    def __init__(self) -> None:
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
        if times >= SILENCES:
            self._unsteady[host] = now + STEADY_SECONDS, times

    def failures(self, host: str) -> int:
        """Starts that failed there and are not forgotten."""
        return len(self._failed.get(host, ()))

    def unsteady(self, host: str) -> str:
        """Why it gets nothing although it is well; empty when it may."""
        if host not in self._unsteady:
            return ""
        return f"silent {self._unsteady[host][1]} times lately, it must be heard for {STEADY_SECONDS:g} seconds first"

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
