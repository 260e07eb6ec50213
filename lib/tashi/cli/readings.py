"""What BMCs answer, as records: zoni-sensors, zoni-log, zoni-boot."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from typing import Any

from tashi.cli.call import Call
from tashi.cli.change import Wish, ask_each, print_jobs, print_plan
from tashi.cli.complete import Printed
from tashi.cli.listing import PAGE, pages
from tashi.cli.output import Failure
from tashi.cli.table import fields_of, print_records
from tashi.cli.wait import leaving_them_running, wait_for_jobs
from tashi.wire.errors import TashiError

Records = Callable[[Any], Iterable[dict[str, Any]]]


def prints(noun: str) -> Printed:
    """What -o picks from."""
    return lambda typed: "plan" if typed.get("dry_run") else "job" if typed.get("submit") else noun


def print_answers(call: Call, verb: str, body: dict[str, Any], noun: str, records: Records) -> None:
    """Ask ``verb`` of each machine named, wait, and print what each BMC answered: the ``records`` in its answer."""
    jobs: dict[str, str] = {}
    after = 0
    for name, answer in ask_each(call, verb, [Wish(name, {"name": name} | body) for name in call.names]):
        if isinstance(answer, TashiError):
            call.fail(name, answer)
        elif call.dry_run:
            print_plan(call, verb, name, answer.ok)
        else:
            after = min(after, answer.revision) if jobs else answer.revision
            jobs[answer.ok["job"]] = name
    if call.submit:
        print_jobs(call, list(jobs))
        return
    if not jobs:
        return
    until = None if call.timeout is None else time.monotonic() + call.timeout
    with leaving_them_running(call.prog, list(jobs)):
        for ended in wait_for_jobs(call.client, after, list(jobs), until):
            good = [each.job for each in ended if each.state == "done"]
            for each in ended:
                if each.state != "done":
                    call.fail(jobs[each.job], Failure(each.state, each.reason or f"{each.job} {each.state}"))
            _print(call, noun, good, records)
            call.output.flush()


def _print(call: Call, noun: str, jobs: list[str], records: Records) -> None:
    if not jobs:
        return
    found: list[dict[str, Any]] = []
    for page in pages(call.client, {"noun": "job", "format": "json", "fields": "name,answer"}, jobs, PAGE):
        for row in map(json.loads, page.rows.splitlines()):
            found += [{"name": row["name"]} | record for record in records(json.loads(row["answer"]))]
            call.succeeded += 1
    print_records(call.output, fields_of(noun), found)


def booting(answer: Any) -> Iterable[dict[str, Any]]:
    """From what a machine boots."""
    return [{"device": answer["device"], "once": answer.get("once", False), "uefi": answer.get("uefi")}]


def sensors(answer: Any) -> Iterable[dict[str, Any]]:
    """All readings."""
    keys = ("kind", "unit", "health", "state")
    return [
        {"sensor": each["name"], "value": each["value"]} | {key: each.get(key) or None for key in keys}
        for each in answer
    ]


def entries(answer: Any) -> Iterable[dict[str, Any]]:
    """Lines of an event log."""
    keys = ("at", "source", "severity", "text")
    return [{"entry": each["id"]} | {key: each.get(key) or None for key in keys} for each in answer]
