"""The two clocks that a decision is given."""

from __future__ import annotations

from typing import NamedTuple


class Now(NamedTuple):
    """Decisions use ``monotonic`` (seconds from anywhere), stamps use ``wall`` (seconds since 1970)."""

    monotonic: float
    wall: float
