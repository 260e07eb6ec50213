"""Waiting for a state: until every VM named is in it, or can't get there without somebody's next command."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping

from tashi.cli.call import Call
from tashi.cli.listing import PAGE, pages, print_objects
from tashi.cli.output import Failure
from tashi.cli.wait import remaining
from tashi.wire.envelope import error
from tashi.wire.errors import Code

GONE = "gone"
STATES = (
    *("pending", "held", "starting", "running", "shutting-down", "stopped"),
    *("migrating", "destroying", "unknown", "failed", GONE),
)
_ENDING = frozenset({"destroying", GONE})
_AT_REST = frozenset({"stopped", "failed"}) | _ENDING

# From these states nothing that is under way leads to the one wanted; for the rest only the end is hopeless.
HOPELESS: Mapping[str, frozenset[str]] = {
    "pending": frozenset(STATES) - {"pending"},
    "held": frozenset(STATES) - {"pending", "held"},
    "starting": _AT_REST,
    "running": _AT_REST,
    "stopped": frozenset({"failed"}) | _ENDING,
    "destroying": frozenset({GONE}),
    GONE: frozenset(),
}


def wait_for_state(call: Call, wanted: str) -> None:
    """Print each VM as it gets to the state ``wanted``; fail those that can't. A name that is not there is gone."""
    names = call.names
    until = None if call.timeout is None else time.monotonic() + call.timeout
    waiting: dict[str, str] = {}  # id -> name
    missed, revision = True, -1
    while missed or waiting:
        if missed:
            revision, waiting = _look(call, wanted, waiting or {name: name for name in names}, revision)
        if waiting:
            page = call.client.watch(revision, ids=waiting, wait=remaining(until, waiting.values()))
            revision, missed = page.revision, page.missed or not page.entries  # what a host's silence makes is no entry
            latest = {entry["id"]: entry for entry in page.entries if entry["id"] in waiting and entry.get("state")}
            for each, entry in latest.items():
                if _settled(call, wanted, waiting[each], each, entry["state"], entry.get("reason") or ""):
                    del waiting[each]
            call.output.flush()
        else:
            missed = False


def _look(call: Call, wanted: str, names: dict[str, str], revision: int) -> tuple[int, dict[str, str]]:
    """The state of each (id or name -> name) now: (revision to watch from, id -> name of those that still wait)."""
    waiting: dict[str, str] = {}
    body = {"noun": "vm", "format": "json", "fields": "name,id,state,reason"}
    first = -1
    for page in pages(call.client, body, list(names), PAGE):
        first = page.revision if first < 0 else first
        for ref, problem in page.ok.get("missing", {}).items():
            if wanted == GONE and problem.get("code") == Code.NOT_FOUND:
                _settled(call, wanted, names[ref], ref, GONE, "")
            else:
                call.fail(names[ref], error(problem))
        for record in map(json.loads, page.rows.splitlines()):
            if not _settled(call, wanted, record["name"], record["id"], record["state"], record["reason"] or ""):
                waiting[record["id"]] = record["name"]
    call.output.flush()
    return max(first, revision), waiting


def _settled(call: Call, wanted: str, name: str, identity: str, state: str, reason: str) -> bool:
    """Whether the waiting for this VM is over, one way or the other; then it is told."""
    if state == wanted:
        call.succeeded += 1
        print_objects(call, "vm", {identity: name})
        return True
    if state in HOPELESS.get(wanted, _ENDING):
        why = f": {reason}" if reason else ""
        call.fail(name, Failure(Code.WRONG_STATE, f"{name}: is {state}{why}; it won't be {wanted}"))
        return True
    return False
