"""zoni-console at a terminal and in a pipe, against a controller and a zoni agent as real processes."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tests.daemon.processes import PATIENCE, ROOT, WITH_US, Controller, Zoni, environment, until
from tests.daemon.test_zoni import PASSWORD, Rack
from zoni.power.fake import Fault

PROGRAM = [*WITH_US, sys.executable, str(ROOT / "cmd/zoni-console")]
LOGIN = b"m1 login: "


@pytest.fixture(scope="module")
def room() -> Iterator[Rack]:
    controller = Controller()
    try:
        zoni = Zoni(controller.start())
        try:
            assert zoni.enroll()[0] == 0
            zoni.start()
            made = Rack(zoni, controller.local())
            made.add("m1", power="on")
            yield made
        finally:
            zoni.close()
    finally:
        controller.close()


@pytest.fixture
def rack(room: Rack) -> Rack:
    """m1, which is well, and nobody at its console; whatever the test before has left."""
    machine = room.world.device("m1")
    assert machine is not None
    room.world.set_faults([])
    room.world.put("m1", replace(machine, password=PASSWORD, line_taken=False, breaks=0))
    if room.row("m1")["lock"]:
        room.admin.ok("machine.set", name="m1", lock="")
    if room.zoni.process is None or room.zoni.process.poll() is not None:
        room.zoni.start()

    def at_rest() -> bool:
        return room.row("m1")["power"] == "on" and not open_consoles(room)

    until(at_rest, "m1 is looked at, and nobody is at its console")
    return room


def open_consoles(rack: Rack) -> list[dict[str, Any]]:
    return [each for each in rack.jobs([]) if each["verb"] == "machine.console" and not each["outcome"]]


def surroundings(rack: Rack) -> dict[str, str]:
    config = rack.zoni.controller.folder / "client.toml"
    config.write_text(f'[client]\ncontroller = ["ipc://{rack.zoni.controller.folder}/run"]\n')
    return environment() | {"TASHI_CONFIG": str(config), "TERM": "vt100"}


class Terminal:
    """zoni-console at a terminal of its own."""

    def __init__(self, rack: Rack, *options: str, out: int = -1) -> None:
        self.ours, theirs = pty.openpty()
        self.before = termios.tcgetattr(self.ours)
        output = theirs if out < 0 else out
        self.process = subprocess.Popen(
            [*PROGRAM, "m1", *options], stdin=theirs, stdout=output, stderr=theirs, env=surroundings(rack)
        )
        os.close(theirs)
        self.shown = b""

    def type(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def sees(self, text: bytes) -> None:
        """It is shown by now, or soon."""

        def look() -> bool:
            if select.select([self.ours], [], [], 0.01)[0]:
                try:
                    self.shown += os.read(self.ours, 4096)
                except OSError:
                    return text in self.shown
            return text in self.shown

        until(look, f"{text!r} on the terminal, which has {self.shown!r}")

    @property
    def raw(self) -> bool:
        return not termios.tcgetattr(self.ours)[3] & termios.ECHO

    def ended(self) -> int:
        """The exit status; the terminal is as it was."""
        status = self.process.wait(PATIENCE)
        assert termios.tcgetattr(self.ours) == self.before
        return status

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)


@pytest.fixture
def terminal(rack: Rack) -> Iterator[Terminal]:
    made = Terminal(rack)
    made.sees(LOGIN)
    yield made
    made.close()


def last_job(rack: Rack) -> dict[str, Any]:
    found = [each for each in rack.jobs([]) if each["verb"] == "machine.console"]
    return max(found, key=lambda each: int(each["id"].removeprefix("j-")))


def piped(rack: Rack, *options: str, typed: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [*PROGRAM, "m1", *options]
    return subprocess.run(command, input=typed, capture_output=True, env=surroundings(rack), timeout=PATIENCE)


def printed(rack: Rack, *options: str, typed: bytes = b"", until_: bytes = LOGIN) -> bytes:
    """What it prints until that is there; then it is ended."""
    process = subprocess.Popen(
        [*PROGRAM, "m1", *options], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=surroundings(rack), bufsize=0
    )
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(typed)
    process.stdin.close()
    shown = b""
    while until_ not in shown:
        piece = process.stdout.read(4096)
        assert piece, f"it ended with {process.wait()}, and had printed {shown!r}"
        shown += piece
    process.terminate()
    assert process.wait(PATIENCE) == -signal.SIGTERM
    process.stdout.close()
    return shown


def test_what_is_typed_goes_to_the_machine_and_a_tilde_and_a_dot_end_it(rack: Rack, terminal: Terminal) -> None:
    assert terminal.raw
    terminal.type(b"who~.am i\x03\r")
    terminal.sees(b"who~.am i\x03\r")
    assert last_job(rack)["phase"] == "open"
    terminal.type(b"~~home\r~?")
    terminal.sees(b"~home\r")
    terminal.sees(b"send a break")
    terminal.type(b"~B")
    until(lambda: rack.world.device("m1").breaks == 1, "the break is there")  # type: ignore[union-attr]
    terminal.type(b"~.")
    assert terminal.ended() == 0
    terminal.sees(b"[m1: closed]")
    assert rack.ended(last_job(rack)["id"])["outcome"] == "done"


def test_in_a_pipe_it_takes_input_and_prints_and_ends_by_itself(rack: Rack) -> None:
    log, typed = rack.zoni.folder / "console.log", b"uptime ~. \x00\xff\r"
    shown = printed(rack, "--log", str(log), typed=typed, until_=typed)
    assert shown == LOGIN + typed == log.read_bytes()
    done = piped(rack, "--seconds", "0.5", "--log", str(log))
    assert (done.returncode, done.stderr) == (0, b"") and LOGIN.startswith(done.stdout)
    assert log.read_bytes() == shown + done.stdout


def test_reading_only_sends_nothing(rack: Rack) -> None:
    assert printed(rack, "--read-only", typed=b"rm -rf /\r") == LOGIN
    done = piped(rack, "--read-only", "--seconds", "0.5", typed=b"rm -rf /\r")
    assert done.returncode == 0 and LOGIN.startswith(done.stdout)


def test_a_dry_run_opens_nothing(rack: Rack) -> None:
    done = piped(rack, "-n")
    assert done.returncode == 0 and b"machine.console" in done.stdout
    assert not open_consoles(rack)


def test_one_at_a_time_and_the_next_may_take_it(rack: Rack, terminal: Terminal) -> None:
    done = piped(rack, "--seconds", "1")
    assert done.returncode == 75 and b"root has its console since" in done.stderr and b"--force" in done.stderr
    assert printed(rack, "--force", typed=b"mine", until_=b"mine") == LOGIN + b"mine"
    assert terminal.ended() == 75
    terminal.sees(b"zoni-console: m1: root has taken it over")


def test_it_ends_when_the_right_does(rack: Rack, terminal: Terminal) -> None:
    rack.admin.ok("machine.set", name="m1", lock="a fan is being changed")
    assert terminal.ended() == 77
    terminal.sees(b"zoni-console: m1: it is locked by root")
    assert rack.ended(last_job(rack)["id"])["outcome"] == "cancelled"


def test_it_can_be_ended_by_others(rack: Rack, terminal: Terminal) -> None:
    rack.admin.ok("job.cancel", name=last_job(rack)["id"])
    assert terminal.ended() == 1
    terminal.sees(b"zoni-console: m1: ended by root")


def test_the_agent_is_killed(rack: Rack, terminal: Terminal) -> None:
    job = last_job(rack)["id"]
    rack.zoni.kill()
    assert terminal.ended() == 75
    terminal.sees(f"the connection to its zoni agent at {rack.zoni.stream} is lost".encode())
    rack.zoni.start()
    assert rack.ended(job)["reason"] == "the agent was interrupted"


def test_the_agent_ends(rack: Rack, terminal: Terminal) -> None:
    assert rack.zoni.stop() == 0
    assert terminal.ended() == 75
    terminal.sees(b"zoni-console: m1: its zoni agent ends")


def test_the_agent_hangs(rack: Rack, terminal: Terminal) -> None:
    assert rack.zoni.process is not None
    rack.zoni.process.send_signal(signal.SIGSTOP)
    try:
        assert terminal.ended() == 75
    finally:
        rack.zoni.process.send_signal(signal.SIGCONT)
    terminal.sees(b"is not heard any more")


def test_the_bmc_falls_silent(rack: Rack, terminal: Terminal) -> None:
    rack.world.set_faults([Fault(device="m1", call="read", drop=True)])
    assert terminal.ended() == 75
    terminal.sees(b"zoni-console: m1: fake m1: no answer")
    assert rack.ended(last_job(rack)["id"])["reason"] == "m1: fake m1: no answer"


def test_the_client_is_killed(rack: Rack, terminal: Terminal) -> None:
    """The agent notices, and the next one gets the line."""
    terminal.process.kill()
    terminal.process.wait()
    ended = rack.ended(last_job(rack)["id"])
    assert (ended["outcome"], ended["reason"]) == ("failed", "m1: its client has hung up")
    assert printed(rack) == LOGIN


def test_the_line_is_somebody_elses_at_the_bmc(rack: Rack) -> None:
    rack.world.take_line("m1", True)
    done = piped(rack, "--seconds", "1")
    assert done.returncode == 75 and b"somebody else has its serial line" in done.stderr and b"--force" in done.stderr
    assert printed(rack, "--force") == LOGIN


def test_a_wrong_password(rack: Rack) -> None:
    machine = rack.world.device("m1")
    assert machine is not None
    rack.world.put("m1", replace(machine, password="another"))
    done = piped(rack, "--seconds", "1")
    assert done.returncode == 77 and b"m1: fake m1: user or password is wrong" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_the_terminal_as_it_was(rack: Rack, terminal: Terminal, number: signal.Signals) -> None:
    terminal.process.send_signal(number)
    assert terminal.ended() == -number
    assert rack.ended(last_job(rack)["id"])["outcome"] == "done"


def test_a_reader_that_goes_leaves_the_terminal_as_it_was(rack: Rack) -> None:
    read, write = os.pipe()
    terminal = Terminal(rack, out=write)
    os.close(write)
    assert os.read(read, 100) == LOGIN
    os.close(read)
    terminal.type(b"x")
    assert terminal.ended() == -signal.SIGPIPE
    terminal.close()


def test_the_terminal_goes_away(rack: Rack) -> None:
    terminal = Terminal(rack)
    terminal.sees(LOGIN)
    os.close(terminal.ours)
    assert terminal.process.wait(PATIENCE) in (0, -signal.SIGHUP)
    assert rack.ended(last_job(rack)["id"])["outcome"] == "done"


def test_a_paused_reader_loses_nothing_of_what_fits(rack: Rack) -> None:
    """Who reads is slow: what it has room for waits, and is not taken for the end of the client."""
    process = subprocess.Popen(
        [*PROGRAM, "m1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=surroundings(rack), bufsize=0
    )
    assert process.stdin is not None and process.stdout is not None
    text = b"".join(b"%07d\n" % number for number in range(40_000))
    for at in range(0, len(text), 4096):
        process.stdin.write(text[at : at + 4096])
    got = b""
    while len(got) < len(LOGIN + text):
        piece = process.stdout.read(65536)
        assert piece
        got += piece
    assert got == LOGIN + text
    process.terminate()
    assert process.wait(PATIENCE) == -signal.SIGTERM


def sleeps(process: subprocess.Popen[bytes]) -> bool:
    """For a while: it is not even kept from running by what else this machine does."""
    for _ in range(20):
        if Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()[0] != "S":
            return False
        time.sleep(0.02)
    return True


def test_an_end_that_a_paused_reader_has_not_seen_is_waited_for_at_rest(rack: Rack) -> None:
    process = subprocess.Popen(
        [*PROGRAM, "m1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=surroundings(rack)
    )
    assert process.stdin is not None and process.stdout is not None
    pipe, there = process.stdout.fileno(), bytearray(4)
    process.stdin.write(b"x" * 100_000)
    process.stdin.flush()

    def is_full() -> bool:
        fcntl.ioctl(pipe, termios.FIONREAD, there)
        return int.from_bytes(there, sys.byteorder) > fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ) - 4096

    until(is_full, "nothing more goes into its pipe")
    assert rack.zoni.stop() == 0
    time.sleep(0.5)  # it has heard of that
    until(lambda: sleeps(process), "it waits for who reads, and does nothing else")
    out, told = process.communicate(timeout=PATIENCE)
    assert (process.returncode, b"its zoni agent ends" in told) == (75, True) and out.startswith(LOGIN + b"xxx")
