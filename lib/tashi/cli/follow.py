"""Events: the change log as it is kept, and as it grows."""

from __future__ import annotations

import os
import select
import signal
import stat
import time
from typing import Any

from tashi.cli.call import Call
from tashi.cli.output import complain
from tashi.cli.table import fields_of, print_records
from tashi.model.name import kind_of_id
from tashi.wire.envelope import POLL_SECONDS

READER_SECONDS = 1.0  # how soon it is noticed that nobody reads any more


def print_events(call: Call, after: int, last: int | None, kinds: list[str], follow: bool) -> None:
    """Entries after a revision, or the ``last`` so many; with ``follow`` then each as it happens.

    Ends when there are no more, or with ``follow`` when --timeout is over.
    """
    client, output = call.client, call.output
    names = set(call.names) if call.operands else set()
    by_id = all(kind_of_id(name) for name in names)  # else by the log's own words: what is gone is nowhere else
    which: dict[str, Any] = {"ids" if by_id else "about": names, "kinds": kinds}
    until = None if call.timeout is None else time.monotonic() + call.timeout
    revision = max(0, client.watch(-1, wait=0).revision - last) if last is not None else after
    longest = READER_SECONDS if stat.S_ISFIFO(os.fstat(1).st_mode) else POLL_SECONDS
    caught_up = False
    while True:
        left = longest if until is None else min(longest, until - time.monotonic())
        page = client.watch(revision, wait=left if follow and caught_up else 0, **which)
        _end_with_the_reader()
        if page.missed and page.tail - 1 > revision:
            if revision > 0:
                complain(call.prog, f"events {revision + 1} to {page.tail - 1} are no longer kept")
            revision = page.tail - 1
            continue
        print_records(output, fields_of("event"), page.entries)
        output.flush()
        caught_up = page.revision >= page.head or page.revision == revision
        revision = page.revision
        if caught_up and (not follow or left <= 0):
            return


def _end_with_the_reader() -> None:
    """Die of SIGPIPE as soon as the other end of our pipe is closed, not only at the next event."""
    poll = select.poll()
    poll.register(1, 0)
    if any(event & select.POLLERR for _, event in poll.poll(0)):
        os.kill(os.getpid(), signal.SIGPIPE)
