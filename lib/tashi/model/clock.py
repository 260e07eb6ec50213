"""The two clocks that a decision is given."""

from __future__ import annotations

from msgspec import Struct


class Now(Struct, frozen=True, gc=False):
    """Decisions use ``monotonic`` (seconds from anywhere), stamps use ``wall`` (seconds since 1970)."""

    monotonic: float
    wall: float
