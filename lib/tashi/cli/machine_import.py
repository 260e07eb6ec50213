"""zoni-import and zoni-export: machines from a file and to one. An import is one request, so all of it or nothing."""

from __future__ import annotations

import json
from typing import Any, NamedTuple

from tashi.cli.call import Call
from tashi.cli.change import print_plan
from tashi.cli.listing import PAGE, pages, print_objects, print_page
from tashi.cli.machine_rows import EXPORTED, csv_line, csv_row, read_rows
from tashi.cli.names import read_operands
from tashi.cli.output import Failure, json_line
from tashi.wire.envelope import Ask
from tashi.wire.errors import Code, Refused, TashiError

AT_ONCE, BYTES = 2000, 900_000  # what one request may hold


class How(NamedTuple):
    """``style``: csv, json, or empty for what the file looks like. ``login`` and ``agent``: of rows that name none."""

    style: str
    partial: bool
    update: bool
    login: dict[str, Any]
    agent: str


def take_in(call: Call, file: str, data: bytes, how: How) -> None:
    """Add the machines of a file."""
    try:
        rows = read_rows(data, how.style)
    except Refused as error:
        raise Refused(error.code, f"{file}: {error.text}", error.hint) from error
    good = [row for row in rows if not row.why]
    machines = [row.machine | {"parts": _filled(row.machine["parts"], how)} for row in good]
    if len(machines) > AT_ONCE or len(json.dumps(machines)) > BYTES:
        raise Refused(Code.BAD_REQUEST, f"{file}: {len(machines)} machines are too many for one import", "split it")
    bad = {row.number: row.why for row in rows if row.why}
    ok: dict[str, Any] = {}
    if machines:
        looks = bool(bad) and not how.partial  # what else is wrong: all is told, nothing is changed
        body = {"machines": machines, "partial": how.partial, "update": how.update}
        ok = _ask(call, body | ({"dry_run": True} if call.dry_run or looks else {}))
        bad |= {good[int(number)].number: why for number, why in ok.get("missing", {}).items()}
    nothing = bool(bad) and not how.partial
    names = {row.number: row.name for row in rows}
    hint = f"--partial takes the other {len(rows) - len(bad)}" if nothing and len(bad) < len(rows) else ""
    last = max(bad, default=0)
    for number, why in sorted(bad.items()):
        named = why if why.startswith(f"{names[number]}: ") or not names[number] else f"{names[number]}: {why}"
        helps = hint if number == last else ""
        call.fail(f"{file}: row {number}", Failure(Code.BAD_REQUEST, f"{file}: row {number}: {named}", helps))
    if nothing or not machines:
        return
    if call.dry_run:
        print_plan(call, "machine.import", file, ok)
    else:
        call.succeeded += len(ok.get("objects", {}))
        print_objects(call, "machine", ok.get("objects", {}))


def _filled(parts: dict[str, Any], how: How) -> dict[str, Any]:
    """A user and a password are for machines that have a path for them."""
    has_login = any(not each.startswith(("pdu:", "libvirt:")) for each in parts.get("power_paths", ()))
    return ({"agent": how.agent} if how.agent else {}) | (how.login if has_login else {}) | parts


def _ask(call: Call, body: dict[str, Any]) -> dict[str, Any]:
    for _, answer in call.client.ask_many([Ask("machine.import", body)], call.reason):
        if isinstance(answer, TashiError):
            raise answer
        return answer.ok
    raise AssertionError("a request without an answer")


def export(call: Call, as_json: bool) -> None:
    """Print machines as `take_in` reads them. No password is among it."""
    wanted = read_operands(call.operands, call.noun, False)
    body = {"noun": call.noun, "where": wanted.where, "format": "json", "fields": ",".join(EXPORTED)}
    if not as_json:
        call.output.text(csv_line(list(EXPORTED)))
    for page in pages(call.client, body, wanted.names if wanted.asked else None, PAGE):
        records = [json.loads(line) for line in page.rows.splitlines()]
        lines = [json_line(_said(each)) if as_json else csv_row(each).encode() for each in records]
        call.succeeded += print_page(call, page._replace(rows=b"".join(lines)))


def _said(record: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in record.items() if value not in (None, [])}
