"""What a host offers, as it was reported and as an administrator limits it."""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple


class Reservation(NamedTuple):
    """A host is for these users and groups only, until a wall-clock instant (0: no end)."""

    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    until_wall: float = 0.0

    def admits(self, owner: str, groups: frozenset[str], wall: float) -> bool:
        """Whether this owner may have the host at an instant."""
        over = bool(self.until_wall) and wall >= self.until_wall
        return over or owner in self.users or not groups.isdisjoint(self.groups)


class Supply(NamedTuple):
    """One host. ``cores`` and ``memory_bytes`` are what it reports; what is placed on it is counted elsewhere.

    ``kept_*`` is left to the host itself, ``foreign_*`` is what guests that are not ours use. The ratios say how much
    may be promised of what remains. ``closed``: why its administrator gives it nothing (draining). ``unwell``: why it
    can't take anything now (silent, degraded, back so shortly that it must prove steady). ``disk``: (pool, bytes) of
    its own pools. ``failures``: of its starts lately, 0 when all is well.
    """

    host: str
    cores: int
    memory_bytes: int
    kept_cores: int = 0
    kept_memory_bytes: int = 0
    cores_ratio: Fraction = Fraction(1)
    memory_ratio: Fraction = Fraction(1)
    foreign_cores: int = 0
    foreign_memory_bytes: int = 0
    disk: tuple[tuple[str, int], ...] = ()
    closed: str = ""
    unwell: str = ""
    features: frozenset[str] = frozenset()
    networks: frozenset[str] = frozenset()
    labels: frozenset[tuple[str, str]] = frozenset()
    versions: tuple[tuple[str, str], ...] = ()
    reservation: Reservation | None = None
    failures: int = 0

    @property
    def core_limit(self) -> int:
        """Cores that may be promised in all."""
        return max(0, int(max(0, self.cores - self.kept_cores) * self.cores_ratio) - self.foreign_cores)

    @property
    def memory_limit(self) -> int:
        """Bytes of memory that may be promised in all."""
        most = int(max(0, self.memory_bytes - self.kept_memory_bytes) * self.memory_ratio)
        return max(0, most - self.foreign_memory_bytes)
