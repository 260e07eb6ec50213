"""One call of a system tool, one question asked until it is answered: both with a deadline."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tashi.lab.process import tail
from tashi.wire.errors import Unavailable

SECONDS = 20.0


def call(
    argv: Sequence[str], *, text: str = "", seconds: float = SECONDS, environment: Mapping[str, str] | None = None
) -> str:
    """Run ``argv`` with ``text`` on its standard input; return its output.

    Raises Unavailable with the tool's own complaint when it fails, is missing or takes more than ``seconds``.
    """
    try:
        done = subprocess.run(
            argv, input=text, capture_output=True, text=True, timeout=seconds, env=environment, check=False
        )
    except FileNotFoundError as error:
        raise Unavailable(f"{argv[0]}: not installed", "`make setup` installs what the lab needs") from error
    except subprocess.TimeoutExpired as error:
        raise Unavailable(f"{argv[0]}: no end after {seconds:g} s") from error
    if done.returncode != 0:
        complaint = done.stderr.strip() or done.stdout.strip() or f"exit status {done.returncode}"
        raise Unavailable(f"{' '.join(argv[:4])}: {complaint}")
    return done.stdout


def wait_until(true: Callable[[], bool], what: str, *, seconds: float = SECONDS, log: Path | None = None) -> None:
    """Ask ``true`` every 20 ms until it is so. Raises Unavailable that says ``what`` was not, with the log's end."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise Unavailable(f"{what}: not within {seconds:g} s", tail(log) if log else "")
        time.sleep(0.02)
