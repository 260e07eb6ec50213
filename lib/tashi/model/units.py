"""Sizes, durations and instants as people write them, and back.

Sizes are bytes. ``4G`` and ``4GiB`` both mean 4 x 2^30, as in every hypervisor tool; ``4GB`` means 4 x 10^9.
Durations are seconds: ``90``, ``90s``, ``5m``, ``2h``, ``7d``.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache

SIZE_MAX = 2**60  # 1 EiB: larger numbers are mistakes, and stay exact in every JSON reader's 64 bits

_POWER = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_LETTERS = ("", "K", "M", "G", "T", "P")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgtp]?)(i?b)?", re.ASCII | re.IGNORECASE)
_SPAN = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(s|m|h|d)?", re.ASCII)
_DAY = re.compile(r"([0-9]{4})-([0-9]{2})(?:-([0-9]{2}))?", re.ASCII)
_MINUTE = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})T([01][0-9]|2[0-3]):([0-5][0-9])Z?", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_size(text: str) -> int:
    """Bytes from ``512M``, ``1.5GiB``, ``4GB``, ``65536``. Raises ValueError naming the bad value."""
    found = _SIZE.fullmatch(text.strip()) if len(text) < 64 else None
    if not found:
        raise ValueError(f"{text[:40]!r} is not a size: write 512M, 4G, 1.5GiB or bytes")
    number, letter, suffix = found[1], found[2].lower(), (found[3] or "").lower()
    factor: int = (1000 if suffix == "b" else 1024) ** _POWER[letter]
    whole, _, part = number.partition(".")
    size = int(whole) * factor + (int(part) * factor // 10 ** len(part) if part else 0)
    if not 0 < size <= SIZE_MAX:
        raise ValueError(f"{text!r} is out of range: sizes are 1 byte to 1EiB")
    return size


@lru_cache(maxsize=1024)  # a list shows the same few over and over
def format_size(size: int | None) -> str:
    """``4294967296`` as ``4G``, ``1610612736`` as ``1.5G``, ``8590983168`` as ``8193M``; an absent size is ``-``.

    What has to be rounded keeps its decimal, ``8.0G``: it is not the same as ``8G``.
    """
    if size is None:
        return "-"
    power = next((power for power in range(len(_LETTERS) - 1) if abs(size) < 1024 ** (power + 1)), len(_LETTERS) - 1)
    unit = 1024**power
    if size * 10 % unit == 0:
        return f"{size / unit:.1f}".removesuffix(".0") + _LETTERS[power]
    if power > 1 and size * 1024 % unit == 0:
        return f"{size * 1024 // unit}{_LETTERS[power - 1]}"
    return f"{size / unit:.1f}{_LETTERS[power]}"


def parse_seconds(text: str) -> float:
    """Seconds from ``90``, ``1.5s``, ``5m``, ``2h``, ``7d``. Raises ValueError naming the bad value."""
    found = _SPAN.fullmatch(text.strip()) if len(text) < 64 else None
    if not found:
        raise ValueError(f"{text[:40]!r} is not a duration: write 90, 30s, 5m, 2h or 7d")
    return float(found[1]) * _SECONDS[found[2] or "s"]


def format_seconds(seconds: float | None) -> str:
    """``0.62`` as ``0.62s``, ``90`` as ``1m30s``, ``7300`` as ``2h01m``; absent is ``-``."""
    if seconds is None:
        return "-"
    if seconds < 60:
        return f"{seconds:.2f}".rstrip("0").rstrip(".") + "s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m" if hours < 48 else f"{hours // 24}d{hours % 24}h"


def stamp(wall_seconds: float) -> str:
    """A wall-clock instant (seconds since 1970) as ISO 8601 UTC with milliseconds."""
    return _stamp(int(wall_seconds * 1000))


@lru_cache(maxsize=16)  # everything that happens in one batch happens in a few of these
def _stamp(milliseconds: int) -> str:
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03d}Z"


@lru_cache(maxsize=4)
def _second(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


@lru_cache(maxsize=64)
def day_of(wall_seconds: float) -> str:
    """The day of an instant, UTC: ``2026-11-23``."""
    return f"{datetime.fromtimestamp(wall_seconds, UTC):%Y-%m-%d}"


def month_begin(wall_seconds: float) -> int:
    """When the month of an instant began, UTC, in seconds since 1970."""
    day = datetime.fromtimestamp(wall_seconds, UTC)
    return int(datetime(day.year, day.month, 1, tzinfo=UTC).timestamp())


def parse_day(text: str) -> int:
    """When a day or a month began, UTC: ``2026-11-23``, ``2026-11``. Raises ValueError naming the bad value."""
    wrong = f"{text[:40]!r} is not a day: write 2026-11-23, or 2026-11 for the first of a month"
    found = _DAY.fullmatch(text.strip())
    if not found:
        raise ValueError(wrong)
    try:
        return int(datetime(int(found[1]), int(found[2]), int(found[3] or 1), tzinfo=UTC).timestamp())
    except ValueError:
        raise ValueError(wrong) from None


def parse_minute(text: str) -> int:
    """When a minute began, UTC: ``2026-12-24T18:00``. Raises ValueError naming the bad value."""
    found = _MINUTE.fullmatch(text.strip())
    if not found:
        raise ValueError(f"{text[:40]!r} is not a minute: write 2026-12-24T18:00")
    return parse_day(found[1]) + int(found[2]) * 3600 + int(found[3]) * 60


def unstamp(text: str) -> float:
    """The instant that `stamp` wrote, in seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()
