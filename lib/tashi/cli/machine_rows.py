"""A rack as a spreadsheet has it: rows of CSV, or lines of JSON, and the machines that they stand for.

Columns are called as the fields of a machine in tashi-json(5). In CSV a cell holds all that a list has, blanks between;
an empty cell says nothing. A row that is wrong is told with its number as a spreadsheet counts, the heading being 1.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from tashi.cli.machine_options import place
from tashi.cli.password_file import why_no_password
from tashi.model.fields import FIELDS
from tashi.model.units import parse_size
from tashi.wire.errors import Code, Refused

CORES_MAX, MEMORY_MIN, MEMORY_MAX = 4096, 2**20, 2**50
TEXT_MAX, NOTE_MAX, LIST_MAX, WORD_MAX = 200, 1000, 256, 1000
DELIMITERS = ",;\t"
OTHER_NAMES = {"memory": "memory_bytes", "power": "power_paths"}  # in a heading
LISTS = ("disks", "nics", "flags", "power_paths", "ports")
# what zoni-export writes: all that a machine is, and no password
EXPORTED = (
    "name", "rack", "unit", "uuid", "serial", "vendor", "model", "cores", "memory_bytes", *LISTS[:2], "firmware",
    *LISTS[2:], "host", "agent", "note",
)  # fmt: skip
COLUMNS = (*EXPORTED, "location", "user", "password", "kg")
_OF_RECORD = frozenset(field.key for field in FIELDS["machine"]) - set(COLUMNS)  # what zoni-list -j has besides


class Row(NamedTuple):
    """``why`` it can't be taken; empty when it can, and then ``machine`` is the request's."""

    number: int
    name: str
    machine: dict[str, Any]
    why: str = ""


def read_rows(data: bytes, style: str) -> list[Row]:
    """Every row of a file; ``style`` is csv, json or empty for what it looks like. Raises Refused for the whole."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused(Code.BAD_REQUEST, f"not text in UTF-8: {error}", "save it as CSV, in UTF-8") from error
    if "\0" in text:
        raise Refused(Code.BAD_REQUEST, "not text: there is a NUL in it", "save it as CSV, in UTF-8")
    if text.lstrip().startswith("["):
        raise Refused(Code.BAD_REQUEST, "a JSON array, not an object a line", "jq -c '.[]' makes lines of it")
    lines = style == "json" or (not style and text.lstrip().startswith("{"))
    return list(_each_once(_of_json(text) if lines else _of_csv(text)))


def _each_once(rows: Iterator[Row]) -> Iterator[Row]:
    first: dict[str, int] = {}
    for row in rows:
        before = first.setdefault(row.name, row.number) if row.machine else row.number
        yield row if before == row.number else Row(row.number, row.name, {}, f"row {before} has this name too")


def _of_csv(text: str) -> Iterator[Row]:
    first = next((line for line in text.splitlines() if line.strip()), "")
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(DELIMITERS, key=first.count), strict=True)
    heading: list[str] = []
    number = 0
    try:
        for number, cells in enumerate(reader, 1):
            if not any(cell.strip() for cell in cells):
                continue
            if not heading:
                heading = _heading(cells)
            elif len(cells) != len(heading):
                name = cells[0].strip()[:80] if heading[0] == "name" else ""  # any other may be a password by now
                yield Row(number, name, {}, f"{len(cells)} cells, and the heading has {len(heading)}")
            else:
                given = {key: cell.strip() for key, cell in zip(heading, cells, strict=True) if cell.strip()}
                yield _row(number, {key: cell.split() if key in LISTS else cell for key, cell in given.items()})
    except csv.Error as error:
        raise Refused(Code.BAD_REQUEST, f"row {number + 1}: not CSV: {error}") from error
    if not heading:
        raise Refused(Code.BAD_REQUEST, "there is nothing in it", f"the first row names columns: {', '.join(EXPORTED)}")


