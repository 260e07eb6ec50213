"""How far an operation is, on one line of standard error that is written over: only where that is a terminal."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

from tashi.model.units import format_seconds, format_size

EVERY_SECONDS = 0.2


class Progress:
    """Feed it the entries of the change log; `clear` before anything else is written."""

    def __init__(self) -> None:
        self.on = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._written = False
        self._last = 0.0

    def tell(self, entry: dict[str, Any]) -> None:
        """Show an entry about an operation that runs."""
        now = time.monotonic()
        if not self.on or entry.get("kind") != "job" or now - self._last < EVERY_SECONDS:
            return
        self._last = now
        words = [str(entry.get("verb") or ""), str(entry.get("name") or ""), describe(entry)]
        sys.stderr.write("\r\033[K" + " ".join(word for word in words if word)[:120])
        sys.stderr.flush()
        self._written = True

    def clear(self) -> None:
        """Take the line away."""
        if self._written:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
            self._written = False


def describe(entry: dict[str, Any]) -> str:
    """What, how far, how fast, how long still, as far as the entry says: ``copy 1.2G of 4G, 210M/s, 14s left``."""
    progress = entry.get("progress") or {}
    done, total = progress.get("done_bytes") or 0, progress.get("total_bytes") or 0
    rate = progress.get("bytes_per_second") or 0
    parts = []
    if total:
        parts.append(f"{format_size(done)} of {format_size(total)}")
    if rate:
        parts.append(f"{format_size(rate)}/s")
        if total > done:
            parts.append(f"{format_seconds(round((total - done) / rate))} left")
    return " ".join(word for word in (str(entry.get("phase") or entry.get("state") or ""), ", ".join(parts)) if word)
