"""The parent's side of a console's child (line.py): started for one line, fed and heard, ended or killed."""

from __future__ import annotations

import binascii
import json
import os
from collections.abc import Sequence
from typing import Any, Protocol

from tashi.run.loop import Loop, Timer
from tashi.run.workers import LINE_MAX, Lines, describe_status, kill_group, spawn
from tashi.wire.errors import Code, TashiError

OPEN_SECONDS = 45.0  # that a line may take to open: a BMC that does not answer is given up sooner by its driver
LEAVE_SECONDS = 5.0  # that a child has to let go of its line


class Hearer(Protocol):
    """Who is told of a line."""

    def opened(self, note: str) -> None: ...

    def said(self, data: bytes) -> None: ...

    def took(self, count: int) -> None: ...

    def closed(self, error: TashiError | None) -> None:
        """The child is gone, and the line with it: once, and the last that is heard."""


class Carrier:
    """One child. Raises OSError when it can't be started."""

    def __init__(self, loop: Loop, argv: Sequence[str], order: dict[str, Any], hearer: Hearer) -> None:
        self._loop, self._hearer = loop, hearer
        self._error: TashiError | None = None
        self._leaving = self._open = False
        self._process, self._channel = spawn(argv)
        self._lines, self._pidfd = Lines(self._channel, LINE_MAX), os.pidfd_open(self._process.pid)
        loop.watch(self._channel.fileno(), lambda _: self._read())
        loop.watch(self._pidfd, lambda _: self._reap())
        self._timer: Timer = loop.after(OPEN_SECONDS, self._late)
        self._say(order)

    def write(self, data: bytes) -> None:
        """Bytes for the machine; few at a time, see `Stream`."""
        self._say({"data": binascii.b2a_base64(data, newline=False).decode()})

    def send_break(self) -> None:
        self._say({"break": True})

    def leave(self) -> None:
        """Have it let go of its line, or be killed."""
        if not self._leaving:
            self._leaving = True
            self._hang_up()
            self._timer.cancel()
            self._timer = self._loop.after(LEAVE_SECONDS, lambda: kill_group(self._process.pid))

    def kill(self) -> None:
        """Nobody is told: the daemon ends."""
        self._timer.cancel()
        self._hang_up()
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        kill_group(self._process.pid)
        self._process.wait()

    def _say(self, word: dict[str, Any]) -> None:
        try:
            self._channel.send(json.dumps(word).encode() + b"\n")
        except OSError as error:
            self._fail(f"its worker does not listen: {error.strerror}")

    def _read(self) -> None:
        lines, over = self._lines.read()
        for line in lines:
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError, RecursionError):
                self._fail(f"its worker wrote nonsense: {line[:60]!r}")
        if over and not self._leaving:
            self._hang_up()

    def _take(self, word: dict[str, Any]) -> None:
        if self._leaving:
            return
        if "data" in word:
            self._hearer.said(binascii.a2b_base64(word["data"]))
        elif "took" in word:
            self._hearer.took(int(word["took"]))
        elif "open" in word:
            self._open = True
            self._timer.cancel()
            self._hearer.opened(str(word["open"]))
        else:
            end = word["end"]
            self._error = TashiError(Code(end["code"]), str(end["text"]), str(end["hint"]))

    def _late(self) -> None:
        self._fail(f"its line did not open within {OPEN_SECONDS:g} s")

    def _fail(self, why: str) -> None:
        self._error = self._error or TashiError(Code.UNAVAILABLE, why)
        kill_group(self._process.pid)

    def _hang_up(self) -> None:
        if self._channel.fileno() >= 0:
            self._loop.forget(self._channel.fileno())
            self._channel.close()

    def _reap(self) -> None:
        if self._channel.fileno() >= 0:
            self._read()
        kill_group(self._process.pid)
        status = self._process.wait()
        self._timer.cancel()
        self._hang_up()
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        if self._error is None and not self._leaving:
            self._error = TashiError(Code.UNAVAILABLE, f"its worker ended: {describe_status(status)}")
        self._hearer.closed(self._error)
