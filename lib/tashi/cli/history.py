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
AT_ONCE = 5000  # operations in one question
NOTHING_DONE = ("denied", "decision")  # kinds of what left nothing else
Record = dict[str, Any]


def print_history(call: Call, by: str) -> None:
    """Print the acts that concern the operands, or all; with ``by`` only those that this one asked for."""
    names = set(call.names) if call.operands else set()
    entries, began = read_log(call.client, names)
    acts = [act for act in tell(entries) if not by or act["by"] == by]
    if names:
        end_as_their_operations(call.client, acts)
    print_records(call.output, fields_of("history"), acts)
    call.succeeded += len(acts)
    if began:
        complain(call.prog, f"the change log is kept since {began}; what was before is not told")
    known = {entry.get(key) for entry in entries for key in ("name", "id", "job", "parent", "target")}
    for name in sorted(names - known):
        call.fail(name, Failure(Code.NOT_FOUND, f"{name}: the change log knows nothing of it"))


def read_log(
    client: Client, names: Iterable[str], kinds: Iterable[str] = (), revision: int = 0
) -> tuple[list[Record], str]:
    """All entries about these names or ids (none: all), and when the log begins if it has lost its first entries.

    ``kinds``: of these alone. ``revision``: only what came after it.
    """
    entries: list[Record] = []
    began = ""
    while True:
        page = client.watch(revision, about=names, kinds=kinds, wait=0)
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


def end_as_their_operations(client: Client, acts: Iterable[Record]) -> None:
    """Tell the end of acts whose operation's own entry is about another object, so it was not among those read."""
    running: dict[str, list[Record]] = {}
    for act in acts:
        if act["outcome"] == "running":
            running.setdefault(act["job"], []).append(act)
    jobs = sorted(running)
    for start in range(0, len(jobs), AT_ONCE):
        some = jobs[start : start + AT_ONCE]
        first = min(act["revision"] for job in some for act in running[job])
        for entry in read_log(client, some, ("job",), first - 1)[0]:
            if entry["state"] in ENDED:
                for act in running.get(entry["id"], []):
                    act |= _end(entry)


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
        told = is_job and not target and job in jobs  # of each of its objects
        if act is None and not told and (is_job or entry.get("verb") or _is_news(entry, states)):
            act = _act(entry, target)
            acts.append(act)
            if job:
                open_acts[job, target] = act
                jobs.setdefault(job, []).append(act)
        if act is not None and entry.get("decision"):
            act["decision"] = entry["decision"]
        if is_job and entry["state"] in ENDED:
            for each in jobs.get(entry["id"], []):
                each |= _end(entry)
        if not is_job:
            states[entry["id"]] = entry["state"]
    return acts


def _end(entry: Record) -> Record:
    return {"outcome": entry["state"], "reason": entry.get("reason"), "ended_at": entry["at"]}


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
