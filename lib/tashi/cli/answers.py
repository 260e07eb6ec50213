"""What devices answer to operations: begun for each name, waited for together, and read from the operations."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from tashi.cli.call import Call
from tashi.cli.change import Wish, ask_each, print_jobs, print_plan
from tashi.cli.listing import rows_of
from tashi.cli.output import Failure
from tashi.cli.wait import leaving_them_running, wait_for_jobs
from tashi.wire.errors import TashiError


def answers(
    call: Call, verb: str, wishes: Sequence[Wish], dry: Literal["dry_run", "plan", ""] = "dry_run"
) -> Iterator[list[tuple[str, Any]]]:
    """(name of the object, its answer) as operations end, in batches; what fails is told.

    Nothing, when the options want operations' ids or a plan: those are printed. ``dry``: what a dry run is. With "plan"
    it is an operation, too, whose answer is the plan. With nothing this is a question that the command has on its way,
    which is asked and waited for whatever the options are, and no success to be counted.
    """
    jobs: dict[str, str] = {}
    after = 0
    for name, answer in ask_each(call, verb, wishes, dry):
        if isinstance(answer, TashiError):
            call.fail(name, answer)
        elif call.dry_run and dry == "dry_run":
            print_plan(call, verb, name, answer.ok)
        else:
            after = min(after, answer.revision) if jobs else answer.revision
            jobs[answer.ok["job"]] = name
    if call.submit and dry:
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
            call.succeeded += len(good) if dry else 0
            yield list(_read(call, good)) if good else []


def _read(call: Call, jobs: list[str]) -> Iterator[tuple[str, Any]]:
    for row in rows_of(call.client, "job", "name,answer", jobs):
        yield row["name"], json.loads(row["answer"])
