"""Being at a console: a ticket from the controller, then bytes between a terminal or pipes and the machine's agent."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import BinaryIO

import zmq

from tashi.cli.call import Call
from tashi.cli.change import print_plan
from tashi.cli.terminal import BREAK, END, HELP_TEXT, Escapes, lent
from tashi.client import Client
from tashi.stream import Keys, Stream, Word, end_of, new_keys
from tashi.wire.envelope import Answer
from tashi.wire.errors import Code, TashiError, Unavailable

READY_SECONDS = 30.0  # until an agent lets us come
PIECE = 512  # bytes: what a pipe that says it takes any takes at once (PIPE_BUF)
ENDED = ("done", "failed", "cancelled")


def attend(call: Call, verb: str, name: str, body: Mapping[str, object], log: BinaryIO | None, seconds: float) -> None:
    """Ask for the console of ``name`` and be at it until it ends, ``seconds`` at most where that is not 0.

    Raises TashiError with what it ended with, where that was neither we nor the time.
    """
    keys = new_keys()
    plan = {"dry_run": True} if call.dry_run else {}
    answer = call.client.ask(verb, {"name": name, "key": keys.public, **body, **plan}, call.reason)
    if call.dry_run:
        print_plan(call, verb, name, answer.ok)
        return
    told = _invited(call.client, answer, name)
    stream = _come(name, told, keys, answer.ok["job"])
    attendance = _Attendance(call, name, stream, bool(body.get("read_only")), log, seconds)
    ended = False
    try:
        with lent(0) as is_terminal:
            try:
                attendance.run(is_terminal)
                ended = True
            finally:
                stream.close(last=True)
    finally:
        attendance.tell("closed" if ended else "ended")


def _come(name: str, told: dict[str, object], keys: Keys, ticket: str) -> Stream:
    return Stream(name, str(told["stream"]), str(told["server_key"]), keys, ticket)


def _invited(client: Client, answer: Answer, name: str) -> dict[str, object]:
    """Where to come, as soon as the agent is ready for us. Raises TashiError when it will not be."""
    job, revision = answer.ok["job"], answer.revision
    until = time.monotonic() + READY_SECONDS
    while True:
        left = until - time.monotonic()
        if left <= 0:
            raise Unavailable(f"{name}: its zoni agent has not let us come in {READY_SECONDS:g} s", f"tjob-show {job}")
        page = client.watch(revision, job=job, wait=left)
        revision = page.revision
        for entry in page.entries:
            if entry.get("id") != job:
                continue
            if entry.get("state") in ENDED:
                raise TashiError(Code.WRONG_STATE, str(entry.get("reason") or f"{name}: {job} {entry['state']}"))
            if entry.get("phase") in ("waits", "open"):
                result: dict[str, object] = entry["result"]
                return result


class _Attendance:
    """One console, from its opening to its end."""

    def __init__(
        self, call: Call, name: str, stream: Stream, read_only: bool, log: BinaryIO | None, seconds: float
    ) -> None:  # fmt: skip
        self._call, self._name, self._stream, self._read_only = call, name, stream, read_only
        self._log, self._seconds = log, seconds
        self._until = 0.0  # when we end by ourselves
        self._credit = 0  # bytes that may be sent
        self._typed = bytearray()
        self._shown = bytearray()
        self._over: Word | None = None
        self._listens = True  # to standard input
        self._escapes: Escapes | None = None
        self._left = False

    def tell(self, what: str) -> None:
        """To whoever sits at a terminal."""
        if self._escapes is not None and not self._call.output.quiet:
            self._say(f"\r\n[{self._name}: {what}]\r\n")

    def _say(self, text: str) -> None:
        with suppress(OSError):  # a terminal that is gone
            sys.stderr.write(text)
            sys.stderr.flush()

    def run(self, is_terminal: bool) -> None:
        """Until it is over. Raises TashiError with the reason, Signalled, BrokenPipeError."""
        self._escapes = Escapes() if is_terminal else None
        self._listens = is_terminal or not self._read_only
        while not self._left:
            self._turn()
            if self._over is not None and not self._shown:
                error = end_of(self._over)
                if error is not None:
                    raise error
                return

    def _turn(self) -> None:
        poller = zmq.Poller()
        wakes = [self._until] if self._until else []
        if self._over is None:
            poller.register(self._stream.socket, zmq.POLLIN)
            poller.register(self._stream.monitor, zmq.POLLIN)
            wakes.append(self._stream.due)
        if self._listens and not self._typed:
            poller.register(0, zmq.POLLIN)
        if self._shown:
            poller.register(1, zmq.POLLOUT)
        wait = max(0, int((min(wakes) - time.monotonic()) * 1000) + 1) if wakes else None
        ready = dict(poller.poll(wait))
        if self._over is None:
            for word in self._stream.words():
                self._hear(word)
            self._stream.keep_up()
        if 0 in ready:
            self._read()
        if 1 in ready:
            self._show()
        self._send()
        if self._until and time.monotonic() >= self._until:
            self._left = True

    def _hear(self, word: Word) -> None:
        match word.say:
            case "open":
                self._credit = int(word.head["credit"])
                self._until = time.monotonic() + self._seconds if self._seconds else 0.0
                note = str(word.head.get("note") or "")
                self.tell("open; ~. ends it, ~? tells more" + (f"; {note}" if note else ""))
            case "data":
                if lost := int(word.head.get("lost") or 0):
                    self.tell(f"{lost} bytes were lost: they came faster than they were taken")
                self._shown += word.data
                if self._log is not None:
                    self._log.write(word.data)
                    self._log.flush()
            case "credit":
                self._credit += int(word.head["bytes"])
            case "end":
                self._over = word

    def _read(self) -> None:
        try:
            typed = os.read(0, PIECE)
        except OSError:  # a terminal that is gone
            typed = b""
        if not typed:
            self._listens = False
            self._left = self._escapes is not None
            return
        for each in self._escapes.feed(typed) if self._escapes is not None else [typed]:
            if isinstance(each, bytes):
                self._typed += b"" if self._read_only else each
            elif each == END:
                self._left = True
                return
            elif each == BREAK:
                self._stream.send_break()
            else:
                self._say(f"\r\n{HELP_TEXT}")

    def _show(self) -> None:
        piece = bytes(self._shown[:PIECE])
        written = os.write(1, piece)
        del self._shown[:written]
        if self._over is None:
            self._stream.took(written)

    def _send(self) -> None:
        piece = bytes(self._typed[: self._credit])
        if piece and self._over is None:
            self._stream.give(piece)
            self._credit -= len(piece)
            del self._typed[: len(piece)]
