"""How every agent's program begins and ends: its options, its state to itself, and who it is by what lies there."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from typing import Protocol

from tashi.config import Config
from tashi.run import start
from tashi.run.enroll import Enrolled, Place, enrolled
from tashi.run.identity import Machine, identity, lock_state
from tashi.run.log import Log
from tashi.run.outbox import Outbox

Serve = Callable[[Config, argparse.Namespace, Log], None]


class Settings(Protocol):
    """What the section of each agent in tashi.toml has."""

    @property
    def state(self) -> str: ...

    @property
    def log_format(self) -> str: ...


def main(argv: list[str] | None, place: Place, what: str, serve: Serve) -> int:
    """Parse, run, and return the exit status."""
    parser = start.parser(place.daemon, what)
    wanted = f"register this {place.whose} with the document that {place.made_by} printed (-: standard input), and end"
    parser.add_argument("--enroll", metavar="FILE", help=wanted)
    return start.run(place.daemon, parser.parse_args(argv), serve)


def live(
    own: Settings, place: Place, log: Log, document: str | None, enroll: Callable[[str], None],
    run: Callable[[Enrolled, Machine, Outbox], None],
) -> None:  # fmt: skip
    """Enrol with ``document``, if there is one, or run until told to stop; nobody else uses the state meanwhile.

    Raises TashiError or OSError for what keeps it from that.
    """
    log.format = own.log_format
    start.raise_file_limit()
    start.private_folder(own.state)
    lock = lock_state(own.state)
    try:
        if document is not None:
            enroll(document)
            return
        me, who = enrolled(own.state, place), identity(own.state)
        outbox = Outbox(os.path.join(own.state, "journal"))
        try:
            run(me, who, outbox)
        finally:
            outbox.close()
        log.notice("stopped")
    finally:
        os.close(lock)
