"""Lists: the controller makes the rows, page by page; the command writes the bytes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from tashi.cli.call import Call
from tashi.cli.names import read_operands
from tashi.cli.output import Failure
from tashi.wire.envelope import Answer, error
from tashi.wire.errors import Code

if TYPE_CHECKING:
    from tashi.client import Client

FIRST_PAGE = 500  # rows: soon on the screen
PAGE = 5000
NAMES = 1000  # names asked for at once


def print_list(call: Call) -> None:
    """What a ``-list`` command does: the rows that its operands ask for, or all."""
    wanted = read_operands(call.operands, call.noun, call.null)
    output = call.output
    output.null = call.null
    style, fields = output.style, output.fields
    if call.null and style == "table":
        style, fields = "tabs", fields or ("id" if call.noun == "job" else "name")
    body = {"noun": call.noun, "where": wanted.where, "format": style, "fields": fields}
    found = 0
    held = []
    for page in pages(call.client, body, wanted.names if wanted.asked else None, 2 if call.one else PAGE):
        found += int(page.ok["rows"])
        if call.one:
            held.append(page)
            if found > 1:
                break
            continue
        call.succeeded += print_page(call, page)
    if call.one and found != 1:
        call.fail("", Failure(Code.CONFLICT, f"{'none matches' if not found else 'more than one match'}, -1 wants one"))
        return
    for page in held:
        call.succeeded += print_page(call, page)


def print_objects(call: Call, noun: str, objects: dict[str, str], fields: str = "") -> None:
    """The records with these ids as they are now; one that is not there any more is ``gone``."""
    if not objects or call.output.quiet:
        return
    body = {"noun": noun, "format": call.output.style, "fields": call.output.fields or fields}
    gone: list[str] = []
    for page in pages(call.client, body, list(objects), PAGE):
        call.output.rows(page.rows, page.ok.get("header", ""))
        gone += page.ok.get("missing", {})
    if gone:
        from tashi.cli.table import print_gone

        print_gone(call.output, noun, {each: objects[each] for each in gone})


def pages(client: Client, body: dict[str, Any], names: Sequence[str] | None, limit: int) -> Iterator[Answer]:
    """The pages of a list: of everything (names None), or of these names, which may be none."""
    for start in range(0, 1 if names is None else len(names), NAMES):
        some = {} if names is None else {"names": list(names[start : start + NAMES])}
        cursor, size = "", min(limit, FIRST_PAGE) if names is None else NAMES
        while True:
            page = client.ask("list", {**body, **some, "cursor": cursor, "limit": size})
            yield page
            cursor, size = page.ok.get("cursor", ""), limit
            if not cursor:
                break


def rows_of(client: Client, noun: str, fields: str, names: Sequence[str] | None = None) -> Iterator[dict[str, Any]]:
    """The records of a noun, with these fields: all, or those of these names that there are."""
    for page in pages(client, {"noun": noun, "format": "json", "fields": fields}, names, PAGE):
        yield from map(json.loads, page.rows.splitlines())


def print_page(call: Call, page: Answer) -> int:
    """Write a page at once and tell what it could not find; returns its number of rows."""
    call.output.rows(page.rows, page.ok.get("header", ""))
    call.output.flush()
    for name, problem in page.ok.get("missing", {}).items():
        call.fail(name, error(problem))
    return int(page.ok["rows"])
