"""What every console of a power path promises: held against the fake, the laboratory's BMC by both of its clients, and
OpenIPMI's simulator. The machine at the other end gives back what it gets."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from tashi.run.workers import spawn
from tashi.wire.errors import Code
from tests.contract import power_peers as peers
from tests.contract.power_peers import ADDRESS
from tests.contract.power_rigs import PASSWORD, FakeRig
from zoni.access import Login
from zoni.power import ipmi_console, paths
from zoni.power.fake import Fault, World
from zoni.power.interface import Console, Driver, PowerError
from zoni.power.line import WORKER
from zoni.power.open import open_driver

SECONDS = 10.0
needs_sim = pytest.mark.skipif(shutil.which("ipmi_sim") is None, reason="ipmi_sim is missing (openipmi)")
needs_ipmitool = pytest.mark.skipif(shutil.which("ipmitool") is None, reason="ipmitool is missing")


class Echo:
    """A machine at one end of a socket."""

    def __init__(self, there: socket.socket) -> None:
        self.there, self.got = there, b""
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while data := self.there.recv(4096):
            self.got += data
            self.there.sendall(data)


class Rig(ABC):
    path: paths.AnyPath
    faults: frozenset[str] = frozenset()

    def driver(self, path: paths.AnyPath | None = None) -> Driver:
        return open_driver(path or self.path, 5.0)

    def with_password(self, password: str) -> paths.AnyPath:
        return msgspec.structs.replace(self.path, login=Login(user="admin", password=password))

    @abstractmethod
    def break_(self, fault: str) -> None:
        """From now on its line is ``taken``, or it is ``mute``, ``loses`` packets, has serial over LAN ``off``."""

    def breaks(self) -> int:
        raise AssertionError("not here")

    def close(self) -> None:  # noqa: B027 most leave nothing
        """Leave it as it was found."""


class FakeLine(Rig):
    faults = frozenset({"taken", "mute"})

    def __init__(self, folder: Path) -> None:
        self.world = World(folder)
        self.world.put("m1", FakeRig.machine)
        self.path = paths.Fake(world=str(folder), machine="m1", login=Login(user="admin", password=PASSWORD))

    def break_(self, fault: str) -> None:
        if fault == "taken":
            self.world.take_line("m1", True)
        else:
            self.world.set_faults([Fault(drop=True)])

    def breaks(self) -> int:
        machine = self.world.device("m1")
        assert machine is not None
        return machine.breaks


class BmcLine(Rig):
    faults = frozenset({"taken", "mute", "loses", "off"})
    well: ClassVar[dict[str, Any]] = {"sol_off": False, "sol_taken": False, "breaks": 0, "one_suite": False}

    def __init__(self, folder: Path) -> None:
        line = str(folder / "b1.line")
        self._peer = peers.Peer("bmc", folder, {"bmcs": {"b1": {"line": line, "name": "b1"}}})
        there = socket.socket(socket.AF_UNIX)
        there.connect(line)
        self.machine = Echo(there)
        port = self._ask(machine=self.well)["port"]
        self.path = paths.Ipmi(address=ADDRESS, port=port, login=Login(user="admin", password=PASSWORD))

    def _ask(self, **changes: Any) -> dict[str, Any]:
        return self._peer.ask(bmc="b1", **changes)

    def break_(self, fault: str) -> None:
        changes: dict[str, dict[str, Any]] = {
            "taken": {"machine": {"sol_taken": True}},
            "mute": {"weather": {"silent": True}},
            "loses": {"weather": {"lose": 1, "drop": 1}},
            "off": {"machine": {"sol_off": True}},
        }
        self._ask(**changes[fault])

    def breaks(self) -> int:
        found: int = self._ask()["breaks"]
        return found

    def close(self) -> None:
        self._peer.close()


class BmcLineByIpmitool(BmcLine):
    """The same, of a kind that pyghmi does not get along with."""

    faults = frozenset({"taken", "off"})
    well = BmcLine.well | {"one_suite": True}


class SimLine(Rig):
    """A BMC that somebody else wrote."""

    def __init__(self, folder: Path) -> None:
        (folder / "sim").mkdir()
        self._listens = socket.create_server((ADDRESS, 0))
        self._sim = peers.IpmiSim(folder / "sim", self._listens.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()
        self.path = paths.Ipmi(address=ADDRESS, port=self._sim.port, login=Login(user="admin", password=PASSWORD))

    def _serve(self) -> None:
        """It comes anew for each client."""
        with suppress(OSError):
            while True:
                Echo(self._listens.accept()[0])

    def break_(self, fault: str) -> None:
        raise AssertionError(fault)

    def close(self) -> None:
        self._sim.close()
        self._listens.close()


RIGS: list[Any] = [
    FakeLine,
    BmcLine,
    pytest.param(BmcLineByIpmitool, marks=needs_ipmitool),
    pytest.param(SimLine, marks=needs_sim),
]


@pytest.fixture(params=RIGS)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    made: Rig = request.param(tmp_path)
    yield made
    made.close()


@pytest.fixture
def console(rig: Rig) -> Iterator[Console]:
    driver = rig.driver()
    made = driver.console(False)
    yield made
    made.close()
    driver.close()


def exchange(console: Console, data: bytes, seconds: float = SECONDS) -> bytes:
    """Write it all, and what is read until as much has come back."""
    rest, got, end = data, b"", time.monotonic() + seconds
    while data not in got:
        assert time.monotonic() < end, f"{len(got)} bytes came back in {seconds} s: {got[-80:]!r}"
        if rest:
            rest = rest[console.write(rest) :]
        got += console.read(0.02)
    return got


def needs(rig: Rig, fault: str) -> None:
    if fault not in rig.faults:
        pytest.skip(f"{type(rig).__name__}: nobody can make it so here")


def test_what_is_written_arrives_and_what_comes_is_read(console: Console) -> None:
    exchange(console, b"hello\r")
    exchange(console, bytes(byte for byte in range(256) if byte != 0x1E))


def test_much_of_it_is_whole_and_in_order(console: Console) -> None:
    exchange(console, b"".join(b"%05d " % number for number in range(500)))


def test_packets_that_are_lost_are_missed_by_nobody(rig: Rig, console: Console) -> None:
    needs(rig, "loses")
    for number in range(2):
        rig.break_("loses")
        exchange(console, b"line %d\r" % number)


def test_a_break(rig: Rig, console: Console) -> None:
    if isinstance(rig, SimLine):
        pytest.skip("ipmi_sim has no break on a socket")
    end = time.monotonic() + SECONDS
    while not console.send_break():
        console.read(0.02)
        assert time.monotonic() < end
    while rig.breaks() != 1:
        console.read(0.02)
        assert time.monotonic() < end


def test_one_client_at_a_time_unless_it_is_forced(rig: Rig) -> None:
    needs(rig, "taken")
    rig.break_("taken")
    with pytest.raises(PowerError) as caught:
        rig.driver().console(False)
    assert (caught.value.code, caught.value.hint) == (Code.LOCKED, "--force takes it away")
    assert caught.value.text.startswith(rig.path.where)
    console = rig.driver().console(True)
    exchange(console, b"mine")
    console.close()


def test_it_is_free_again_when_it_was_closed(rig: Rig) -> None:
    if isinstance(rig, SimLine):
        pytest.skip("ipmi_sim carries nothing after the first time, for ipmitool neither")
    for _ in range(2):
        driver = rig.driver()
        console = driver.console(False)
        exchange(console, b"me")
        console.close()
        driver.close()


def test_who_takes_it_away_is_noticed(rig: Rig, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(rig, BmcLineByIpmitool):
        pytest.skip("ipmitool goes on in silence")
    monkeypatch.setattr(ipmi_console, "IDLE_SECONDS", 0.3)
    exchange(console, b"me")
    if isinstance(rig.path, paths.Ipmi):
        peers.ipmitool(rig.path.port, "admin", PASSWORD, "sol", "deactivate")
    else:
        rig.break_("taken")
    with pytest.raises(PowerError) as caught:
        read_on(console)
    assert "somebody else" in caught.value.text


def test_a_device_that_falls_silent_is_noticed(rig: Rig, console: Console, monkeypatch: pytest.MonkeyPatch) -> None:
    needs(rig, "mute")
    monkeypatch.setattr(ipmi_console, "IDLE_SECONDS", 0.3)
    monkeypatch.setattr(ipmi_console, "ASK_SECONDS", 0.3)
    exchange(console, b"me")
    rig.break_("mute")
    with pytest.raises(PowerError) as caught:
        read_on(console)
    assert caught.value.code == Code.UNAVAILABLE and "answer" in caught.value.text


def read_on(console: Console, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        console.read(0.1)
    raise AssertionError(f"nothing was noticed in {seconds} s")


def test_a_wrong_password_is_told_as_that(rig: Rig) -> None:
    if isinstance(rig, BmcLineByIpmitool):
        pytest.skip("ipmitool does not tell it from other trouble")
    with pytest.raises(PowerError) as caught:
        rig.driver(rig.with_password("wrong")).console(False)
    assert caught.value.code == Code.DENIED and rig.path.where in caught.value.text


def test_serial_over_lan_that_is_switched_off_is_told_as_that(rig: Rig) -> None:
    needs(rig, "off")
    rig.break_("off")
    with pytest.raises(PowerError) as caught:
        rig.driver().console(False)
    assert caught.value.code == Code.IMPOSSIBLE and "disabled" in caught.value.text


@needs_ipmitool
def test_that_it_goes_by_ipmitool_is_told_and_the_password_shows_nowhere(tmp_path: Path) -> None:
    rig = BmcLineByIpmitool(tmp_path)
    driver = rig.driver()
    console = driver.console(False)
    exchange(console, b"hello")
    assert console.note.startswith("by ipmitool: ipmi 127.0.0.1")
    words = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout
    mine = [line for line in words.splitlines() if "ipmitool" in line and f" {os.getpid()} " in line]
    assert mine and not [line for line in mine if PASSWORD in line.split()]
    console.close()
    rig.close()


@needs_ipmitool
def test_ipmitool_sees_what_we_see(tmp_path: Path) -> None:
    """The laboratory's BMC, by a client that somebody else wrote."""
    rig = BmcLine(tmp_path)
    assert isinstance(rig.path, paths.Ipmi)
    info = peers.ipmitool(rig.path.port, "admin", PASSWORD, "sol", "info", "1")
    assert (
        "Enabled                         : true" in info
        and f"Payload Port                    : {rig.path.port}" in info
    )
    console = rig.driver().console(False)
    exchange(console, b"mine")
    with pytest.raises(AssertionError, match="already active"):
        peers.ipmitool(rig.path.port, "admin", PASSWORD, "sol", "activate")
    peers.ipmitool(rig.path.port, "admin", PASSWORD, "sol", "deactivate")
    with pytest.raises(PowerError, match="somebody else"):
        read_on(console)
    rig.close()


def test_a_worker_tells_of_nobody_s_password(tmp_path: Path) -> None:
    """All that goes wrong in it is one line to its parent."""
    rig = FakeLine(tmp_path)
    order = {"path": msgspec.to_builtins(rig.with_password("hush-hush")), "force": False}
    process, channel = spawn(WORKER)
    channel.setblocking(True)
    channel.sendall(msgspec.json.encode(order) + b"\n")
    said = channel.makefile("rb").read()
    assert process.wait(20) == 0
    end = msgspec.json.decode(said)["end"]
    assert end["code"] == "denied" and b"hush-hush" not in said
    rig.close()
