"""How much a user or a host had claimed, as it changed: one tally for each of them and each day or month."""

from __future__ import annotations

from msgspec import Struct

Levels = tuple[int, int, int]  # cores, bytes of memory, bytes of disk
Amounts = tuple[float, float, float]  # the same, times seconds


class Tally(Struct, frozen=True, gc=False):
    """All changes of one ``period``, which began at ``begin`` (seconds since 1970).

    ``kind`` is user or host, ``name`` a user's name or a host's id. ``level`` is by how much the claims rose; ``late``
    is the same, each change times the seconds from ``begin`` to when it happened.
    """

    kind: str
    name: str
    period: str  # 2026-11-23, or once the days are no longer kept apart 2026-11
    begin: int
    level: Levels = (0, 0, 0)
    late: Amounts = (0.0, 0.0, 0.0)
