"""Serial over LAN by ipmitool: for BMCs that pyghmi does not get along with.

It wants a terminal, so it gets a pseudo one; the password goes over a pipe, for arguments are for all to see. What it
says before the line is open is its own, and so is what it says at its end.
"""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
import termios
import time
import tty
from contextlib import suppress

from tashi.model.shorten import shorten
from tashi.wire.errors import Code
from zoni.power.interface import PowerError
from zoni.power.paths import Ipmi

OPEN = b"SOL Session operational"
NO_SESSION = "Unable to establish"
LOGIN_SECONDS, LEAVE_SECONDS = 15.0, 5.0
ESCAPE = "\x1e"  # what nobody types: it is ipmitool's, at the beginning of a line, and behind it B is a break
SUITES = ("3", "17")  # with SHA-1, which all have, and with SHA-256 (table 22-20)
CODES = {"already active": Code.LOCKED, NO_SESSION: Code.UNAVAILABLE, "disabled": Code.IMPOSSIBLE}


class Ipmitool:
    """Implements `zoni.power.interface.Console`. ``why`` pyghmi could not."""

    def __init__(self, path: Ipmi, why: str, force: bool) -> None:
        program = shutil.which("ipmitool")
        if program is None:
            raise PowerError(Code.UNAVAILABLE, f"{why}; there is no ipmitool to try it with", "apt install ipmitool")
        self.note = f"by ipmitool: {why}"
        self._where, self._program, self._path = path.where, program, path
        self._process: subprocess.Popen[bytes] | None = None
        self._terminal = -1
        words = ""
        for self._suite in SUITES:
            if force:
                self._deactivate()
            self._begin()
            said = self._until_open()
            if OPEN in said:
                return
            self._end()
            words = words or " ".join(said.decode(errors="replace").split())
            if NO_SESSION not in words:
                break  # no other suite would do better
        code = next((code for part, code in CODES.items() if part in words), Code.UNAVAILABLE)
        text = f"{self._where}: ipmitool: {shorten(words, 200) or 'it said nothing'}"
        raise PowerError(code, text, "--force takes it away" if code is Code.LOCKED else "")

    def read(self, seconds: float) -> bytes:
        if not select.select([self._terminal], [], [], seconds)[0]:
            return b""
        try:
            data = os.read(self._terminal, 4096)
        except OSError:  # Linux's way to say that the other side is closed
            data = b""
        if not data:
            raise PowerError(Code.UNAVAILABLE, f"{self._where}: ipmitool has ended")
        return data

    def write(self, data: bytes) -> int:
        return os.write(self._terminal, data) if select.select([], [self._terminal], [], 0)[1] else 0

    def send_break(self) -> bool:
        return self.write(f"\r{ESCAPE}B".encode()) > 0

    def close(self) -> None:
        """It leaves the line to the BMC's patience, which may be long: so that is told."""
        if self._end():
            self._deactivate()

    def _end(self) -> bool:
        """Whether it was there until now."""
        there = self._process is not None and self._process.poll() is None
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(2.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            os.close(self._terminal)
            self._process = None
        return there

    def _command(self, verb: str, password: int) -> list[str]:
        path = self._path
        where = ["-H", path.address, "-p", str(path.port), "-U", path.login.user, "-f", f"/dev/fd/{password}"]
        return [self._program, "-I", "lanplus", "-C", self._suite, *where, "-e", ESCAPE, "sol", verb]

    def _deactivate(self) -> None:
        """Whoever has the line loses it."""
        with _Password(self._path.login.password) as password, suppress(subprocess.TimeoutExpired):
            silence = subprocess.DEVNULL
            command = self._command("deactivate", password)
            subprocess.run(
                command, pass_fds=[password], stdin=silence, stdout=silence, stderr=silence, check=False,
                timeout=LEAVE_SECONDS,
            )  # fmt: skip

    def _begin(self) -> None:
        ours, theirs = pty.openpty()
        tty.setraw(theirs, termios.TCSANOW)
        with _Password(self._path.login.password) as password:
            self._process = subprocess.Popen(
                self._command("activate", password),
                pass_fds=[password], stdin=theirs, stdout=theirs, stderr=theirs,
            )  # fmt: skip
        os.close(theirs)
        self._terminal = ours

    def _until_open(self) -> bytes:
        """What it says until the line is open, or it ends."""
        said, end = b"", time.monotonic() + LOGIN_SECONDS
        while OPEN not in said or not said.endswith(b"\n"):
            if time.monotonic() > end:
                return said
            try:
                said += self.read(0.2)
            except PowerError:
                return said
        return said


class _Password:
    """A descriptor out of which a password can be read once."""

    def __init__(self, password: str) -> None:
        self._password = password

    def __enter__(self) -> int:
        self._end, other = os.pipe()
        os.write(other, self._password.encode() + b"\n")
        os.close(other)
        return self._end

    def __exit__(self, *_: object) -> None:
        os.close(self._end)
