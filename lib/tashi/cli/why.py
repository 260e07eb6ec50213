"""zoni-why: the change log about a physical machine as one timeline, and what it waits for now."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tashi.cli.call import Call
from tashi.cli.history import ENDED, read_log
from tashi.cli.listing import PAGE, pages, print_page
from tashi.cli.output import complain
from tashi.cli.table import fields_of, print_records
from tashi.client import Client

Record = dict[str, Any]


def print_why(call: Call) -> None:
    """A line for each thing that happened to each machine, the oldest first; the last ones say how things are now."""
    body = {"noun": "machine", "format": "json", "fields": ""}
    for page in pages(call.client, body, call.names, PAGE):
        machines = [json.loads(line) for line in page.rows.splitlines()]
        print_page(call, page._replace(rows=b""))  # tells of those that are not there
        for machine in machines:
            names = {machine["id"], machine["reservation"] or machine["id"]}
            entries, began = read_log(call.client, names)
            lines = timeline(machine, entries) + now(machine, _job(call.client, machine["job"]))
            print_records(call.output, fields_of("why"), [line | {"machine": machine["name"]} for line in lines])
            call.succeeded += 1
            if began:
                complain(call.prog, f"the change log is kept since {began}; what was before is not told")


def timeline(machine: Record, entries: Iterable[Record]) -> list[Record]:
    """Operations by their steps, and the machine by its states; what an entry only repeats is left out."""
    told: list[Record] = []
    before: dict[str, tuple[Any, ...]] = {}
    for entry in entries:
        what, text = _said(entry)
        if entry["kind"] == "job" and entry["target"] not in (machine["id"], machine["reservation"]):
            continue
        if before.get(entry["id"]) != (what, text):
            before[entry["id"]] = (what, text)
            told.append(_line(entry["at"], what, text, entry.get("by"), entry.get("job")))
    return told


def _said(entry: Record) -> tuple[str, Any]:
    """(what happened, what was said about it) of an entry."""
    if entry["kind"] == "job":
        step = entry["state"] if entry["state"] in ENDED else entry.get("phase") or "begins"
        return f"{entry['verb']}: {step}", entry.get("reason")
    return f"{'' if entry['kind'] == 'machine' else entry['kind'] + ' '}{entry['state']}", entry.get("reason")


def now(machine: Record, job: Record | None) -> list[Record]:
    """What it waits for, if it does."""
    if job is not None:
        left = f"; its step may take {job['budget_seconds']:g} s" if job["budget_seconds"] else ""
        answer = f"; the last answer: {job['reason']}" if job["reason"] else ""
        text = f"waits for {job['phase'] or 'its end'} of {job['id']}{left}{answer}"
        return [_line(None, f"{job['verb']}: {job['phase'] or 'running'}", text, job["by"], job["id"])]
    said = machine["quarantine"] or machine["lock"] or machine["reason"]
    return [_line(None, machine["state"], said or "waits for nothing", None, None)]


def _line(at: Any, what: str, text: Any, by: Any, job: Any) -> Record:
    return {"at": at, "what": what, "reason": text, "by": by, "job": job}


def _job(client: Client, ident: str | None) -> Record | None:
    """The operation that is at work, as it is now; none that the caller may not see."""
    if not ident:
        return None
    body = {"noun": "job", "format": "json", "fields": ""}
    rows = b"".join(page.rows for page in pages(client, body, [ident], PAGE))
    found: Record | None = json.loads(rows) if rows else None
    return found