def _heading(cells: list[str]) -> list[str]:
    heading = [_column(cell) for cell in cells]
    known = f"there are: {', '.join(COLUMNS)}"
    for column in heading:
        if column not in COLUMNS:
            raise Refused(Code.BAD_REQUEST, f"row 1: no such column: {column[:40]!r}", known)
        if heading.count(column) > 1:
            raise Refused(Code.BAD_REQUEST, f"row 1: the column {column} is there twice")
    if "name" not in heading:
        raise Refused(Code.BAD_REQUEST, "row 1: the column name is missing", known)
    return heading


def _column(text: str) -> str:
    word = "_".join(text.strip().lower().split())
    return OTHER_NAMES.get(word, word)


def _of_json(text: str) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            yield Row(number, "", {}, f"not JSON: {error}")
            continue
        if not isinstance(record, dict):
            yield Row(number, "", {}, "not a JSON object")
            continue
        given = {key: value for key, value in record.items() if value is not None and key not in _OF_RECORD}
        wrong = next((key for key in given if key not in COLUMNS), None)
        if wrong is not None:
            yield Row(number, str(record.get("name", ""))[:80], {}, f"no such column: {wrong[:40]!r}")
        else:
            yield _row(number, given)


def _row(number: int, given: dict[str, Any]) -> Row:
    """A machine of its columns; every column is read by the one table below."""
    name = given.pop("name", "")
    shown = name[:80] if isinstance(name, str) else ""
    if not isinstance(name, str) or not name or len(name) > TEXT_MAX:
        return Row(number, shown, {}, "name: there is none" if not name else "name: it is none")
    parts: dict[str, Any] = {}
    for column, value in given.items():
        try:
            reader: Callable[[Any], Any] = _READ.get(column, _text)
            said = reader(value)
        except ValueError as error:
            return Row(number, shown, {}, f"{column}: {error}")
        parts |= place(said) if column == "location" else {column: said}
    return Row(number, shown, {"name": name, "parts": parts})


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{str(value)[:40]!r} is not a text")
    if len(value) > TEXT_MAX:
        raise ValueError(f"{len(value)} characters, the limit is {TEXT_MAX}")
    return value


def _note(value: Any) -> str:
    if not isinstance(value, str) or len(value) > NOTE_MAX:
        raise ValueError(f"a text of up to {NOTE_MAX} characters is wanted")
    return value


def _password(value: Any) -> str:
    """What is wrong is told without the word itself."""
    if not isinstance(value, str):
        raise ValueError("not a text")
    if why := why_no_password(value):
        raise ValueError(why)
    return value


def _cores(value: Any) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:9]) <= CORES_MAX:
        raise ValueError(f"{text[:40]!r} is no number of cores: 1 to {CORES_MAX}")
    return int(text)


def _memory(value: Any) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool)
    size = value if whole else parse_size(value if isinstance(value, str) else repr(value))
    if not MEMORY_MIN <= size <= MEMORY_MAX:
        raise ValueError(f"{str(value)[:40]!r}: from 1M to 1P; a bare number is bytes")
    return int(size)


def _firmware(value: Any) -> str:
    text = _text(value).lower()
    if text not in ("bios", "uefi"):
        raise ValueError(f"{text[:40]!r}: bios or uefi")
    return text


def _list(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError("a list of texts is wanted")
    if len(value) > LIST_MAX or any(len(each) > WORD_MAX for each in value):
        raise ValueError(f"up to {LIST_MAX} of up to {WORD_MAX} characters are taken")
    return value


_READ: dict[str, Callable[[Any], Any]] = {
    "cores": _cores,
    "memory_bytes": _memory,
    "firmware": _firmware,
    "note": _note,
    "password": _password,
    "kg": _password,
    **dict.fromkeys(LISTS, _list),
}


def csv_line(cells: list[str]) -> str:
    """A row as RFC 4180 has it, but for the newline, which is one character."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\n").writerow(cells)
    return written.getvalue()


def csv_row(record: dict[str, Any]) -> str:
    """A machine's record as such a row."""
    cells = (record.get(column) for column in EXPORTED)
    return csv_line([" ".join(each) if isinstance(each, list) else "" if each is None else str(each) for each in cells])
