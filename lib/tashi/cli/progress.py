"""How far operations are, on one line of standard error that is written over: only where that is a terminal."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from tashi.wire.envelope import POLL_SECONDS

if TYPE_CHECKING:
    from tashi.client import Client

EVERY_SECONDS = 1.0
AT_MOST_SECONDS = 0.2  # between two looks, however much happens
_KEYS = ("id", "parent", "verb", "name", "phase", "children", "open_children")
_BYTES = ("done_bytes", "total_bytes", "bytes_per_second")


class Progress:
    """`look` now and then; `clear` before anything else is written. Away from a terminal both do nothing."""

    def __init__(self, jobs: int) -> None:
        self._jobs = jobs
        self._on = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._written = False
        self._looked = 0.0
        self.seconds = EVERY_SECONDS if self._on else POLL_SECONDS  # how long one may wait between two looks

    def look(self, client: Client, waiting: Collection[str]) -> None:
        """Show how far the operations are that have not ended yet, their parts included."""
        now = time.monotonic()
        if not self._on or now - self._looked < AT_MOST_SECONDS:
            return
        self._looked = now
        body = {"noun": "job", "where": ["state=running"], "format": "json", "fields": ",".join((*_KEYS, *_BYTES))}
        running = [json.loads(line) for line in client.ask("list", body).rows.splitlines()]
        ours = [each for each in running if each["id"] in waiting or each["parent"] in waiting]
        done = f"{self._jobs - len(waiting)} of {self._jobs} done; " if self._jobs > 1 else ""
        sys.stderr.write(f"\r\033[K{done}{describe(ours)}"[:120])
        sys.stderr.flush()
        self._written = True

    def clear(self) -> None:
        """Take the line away."""
        if self._written:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
            self._written = False


def describe(running: list[dict[str, Any]]) -> str:
    """What, how far, how fast, how long still: ``vm.migrate web: copy, 1.2G of 4G, 210M/s, 14s left``."""
    from tashi.model.units import format_seconds, format_size

    if not running:
        return ""
    first = running[0]
    parts = [str(first["phase"])] if first["phase"] else []
    if first["children"]:
        parts.append(f"{first['children'] - first['open_children']} of {first['children']} parts")
    done, total, rate = (sum(each[key] or 0 for each in running) for key in _BYTES)
    if total:
        parts.append(f"{format_size(done)} of {format_size(total)}")
    if rate:
        parts.append(f"{format_size(rate)}/s")
    if rate and total > done:
        parts.append(f"{format_seconds(round((total - done) / rate))} left")
    return f"{first['verb']} {first['name']}: {', '.join(parts)}"
