"""tashi-history: the change log told as acts: who asked what of whom, why, and how it ended.

The log has an entry for each record that changed. Those of one operation and object are one act: it begins with the
first of them and gets its outcome from the operation's end. What nobody asked for, such as a guest's end by itself, and
what was refused for want of a right are acts of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tashi.cli.call import Call
from tashi.cli.output import Failure, complain
from tashi.cli.table import fields_of, print_records
from tashi.client import Client
from tashi.wire.errors import Code

ENDED = ("done", "failed", "cancelled")
NOTHING_DONE = ("denied", "decision")  # kinds of what left nothing else
Record = dict[str, Any]


def print_history(call: Call, by: str) -> None:
    """Print the acts that concern the operands, or all; with ``by`` only those that this one asked for."""
    names = set(call.names) if call.operands else set()
    entries, began = read_log(call.client, names)
    acts = [act for act in tell(entries) if not by or act["by"] == by]
    print_records(call.output, fields_of("history"), acts)
    call.succeeded += len(acts)
    if began:
        complain(call.prog, f"the change log is kept since {began}; what was before is not told")
    known = {entry.get(key) for entry in entries for key in ("name", "id", "job", "parent", "target")}
    for name in sorted(names - known):
        call.fail(name, Failure(Code.NOT_FOUND, f"{name}: the change log knows nothing of it"))


def read_log(client: Client, names: Iterable[str]) -> tuple[list[Record], str]:
    """All entries about these names or ids (none: all), and when the log begins if it has lost its first entries."""
    entries: list[Record] = []
    revision, began = 0, ""
    while True:
        page = client.watch(revision, about=names, wait=0)
        if page.missed:
            if page.tail - 1 <= revision:
                return entries, began  # it is all pruned
            revision = page.tail - 1
            began = next((entry["at"] for entry in client.watch(revision, wait=0).entries), "")
            continue
        entries += page.entries
        if page.revision >= page.head or page.revision == revision:
            return entries, began
        revision = page.revision


def tell(entries: Iterable[Record]) -> list[Record]:
    """The acts, in the order in which they began."""
    acts: list[Record] = []
    open_acts: dict[tuple[str, str], Record] = {}  # (operation, object) -> its act
    jobs: dict[str, list[Record]] = {}  # operation -> the acts whose outcome is its own
    states: dict[str, str] = {}  # object -> its state before
    for entry in entries:
        job = entry.get("job") or ""
        is_job = entry["kind"] == "job"
        target = (entry.get("target") if is_job else entry["id"]) or ""
        act = open_acts.get((job, target)) if job else None
        if act is None and (is_job or entry.get("verb") or _is_news(entry, states)):
            act = _act(entry, target)
            acts.append(act)
            if job:
                open_acts[job, target] = act
                jobs.setdefault(job, []).append(act)
        if act is not None and entry.get("decision"):
            act["decision"] = entry["decision"]
        if is_job and entry["state"] in ENDED:
            for each in jobs.get(entry["id"], []):
                each |= {"outcome": entry["state"], "reason": entry.get("reason"), "ended_at": entry["at"]}
        if not is_job:
            states[entry["id"]] = entry["state"]
    return acts


def _is_news(entry: Record, states: dict[str, str]) -> bool:
    """Whether something happened that nobody asked for: an object came into another state."""
    return not entry.get("job") and states.get(entry["id"]) != entry["state"]


def _act(entry: Record, target: str) -> Record:
    running = bool(entry.get("job"))
    outcome = (
        "running" if running else "done" if entry.get("verb") and entry["kind"] not in NOTHING_DONE else entry["state"]
    )
    return {
        "at": entry["at"],
        "by": entry.get("by"),
        "verb": entry.get("verb"),
        "kind": None if entry["kind"] == "job" else entry["kind"],
        "name": entry["name"],
        "id": target or None,
        "outcome": outcome,
        "why": entry.get("why"),
        "reason": None if running else entry.get("reason"),
        "ended_at": None if running else entry["at"],
        "job": entry.get("job"),
        "decision": entry.get("decision"),
        "revision": entry["revision"],
    }
