"""What a decoder found wrong with a request, in words for the person who typed it."""

from __future__ import annotations

import re

_AT = re.compile(r"(.*?)(?: - at `(?:key in )?\$\.?([^`]*)`)?", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(\w+)`(?: of length)? (>=|<=) (-?[0-9.e+]+)")
_KINDS = re.compile(r"Expected `([^`]*)`, got `([^`]*)`")
_MISSING = re.compile(r"Object missing required field `([^`]*)`")
_WORDS = {"int": "a whole number", "float": "a number", "str": "a text", "array": "a list", "object": "a table"}
_SIGNS = {">=": "at least", "<=": "at most"}


def plainly(text: str) -> str:
    """``Expected `int` >= 1 - at `$.cores` `` as ``cores: at least 1``; a text it does not know stays as it is."""
    found = _AT.fullmatch(text)
    what, where = (found[1], found[2]) if found is not None else (text, "")
    if bound := _EXPECTED.fullmatch(what):
        what = f"{_SIGNS[bound[2]]} {bound[3]}" + {"str": " characters", "array": " of them"}.get(bound[1], "")
    elif missing := _MISSING.fullmatch(what):
        where, what = missing[1], "is missing"
    elif kinds := _KINDS.fullmatch(what):
        wanted = " or ".join(_WORDS.get(each.strip(), each.strip()) for each in kinds[1].split("|"))
        what = f"{wanted} is wanted, not {_WORDS.get(kinds[2], kinds[2])}"
    return (f"{where}: {what}" if where else what)[:400]
