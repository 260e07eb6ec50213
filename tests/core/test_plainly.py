"""A decoder's complaint becomes a sentence; what it says is not lost."""

from __future__ import annotations

import pytest

from tashi.core.plainly import plainly


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Expected `int` >= 1048576 - at `$.memory_bytes`", "memory: at least 1M; a bare number is bytes"),
        ("Expected `int` <= 1152921504606846976 - at `$.disk_bytes`", "disk: at most 1024P; a bare number is bytes"),
        ("Expected `float` >= 0.0 - at `$.from_wall`", "from: not before 1970-01-01"),
        ("Expected `float` <= 31536000.0 - at `$.hold_seconds`", "hold: at most 365d0h"),
        ("Expected `str` of length <= 200 - at `$.why`", "--reason: at most 200 characters"),
        ("Expected `str` of length >= 1 - at `$.only`", "--host: at least 1 characters"),
        ("Expected `float` <= 31536000.0 - at `$.timeout_seconds`", "--grace: at most 365d0h"),
        ("Expected `array` of length <= 8 - at `$.nics`", "nics: at most 8 of them"),
        ("Expected `str` of length >= 1 - at `$.image`", "image: at least 1 characters"),
        ("Expected `int`, got `float` - at `$.cores`", "cores: a whole number is wanted, not a number"),
        ("Expected `str | null`, got `int` - at `$.host`", "host: a text or null is wanted, not a whole number"),
        ("Object missing required field `path`", "path: is missing"),
        ("Object contains unknown field `surprise`", "Object contains unknown field `surprise`"),
        ("JSON is malformed: invalid character (byte 0)", "JSON is malformed: invalid character (byte 0)"),
    ],
)
def test_it_is_said_plainly(text: str, said: str) -> None:
    assert plainly(text) == said
