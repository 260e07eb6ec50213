"""The network between programs: it loses, doubles, delays and reorders messages, and it is cut.

A message travels over a link, named by the programs at its ends. Each link has its own mood (`Weather`); a cut link
delivers nothing, in either direction or in one. Real connections keep their order and lose only at their end: this
network is worse, on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tashi.sim.world import World


@dataclass(frozen=True)
class Weather:
    """Probabilities for each message; delays in seconds (exponential, with a rare long one)."""

    lose: float = 0.0
    double: float = 0.0
    delay: float = 0.002
    stray: float = 0.0  # probability of a long delay
    stray_delay: float = 20.0


CALM = Weather()
ROUGH = Weather(lose=0.05, double=0.05, delay=0.05, stray=0.02)


@dataclass
class Mishap:
    """What becomes of the next so many messages of a kind (empty: of any) on a link, instead of arriving as sent."""

    source: str
    target: str
    messages: int
    kind: str = ""
    copies: int = 1  # 0: lost
    late: float = 0.0  # seconds


class Network:
    """Carries messages; ``cut`` and ``heal`` by the names of two ends."""

    def __init__(self, world: World, weather: Weather = CALM) -> None:
        self.world = world
        self.weather = weather
        self.mishaps: list[Mishap] = []
        self._cut: set[tuple[str, str]] = set()  # (from, to)

    def send(self, source: str, target: str, deliver: Callable[[], None], kind: str = "") -> None:
        """Hand a message over. ``deliver`` is called once, never, or several times; each time at its own moment."""
        world, weather = self.world, self.weather
        copies, late = self._mishap(source, target, kind)
        for _ in range(2 * copies if world.happens(weather.double) else copies):
            if world.happens(weather.lose):
                continue
            delay = late + world.chance.expovariate(1 / weather.delay)
            if world.happens(weather.stray):
                delay += world.chance.random() * weather.stray_delay
            world.after(delay, lambda: self._arrive(source, target, deliver))

    def reaches(self, source: str, target: str) -> bool:
        return (source, target) not in self._cut

    def cut(self, one: str, other: str, both: bool = True) -> None:
        """Let nothing through from ``one`` to ``other``, nor back when ``both``."""
        self._cut.add((one, other))
        if both:
            self._cut.add((other, one))

    def heal(self, one: str, other: str) -> None:
        """Undo any cut between the two."""
        self._cut -= {(one, other), (other, one)}

    def heal_all(self) -> None:
        self._cut.clear()
        self.mishaps.clear()

    def cuts(self) -> list[tuple[str, str]]:
        return sorted(self._cut)

    def _mishap(self, source: str, target: str, kind: str) -> tuple[int, float]:
        """How many copies of a message arrive, and so many seconds later than usual."""
        for mishap in self.mishaps:
            if (mishap.source, mishap.target) == (source, target) and mishap.kind in ("", kind):
                mishap.messages -= 1
                if not mishap.messages:
                    self.mishaps.remove(mishap)
                return mishap.copies, mishap.late
        return 1, 0.0

    def _arrive(self, source: str, target: str, deliver: Callable[[], None]) -> None:
        if self.reaches(source, target):
            deliver()
