"""Sizes as people read them: short, and never another size than it is."""

from __future__ import annotations

import pytest

from tashi.model.units import format_size, parse_minute, parse_size, stamp

MIB, GIB = 2**20, 2**30


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0"),
        (510, "510"),
        (1536, "1.5K"),
        (8 * GIB, "8G"),
        (GIB * 3 // 2, "1.5G"),
        (8193 * MIB, "8193M"),
        (8 * GIB + 1, "8.0G"),
        (-1536 * MIB, "-1.5G"),
        (1331 * GIB, "1331G"),
        (2**60, "1024P"),
    ],
)
def test_what_is_shown_is_what_it_is(size: int, shown: str) -> None:
    assert format_size(size) == shown


@pytest.mark.parametrize("size", [512 * MIB, 8193 * MIB, 10 * GIB, 1025 * GIB])
def test_whole_sizes_are_read_back_as_they_were(size: int) -> None:
    assert parse_size(format_size(size)) == size


def test_a_minute_in_utc() -> None:
    assert (
        stamp(parse_minute("2026-12-24T18:05"))
        == stamp(parse_minute("2026-12-24T18:05Z"))
        == "2026-12-24T18:05:00.000Z"
    )


@pytest.mark.parametrize(
    "text", ["2026-12-24", "2026-12-24T24:00", "2026-12-24T18:60", "2026-02-30T10:00", "2026-12T10:00", "T10:00"]
)
def test_what_is_no_minute(text: str) -> None:
    with pytest.raises(ValueError, match=text[:10]):
        parse_minute(text)
