"""Coarse measures of what is free, so that a host's place in the order is one of few.

A score looks at free cores and memory in grains of the host's size: at most 64 levels of cores, 256 of memory, 32 of
each of its own pools. What fits is counted exactly all the same. Hosts that differ a little, as machines of one
delivery do, have one geometry.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

CORE_LEVELS, MEMORY_LEVELS, DISK_LEVELS = 64, 256, 32
STEP = 16  # sizes in levels are rounded up to this: of memory, which machines report to the page
SCALE = 500  # an empty host's distance to a full one, in points, for each of cores and memory


class Geometry(NamedTuple):
    """Grains are powers of two; ``*_full`` is how many levels an empty host has, at least 1."""

    core_grain: int
    core_full: int
    memory_grain: int
    memory_full: int

    def after(self, free_cores: int, cores: int, free_memory: int, memory: int) -> tuple[int, int]:
        """How empty of cores and of memory a host is that has so much free and gives so much: 0 to SCALE each."""
        core_grain, core_full, memory_grain, memory_full = self
        return (
            (free_cores // core_grain - cores // core_grain) * SCALE // core_full,
            (free_memory // memory_grain - memory // memory_grain) * SCALE // memory_full,
        )

    def could_hold(self, cores: int, memory_bytes: int) -> bool:
        """Whether an empty host of this geometry may be large enough; one of it may be a little smaller."""
        return cores <= self.core_full * self.core_grain and memory_bytes <= self.memory_full * self.memory_grain


@lru_cache(maxsize=4096)
def geometry_of(cores: int, memory_bytes: int) -> Geometry:
    """The geometry of a host that may give so much when it is empty."""
    core_grain = _grain(cores, CORE_LEVELS)
    memory_grain = _grain(memory_bytes, MEMORY_LEVELS)
    memory_full = -(-memory_bytes // memory_grain)
    return Geometry(
        core_grain, max(1, -(-cores // core_grain)), memory_grain, max(STEP, -(-memory_full // STEP) * STEP)
    )


class Stock(NamedTuple):
    """A pool of a host's own: ``free`` of its ``full`` levels are free."""

    pool: str
    grain: int
    full: int
    free: int


def stock_of(pool: str, size: int, free: int) -> Stock:
    """A pool of so many bytes, of which so many are free."""
    grain = _grain(size, DISK_LEVELS)
    return Stock(pool, grain, max(1, -(-size // grain)), max(0, free // grain))


def _grain(size: int, levels: int) -> int:
    """The smallest power of two of which at most ``levels`` make up the size."""
    needed = -(-size // levels)
    return 1 << max(0, needed - 1).bit_length()
