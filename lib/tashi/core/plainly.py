"""What a decoder found wrong with a request, in words for the person who typed it."""

from __future__ import annotations

import re
from collections.abc import Callable

from tashi.model.shorten import shorten
from tashi.model.units import day_of, format_seconds, format_size

_AT = re.compile(r"(.*?)(?: - at `(?:key in )?\$\.?([^`]*)`)?", re.DOTALL)
_EXPECTED = re.compile(r"Expected `(\w+)`(?: of length)? (>=|<=) (-?[0-9.e+]+)")
_KINDS = re.compile(r"Expected `([^`]*)`, got `([^`]*)`")
_MISSING = re.compile(r"Object missing required field `([^`]*)`")
_WORDS = {"int": "a whole number", "float": "a number", "str": "a text", "array": "a list", "object": "a table"}
_SIGNS = {">=": "at least", "<=": "at most"}
_INSTANTS = {">=": "not before", "<=": "not after"}
# fields that are typed by another name: what every request may have, and the odd ones of a few
_TYPED = {"why": "--reason", "owner": "--owner", "only": "--host", "timeout": "--grace"}
# how a field with a unit ends: (its signs, its numbers as people write them, what else there is to say)
_UNITS: dict[str, tuple[dict[str, str], Callable[[float], str], str]] = {
    "_bytes": (_SIGNS, lambda number: format_size(int(number)), "; a bare number is bytes"),
    "_seconds": (_SIGNS, format_seconds, ""),
    "_wall": (_INSTANTS, day_of, ""),
}


def plainly(text: str) -> str:
    """``Expected `int` >= 1 - at `$.cores` `` as ``cores: at least 1``; a text it does not know stays as it is."""
    found = _AT.fullmatch(text)
    what, where = (found[1], (found[2] or "").removeprefix("parts.")) if found is not None else (text, "")
    if bound := _EXPECTED.fullmatch(what):
        where, what = _bound(where, *bound.groups())
    elif missing := _MISSING.fullmatch(what):
        where, what = missing[1], "is missing"
    elif kinds := _KINDS.fullmatch(what):
        wanted = " or ".join(_WORDS.get(each.strip(), each.strip()) for each in kinds[1].split("|"))
        what = f"{wanted} is wanted, not {_WORDS.get(kinds[2], kinds[2])}"
    return shorten(f"{_TYPED.get(where, where)}: {what}" if where else what, 400)


def _bound(where: str, kind: str, sign: str, number: str) -> tuple[str, str]:
    """The field as people name it, and its bound."""
    for ending, (signs, written, more) in _UNITS.items():
        if where and where.endswith(ending) and kind in ("int", "float"):
            return where.removesuffix(ending), f"{signs[sign]} {written(float(number))}{more}"
    return where, f"{_SIGNS[sign]} {number}" + {"str": " characters", "array": " of them"}.get(kind, "")
