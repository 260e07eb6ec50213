"""A child that speaks without being asked: the hypervisor's events, kept apart from the calls.

It is started again when it ends, later each time; while it runs and has said its first line the source is up.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

from tashi.run.loop import Loop, Timer
from tashi.run.workers import LINE_MAX, Lines, describe_status, kill_group, spawn

FIRST_SECONDS, LAST_SECONDS = 0.5, 30.0  # from one end to the next start
STEADY_SECONDS = 60.0  # one that lived so long starts again at once


class EventSource:
    """``heard`` gets each line's JSON value; ``up`` is told whenever the source begins or ceases to be heard."""

    def __init__(
        self, loop: Loop, argv: Sequence[str], heard: Callable[[Any], None], up: Callable[[bool, str], None]
    ) -> None:
        self._loop, self._argv, self._heard, self._up = loop, list(argv), heard, up
        self._delay = FIRST_SECONDS
        self._is_up = False
        self._timer: Timer | None = None
        self._stop: Callable[[], None] | None = None
        self._start()

    def close(self) -> None:
        """Kill the child and do not start another."""
        if self._timer is not None:
            self._timer.cancel()
        if self._stop is not None:
            self._stop()

    def _start(self) -> None:
        began = self._loop.now()
        try:
            process, channel = spawn(self._argv)
        except OSError as error:
            self._again(f"{self._argv[0]}: {error.strerror}", 0.0)
            return
        lines, pidfd = Lines(channel, LINE_MAX), os.pidfd_open(process.pid)

        def read() -> None:
            complete, over = lines.read()
            for line in complete:
                self._take(line)
            if over:
                kill_group(process.pid)  # `ended` follows

        def ended() -> None:
            read()
            stop()
            self._again(f"ended: {describe_status(process.returncode)}", self._loop.now() - began)

        def stop() -> None:
            self._stop = None
            self._loop.forget(channel.fileno())
            self._loop.forget(pidfd)
            channel.close()
            os.close(pidfd)
            kill_group(process.pid)
            process.wait()

        self._stop = stop
        self._loop.watch(channel.fileno(), lambda _: read())
        self._loop.watch(pidfd, lambda _: ended())

    def _take(self, line: bytes) -> None:
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            self._up(self._is_up, f"wrote nonsense: {line[:60]!r}")
            return
        if not self._is_up:
            self._is_up = True
            self._up(True, "")
        self._heard(value)

    def _again(self, why: str, lived: float) -> None:
        self._is_up = False
        self._up(False, why)
        self._delay = FIRST_SECONDS if lived >= STEADY_SECONDS else min(self._delay * 2, LAST_SECONDS)
        self._timer = self._loop.after(self._delay, self._start)
