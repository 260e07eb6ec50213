"""Processes that a lab owns: started detached, told apart by pid and start time, ended for certain.

A pid alone proves nothing once its process may be gone: the kernel reuses it. A `Process` is the pair of pid and start
time; a signal goes through a pidfd after the pair was compared, so a stranger is never hit. Every process of a lab also
carries the lab's mark in its environment: that finds those that were started but never recorded.
"""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tashi.wire.errors import Unavailable

MARK = "TASHI_LAB_MARK"


class Process(msgspec.Struct, frozen=True):
    """``started`` is in clock ticks after boot, as /proc/PID/stat has it."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> Process | None:
        """The process that has this pid now; None when there is none, or only its exit status is left."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            return None
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]))

    def alive(self) -> bool:
        return Process.of(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        """Send a signal; gone already is success."""
        with self._handle() as handle:
            if handle is not None:
                signal.pidfd_send_signal(handle, number)

    def wait(self, seconds: float = 10.0) -> None:
        """Until it is gone. Raises Unavailable when it still lives after ``seconds``."""
        with self._handle() as handle:
            if handle is not None and not select.select([handle], [], [], seconds)[0]:
                raise Unavailable(f"process {self.pid} still lives after {seconds:g} s")
        reap(self.pid)

    def end(self, number: signal.Signals = signal.SIGKILL, seconds: float = 10.0) -> None:
        """`send`, then `wait`."""
        self.send(number)
        self.wait(seconds)

    @contextmanager
    def _handle(self) -> Iterator[int | None]:
        """A pidfd that is this very process, or None when it is gone."""
        try:
            handle = os.pidfd_open(self.pid)
        except ProcessLookupError:
            yield None
            return
        try:
            yield handle if self.alive() else None
        finally:
            os.close(handle)


def reap(pid: int) -> None:
    """Take the exit status if ``pid`` is a child of ours; somebody else's is left alone."""
    try:
        os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return


def spawn(argv: Sequence[str], log: Path, environment: Mapping[str, str]) -> Process:
    """Start ``argv`` in a session of its own, output appended to ``log``. It outlives this process."""
    writable = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    try:
        pid = os.posix_spawn(
            argv[0],
            list(argv),
            environment,
            file_actions=[(os.POSIX_SPAWN_DUP2, nothing, 0)]
            + [(os.POSIX_SPAWN_DUP2, writable, target) for target in (1, 2)],
            setsid=True,
        )
    except OSError as error:
        raise Unavailable(f"{argv[0]}: {error.strerror}") from error
    finally:
        os.close(writable)
        os.close(nothing)
    started = Process.of(pid)
    if started is None:
        reap(pid)
        raise Unavailable(f"{Path(argv[-1]).name}: ended at once", tail(log))
    return started


def marked(mark: str) -> list[Process]:
    """All live processes with this mark, or one below it (MARK/h1), in their environment, except this one."""
    wanted = (f"{MARK}={mark}\0".encode(), f"{MARK}={mark}/".encode())
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            environment = b"\0" + (entry / "environ").read_bytes()
        except OSError:  # gone meanwhile, or another user's: not ours either way
            continue
        if not any(b"\0" + each in environment for each in wanted):
            continue
        process = Process.of(int(entry.name))
        if process is not None:
            found.append(process)
    return found


def tail(log: Path, lines: int = 8) -> str:
    """The last lines of a log, for an error's hint."""
    try:
        text = log.read_text(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        return ""
    return "\n".join([f"{log}:", *text]) if text else f"{log} is empty"
