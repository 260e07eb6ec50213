"""A decoder's complaint becomes a sentence; what it says is not lost."""

from __future__ import annotations

import pytest

from tashi.core.plainly import plainly


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Expected `int` >= 1048576 - at `$.memory_bytes`", "memory_bytes: at least 1048576"),
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
