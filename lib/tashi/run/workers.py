"""Worker processes: what may hang, crash or take long is done by a child that can be killed.

Theory of operation. A pool holds up to ``limit`` children, started when there is something to do and kept for the
next call. A child does one call at a time, over a socket pair as JSON lines (see child.py). Every call ends with one
outcome:

    ok, failed  the child says so
    failed      no child took it within its time, or no child could be started: nothing happened
    unknown     the child was killed at the call's deadline, died, or wrote nonsense: it has to be looked after

A child that survives SIGKILL (it hangs in the kernel) keeps its place in the pool until it goes: `stuck` counts those,
and a pool full of them does no more calls, which is better than a machine full of them.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from tashi.run.loop import Loop, Timer

LINE_MAX = 16 * 2**20  # bytes of one answer: an inventory of thousands of guests
CALL_MAX = 64 * 2**10  # bytes of one call: fits into an idle socket pair, so that writing never waits
STUCK_SECONDS = 5.0  # how long a killed child may take to be gone

# What a child gets to see of our environment. Nothing that could change what programs it runs do.
PASSED_ON = ("PATH", "LANG", "TZ", "PYTHONPATH", "TASHI_CONFIG", "TASHI_BOOT_ID_FILE", "TASHI_MACHINE_ID_FILE")


class Outcome(NamedTuple):
    """How a call ended: ``outcome`` is ok, failed or unknown; ``value`` is plain JSON, ``text`` says why not, ``code``
    is that of tashi.wire.errors where the worker knows one."""

    outcome: str
    value: Any = None
    text: str = ""
    code: str = ""


Done = Callable[[Outcome], None]


def why_stuck(count: int) -> str:
    """What an agent with so many stuck children says of itself."""
    return f"{count} workers hang and can't be killed" if count else ""


class _Call(NamedTuple):
    verb: str
    args: Mapping[str, Any]
    seconds: float
    done: Done
    timer: Timer


class Pool:
    """Up to ``limit`` children running ``argv``."""

    def __init__(self, loop: Loop, argv: Sequence[str], limit: int) -> None:
        self._loop, self._argv, self._limit = loop, list(argv), limit
        self._children: list[_Child] = []
        self._waiting: deque[_Call] = deque()
        self._closed = False

    @property
    def stuck(self) -> int:
        """Children that were killed and are still there after 5 s."""
        return sum(child.stuck for child in self._children)

    def call(self, verb: str, args: Mapping[str, Any], seconds: float, done: Done) -> None:
        """Have ``verb`` done within ``seconds`` of a child's time; ``done`` is called once, always from the loop."""
        call = _Call(verb, args, seconds, done, self._loop.after(seconds, lambda: self._never_began(call)))
        self._waiting.append(call)
        self._start_waiting()

    def close(self) -> None:
        """Kill all children. Nobody is told how calls ended: the daemon that asked is ending too."""
        self._closed = True
        self._waiting.clear()
        for child in self._children:
            child.abandon()

    def _start_waiting(self) -> None:
        while self._waiting and not self._closed:
            child = next((each for each in self._children if each.idle), None)
            if child is None and len(self._children) >= self._limit:
                return
            call = self._waiting.popleft()
            call.timer.cancel()
            if child is None:
                try:
                    child = _Child(self._loop, self._argv, self._gone, self._start_waiting)
                except OSError as error:
                    text = f"no worker: {self._argv[0]}: {error.strerror}"
                    self._loop.after(0, lambda done=call.done, text=text: done(Outcome("failed", text=text)))  # type: ignore[misc]
                    continue
                self._children.append(child)
            child.begin(call)

    def _never_began(self, call: _Call) -> None:
        self._waiting.remove(call)
        call.done(Outcome("failed", text=f"no worker was free within {call.seconds:g} s"))

    def _gone(self, child: _Child) -> None:
        self._children.remove(child)
        self._start_waiting()


