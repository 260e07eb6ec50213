"""Changing things: many requests under way at once, then their operations' ends, then the records as they became."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from tashi.cli.call import Call
from tashi.cli.listing import print_objects
from tashi.cli.output import Failure, complain
from tashi.cli.wait import leaving_them_running, wait_for_jobs
from tashi.wire.envelope import Answer, Ask
from tashi.wire.errors import TashiError


class Wish(NamedTuple):
    """What is asked for one operand."""

    name: str
    body: dict[str, Any]


def change(call: Call, verb: str, wishes: Sequence[Wish], fields: str = "", show_job: bool = False) -> None:
    """Ask ``verb`` for each wish, wait as the options say, print what became of it; failures are told as they happen.

    ``fields`` are what is printed of each unless -o says others. ``show_job``: of the operation's record, not the
    objects'.
    """
    accepted: dict[str, tuple[str, Answer]] = {}  # operation -> (operand, answer)
    for name, answer in ask_each(call, verb, wishes):
        if isinstance(answer, TashiError):
            call.fail(name, answer)
            continue
        if warning := answer.ok.get("warning"):
            complain(call.prog, f"{name}: {warning}")
        if call.dry_run:
            print_plan(call, verb, name, answer.ok)
        else:
            accepted[answer.ok["job"]] = (name, answer)
            for each, why in answer.ok.get("missing", {}).items():
                call.fail(each, Failure("no-room", f"not made: {why}"))
    if call.submit:
        print_jobs(call, list(accepted))
    else:
        _wait(call, accepted, fields, show_job)


def ask_each(
    call: Call, verb: str, wishes: Sequence[Wish], dry: str = "dry_run"
) -> Iterator[tuple[str, Answer | TashiError]]:
    """(name, answer or error) as they come. When the controller falls silent, the error names who got no answer.

    ``dry``: how the request says that nothing is to be changed; nothing, where nothing ever is.
    """
    plan = {dry: True} if call.dry_run and dry else {}
    silent = {number: wish.name for number, wish in enumerate(wishes)}
    try:
        asks = (Ask(verb, wish.body | plan) for wish in wishes)
        for number, answer in call.client.ask_many(asks, call.reason, owner=call.owner):
            yield silent.pop(number), answer
    except TashiError as error:
        first = next(iter(silent.values()), "")
        error.text = f"{first}{f' and {len(silent) - 1} more' if len(silent) > 1 else ''}: {error.text}"
        raise


def _wait(call: Call, accepted: dict[str, tuple[str, Answer]], fields: str, show_job: bool) -> None:
    """Follow the operations to their ends."""
    jobs = list(accepted)
    if not jobs:
        return
    told: set[str] = set()

    def tell(entry: dict[str, Any]) -> None:
        if (
            entry.get("parent") in accepted
            and entry.get("state") in ("failed", "cancelled")
            and entry["id"] not in told
        ):
            told.add(entry["id"])
            call.fail(str(entry["name"]), Failure(entry["state"], entry.get("reason") or entry["state"]))

    until = None if call.timeout is None else time.monotonic() + call.timeout
    after = min(answer.revision for _, answer in accepted.values())
    with leaving_them_running(call.prog, jobs):
        for ended in wait_for_jobs(call.client, after, jobs, until, tell):
            good: list[Answer] = []
            for job, state, reason in ended:
                name, answer = accepted[job]
                if state == "done":
                    good.append(answer)
                    call.succeeded += 1
                else:
                    call.fail(name, Failure(state, reason or f"{job} {state}"))
                    good += [answer] if len(answer.ok.get("objects", {})) > 1 else []
            show(call, good, fields, show_job)
            call.output.flush()


def show(call: Call, answers: Sequence[Answer], fields: str = "", show_job: bool = False) -> None:
    """Print the records that these answers are about, as they are now."""
    if show_job:
        print_objects(call, "job", {answer.ok["job"]: "" for answer in answers}, fields)
        return
    kinds: dict[str, dict[str, str]] = {}
    for answer in answers:
        kinds.setdefault(answer.ok.get("kind") or call.noun, {}).update(answer.ok.get("objects", {}))
    for kind, objects in kinds.items():
        print_objects(call, kind, objects, "" if call.output.style == "json" else fields)


def print_jobs(call: Call, jobs: list[str]) -> None:
    """What --submit prints: ids, or with -j, -H or -o the operations' records."""
    call.succeeded += len(jobs)
    if call.output.style == "table" and not call.output.fields:
        call.output.rows("".join(f"{job}\n" for job in jobs).encode())
    else:
        print_objects(call, "job", dict.fromkeys(jobs, ""))


def print_plan(call: Call, verb: str, name: str, ok: dict[str, Any]) -> None:
    """What a dry run prints: what would be done to which object, and where it would be.

    A drain is of its VMs: where each would go, and why one would stay.
    """
    from tashi.cli.table import PLAN, print_records

    placement = ok.get("placement", {})
    stays = ok.get("extra", {}) if verb == "host.drain" else {}
    parts = [*placement, *(each for each in stays if each not in placement)]
    names = parts or list(ok.get("objects", {}).values()) or [name]
    held, note = bool(ok.get("held")), ok.get("note") or None
    would = "vm.migrate" if verb == "host.drain" and parts else verb
    records = [
        {"name": each, "verb": would, "host": placement.get(each), "held": held, "note": stays.get(each) or note}
        for each in names
    ]
    print_records(call.output, PLAN, records)
    call.succeeded += 1
