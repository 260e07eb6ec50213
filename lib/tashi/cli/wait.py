"""Waiting for operations: one long poll after the other on the change log, until each has ended."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any, NamedTuple

from tashi.cli.listing import PAGE, pages
from tashi.cli.output import complain
from tashi.cli.progress import Progress
from tashi.wire.envelope import POLL_SECONDS
from tashi.wire.errors import Code, Unavailable

if TYPE_CHECKING:
    from tashi.client import Client

ENDED = ("done", "failed", "cancelled")
AT_ONCE = 5000  # operations in one poll


class Ended(NamedTuple):
    job: str
    state: str
    reason: str


def wait_for_jobs(
    client: Client,
    after: int,
    jobs: list[str],
    until: float | None,
    tell: Callable[[dict[str, Any]], None] = lambda entry: None,
) -> Iterator[list[Ended]]:
    """What has ended, in batches as it happens, until all have; on a terminal how far they are meanwhile.

    ``after`` is the revision at which all of them were known, ``until`` a monotonic instant or None. ``tell`` gets
    every entry about the operations and their parts. Raises Unavailable (busy) when the time is over.
    """
    progress = Progress(len(jobs))
    for start in range(0, len(jobs), AT_ONCE):
        waiting = set(jobs[start : start + AT_ONCE])
        revision = after
        while waiting:
            left = remaining(until, waiting)
            which: dict[str, Any] = {"job": next(iter(waiting))} if len(waiting) == 1 else {"ids": sorted(waiting)}
            page = client.watch(revision, wait=min(left, progress.seconds), **which)
            revision = page.revision
            ended = _states(client, waiting) if page.missed else []
            if page.entries:
                progress.clear()
            for entry in page.entries:
                tell(entry)
                if entry.get("id") in waiting and entry.get("state") in ENDED:
                    ended.append(Ended(entry["id"], entry["state"], entry.get("reason") or ""))
            waiting -= {each.job for each in ended}
            if ended:
                yield ended
            if waiting:
                progress.look(client, waiting)


def remaining(until: float | None, waiting: Collection[str]) -> float:
    """Seconds for the next poll. Raises Unavailable (busy) when there are none."""
    left = POLL_SECONDS if until is None else until - time.monotonic()
    if left <= 0:
        first = min(waiting)
        others = f" and {len(waiting) - 1} more" if len(waiting) > 1 else ""
        verb = "tjob-wait " if first.startswith("j-") else ""
        raise Unavailable(
            f"time is over, still waiting for {first}{others}", f"{verb}{first}" if verb else "", Code.BUSY
        )
    return min(left, POLL_SECONDS)


@contextmanager
def leaving_them_running(prog: str, jobs: list[str]) -> Iterator[None]:
    """Ctrl-C within ends the command, by the signal itself, but not the operations; their ids are told."""
    if not jobs or signal.getsignal(signal.SIGINT) is not signal.SIG_DFL:
        yield
        return

    def interrupted(number: int, frame: FrameType | None) -> None:
        named = " ".join(jobs[:10]) + (f" and {len(jobs) - 10} more" if len(jobs) > 10 else "")
        complain(prog, f"interrupted; it goes on: {named}", f"tjob-wait {jobs[0]}")
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)


def _states(client: Client, jobs: set[str]) -> list[Ended]:
    """Those that have ended, looked up one by one: the change log no longer tells."""
    body = {"noun": "job", "format": "json", "fields": "id,state,reason"}
    found = []
    for page in pages(client, body, sorted(jobs), PAGE):
        records = [json.loads(line) for line in page.rows.splitlines()]
        found += [Ended(each["id"], each["state"], each["reason"] or "") for each in records if each["state"] in ENDED]
        found += [Ended(job, "failed", "forgotten by the controller") for job in page.ok.get("missing", {})]
    return found
