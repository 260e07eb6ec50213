"""tjob-wait: waiting for operations that were begun by somebody else, or earlier."""

from __future__ import annotations

import json
import time

from tashi.cli.call import Call
from tashi.cli.listing import PAGE, pages, print_objects
from tashi.cli.output import Failure
from tashi.cli.wait import ENDED, Ended, wait_for_jobs
from tashi.wire.envelope import error


def wait_for_named(call: Call) -> None:
    """Print the record of each operation named as it ends; what did not end well has failed."""
    until = None if call.timeout is None else time.monotonic() + call.timeout
    running: list[str] = []
    over: list[Ended] = []
    revision = -1
    for page in pages(call.client, {"noun": "job", "format": "json", "fields": "id,state,reason"}, call.names, PAGE):
        revision = page.revision if revision < 0 else revision
        for name, problem in page.ok.get("missing", {}).items():
            call.fail(name, error(problem))
        for record in map(json.loads, page.rows.splitlines()):
            if record["state"] in ENDED:
                over.append(Ended(record["id"], record["state"], record["reason"] or ""))
            else:
                running.append(record["id"])
    _tell(call, over)
    for ended in wait_for_jobs(call.client, revision, running, until):
        _tell(call, ended)


def _tell(call: Call, ended: list[Ended]) -> None:
    print_objects(call, "job", {each.job: "" for each in ended})
    for job, state, reason in ended:
        if state == "done":
            call.succeeded += 1
        else:
            call.fail(job, Failure(state, f"{job}: {state}{': ' if reason else ''}{reason}"))
    call.output.flush()