class _Child:
    """One process and the call that it does."""

    def __init__(self, loop: Loop, argv: list[str], gone: Callable[[_Child], None], free: Callable[[], None]) -> None:
        self._loop, self._gone, self._free = loop, gone, free
        self._call: _Call | None = None
        self._timer: Timer | None = None
        self._number = 0
        self._dying = False
        self.stuck = False
        self._process, self._channel = spawn(argv)
        self._lines = Lines(self._channel, LINE_MAX)
        self._pidfd = os.pidfd_open(self._process.pid)
        loop.watch(self._channel.fileno(), lambda _: self._read())
        loop.watch(self._pidfd, lambda _: self._reap())

    @property
    def idle(self) -> bool:
        return self._call is None and not self._dying

    def begin(self, call: _Call) -> None:
        self._number += 1
        line = json.dumps({"id": self._number, "verb": call.verb, "args": call.args}).encode() + b"\n"
        self._call = call
        if len(line) > CALL_MAX:
            text = f"{call.verb}: the call is {len(line)} bytes long, the limit is {CALL_MAX}"
            self._loop.after(0, lambda: self._end(Outcome("failed", text=text)))
            return
        self._timer = self._loop.after(call.seconds, lambda: self.kill(f"no answer within {call.seconds:g} s, killed"))
        try:
            self._channel.send(line)
        except OSError as error:
            why = f"worker is gone: {error.strerror}"
            self._loop.after(0, lambda: self.kill(why))

    def kill(self, why: str) -> None:
        """End the process and all that it started; the outcome of its call is unknown."""
        if not self._dying:
            self._dying = True
            self._loop.forget(self._channel.fileno())
            self._channel.close()
            kill_group(self._process.pid)
            self._loop.after(STUCK_SECONDS, self._mark_stuck)
        self._end(Outcome("unknown", text=why))

    def abandon(self) -> None:
        """Kill, and tell nobody."""
        self._call = None
        self.kill("abandoned")

    def _read(self) -> None:
        lines, over = self._lines.read()
        for line in lines:
            self._take(line)
        if over and not self._dying:
            self.kill(f"worker {over}")

    def _take(self, line: bytes) -> None:
        if self._dying:
            return
        try:
            answer = json.loads(line)
            number = answer["id"]
            outcome = Outcome(answer["outcome"], answer["value"], answer["text"], answer["code"])
        except (ValueError, KeyError, TypeError, RecursionError):
            self.kill(f"worker wrote nonsense: {line[:60]!r}")
            return
        if number != self._number or self._call is None or outcome.outcome not in ("ok", "failed", "unknown"):
            self.kill(f"worker answered what was not asked: {line[:60]!r}")
            return
        self._end(outcome)

    def _end(self, outcome: Outcome) -> None:
        call, self._call = self._call, None
        if self._timer is not None:
            self._timer.cancel()
        if call is not None:
            call.done(outcome)
            self._free()

    def _mark_stuck(self) -> None:
        self.stuck = self._pidfd >= 0

    def _reap(self) -> None:
        """It has ended by itself or by our hand. Until `wait` its number is nobody else's: what it started can go."""
        if not self._dying:
            lines, _ = self._lines.read()  # an answer that was written before the end counts
            for line in lines:
                self._take(line)
        pid = self._process.pid
        kill_group(pid)
        status = self._process.wait()
        self._loop.forget(self._pidfd)
        os.close(self._pidfd)
        self._pidfd, self.stuck = -1, False
        if not self._dying:
            self._dying = True
            self._loop.forget(self._channel.fileno())
            self._channel.close()
        self._end(Outcome("unknown", text=f"worker ended: {describe_status(status)}"))
        self._gone(self)


class Lines:
    """Whole lines out of a socket, without ever waiting."""

    def __init__(self, channel: socket.socket, limit: int) -> None:
        self._channel, self._limit, self._rest = channel, limit, b""

    def read(self) -> tuple[list[bytes], str]:
        """The lines that have come, and why no more will (empty while more may come)."""
        over = ""
        try:
            piece = self._channel.recv(2**20)
            over = "" if piece else "closed its channel"
        except BlockingIOError:
            return [], ""
        except OSError as error:
            piece, over = b"", f"channel: {error.strerror}"
        *lines, self._rest = (self._rest + piece).split(b"\n")
        if len(self._rest) > self._limit:
            return lines, f"wrote a line longer than {self._limit} bytes"
        return lines, over


def spawn(argv: Sequence[str]) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start a child in a session of its own, with the channel as descriptor 0 and an environment of ours.

    Its standard output goes where its errors go: a library that prints can't disturb the channel. Raises OSError.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    ours.setblocking(False)
    environment = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    try:
        process = subprocess.Popen(
            list(argv), stdin=theirs.fileno(), stdout=2, env=environment, close_fds=True, start_new_session=True
        )
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours


def kill_group(pid: int) -> None:
    """SIGKILL to a child that `spawn` started and to all that it started."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        return  # it has ended and so have they


def describe_status(status: int) -> str:
    """A return code as people say it: ``exit status 3``, ``SIGKILL``."""
    if status >= 0:
        return f"exit status {status}"
    return signal.Signals(-status).name if -status in signal.valid_signals() else f"signal {-status}"
