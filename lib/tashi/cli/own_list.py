"""Lists whose rows the command makes itself, with the filters and options that the controller's own lists have."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tashi.cli.call import Call
from tashi.cli.output import Failure
from tashi.cli.table import exact, fields_of, pick, print_records
from tashi.model.fields import Field
from tashi.wire.errors import Code, Refused

_FILTER = re.compile(r"([a-z_]+)(=~|!=|>=|<=|=|>|<)(.*)", re.DOTALL)
_ORDER: dict[str, Callable[[float, float], bool]] = {
    ">": lambda value, limit: value > limit,
    "<": lambda value, limit: value < limit,
    ">=": lambda value, limit: value >= limit,
    "<=": lambda value, limit: value <= limit,
}
Row = dict[str, Any]
Test = Callable[[Row], bool]


def print_own_list(call: Call, where: Sequence[str], make: Callable[[], Iterable[Row]]) -> None:
    """Print the rows that pass every filter, as the options say.

    Raises Refused for what is no filter or no field, and then ``make`` was not called.
    """
    fields, output = fields_of(call.noun), call.output
    tests = [test_of(fields, text) for text in where]
    pick(fields, output.fields, False)
    found = [row for row in make() if all(test(row) for test in tests)]
    if call.one and len(found) != 1:
        call.fail("", Failure(Code.CONFLICT, f"{'none matches' if not found else 'more than one match'}, -1 wants one"))
        return
    output.null = call.null
    if call.null and output.style == "table":
        output.style, output.fields = "tabs", output.fields or fields[0].key
    print_records(output, fields, found)
    call.succeeded += len(found)


def test_of(fields: Sequence[Field], text: str) -> Test:
    """A filter as typed, as a function of a row. Raises Refused that says what is wrong with it."""
    found = _FILTER.fullmatch(text)
    if found is None:
        raise Refused(Code.BAD_REQUEST, f"{text!r}: not a filter", "key=value, key!=value, key=~regexp, key>number")
    key, sign, wanted = found[1], found[2], found[3]
    known = {field.key for field in fields}
    key = next((each for each in (key, f"{key}s") if each in known), "")
    if not key:
        raise Refused(Code.BAD_REQUEST, f"{text!r}: no field {found[1]}", "-o help lists them")
    if sign == "=~":
        try:
            pattern = re.compile(wanted)
        except (re.error, OverflowError, RecursionError) as wrong:
            raise Refused(Code.BAD_REQUEST, f"{text!r}: {wrong}") from None
        return lambda row: pattern.search(exact(row.get(key))) is not None
    if sign in _ORDER:
        try:
            limit = float(wanted)
        except ValueError:
            raise Refused(Code.BAD_REQUEST, f"{text!r}: {wanted!r} is not a number") from None
        return lambda row: _is_number(row.get(key)) and _ORDER[sign](row[key], limit)
    same = sign == "="
    return lambda row: _equals(row.get(key), wanted) is same


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _equals(value: Any, wanted: str) -> bool:
    return exact(value) == wanted or (isinstance(value, list) and wanted in map(exact, value))
