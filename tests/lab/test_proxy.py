"""The fake hosts' cables: cut, healed, slow and dropped, over real sockets."""

from __future__ import annotations

import json
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tashi.lab.call import wait_until
from tashi.lab.ports import free_ports
from tashi.lab.process import spawn
from tashi.lab.programs import surroundings

Change = Callable[[dict[str, object]], dict[str, object]]


class Wire(NamedTuple):
    """A proxy with one cable: connect to ``port``, arrive at ``server``."""

    port: int
    server: socket.socket
    change: Change

    def pair(self) -> tuple[socket.socket, socket.socket]:
        near = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        far, _ = self.server.accept()
        far.settimeout(5)
        return near, far


@pytest.fixture
def wire(tmp_path: Path) -> Iterator[Wire]:
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(5)
    (port,) = free_ports(1, "127.0.0.1", ())
    control = tmp_path / "control"
    plan = {"address": "127.0.0.1", "control": str(control), "routes": {"h1": [(port, server.getsockname()[1])]}}
    (tmp_path / "plan").write_text(json.dumps(plan))
    argv = [sys.executable, "-m", "tashi.lab.proxy", str(tmp_path / "plan")]
    process = spawn(argv, tmp_path / "log", surroundings("test"))

    def change(request: dict[str, object]) -> dict[str, object]:
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(5)
            peer.connect(str(control))
            peer.sendall(json.dumps(request).encode())
            answer: dict[str, object] = json.loads(peer.makefile("rb").read())
            return answer

    try:
        wait_until(control.exists, "the proxy listens", seconds=20, log=tmp_path / "log")
        yield Wire(port, server, change)
    finally:
        process.end()
        server.close()


def test_what_is_said_arrives_in_both_directions(wire: Wire) -> None:
    near, far = wire.pair()
    near.sendall(b"up")
    far.sendall(b"down")
    assert (far.recv(100), near.recv(100)) == (b"up", b"down")
    near.close()
    assert far.recv(100) == b""


def test_a_cut_cable_is_silent_and_loses_nothing(wire: Wire) -> None:
    near, far = wire.pair()
    near.sendall(b"before ")
    assert far.recv(100) == b"before "
    assert wire.change({"host": "h1", "cut": True}) == {"ok": True}
    near.sendall(b"while ")
    far.settimeout(0.3)
    with pytest.raises(TimeoutError):
        far.recv(100)
    late = socket.create_connection(("127.0.0.1", wire.port), timeout=5)
    wire.server.settimeout(0.3)
    with pytest.raises(TimeoutError):
        wire.server.accept()
    wire.change({"host": "h1", "cut": False})
    far.settimeout(5)
    assert far.recv(100) == b"while "
    wire.server.settimeout(5)
    accepted, _ = wire.server.accept()
    accepted.close()
    late.close()


def test_the_far_side_hears_nothing_of_an_end_behind_the_cut(wire: Wire) -> None:
    near, far = wire.pair()
    wire.change({"host": "h1", "cut": True})
    near.close()
    far.settimeout(0.3)
    with pytest.raises(TimeoutError):
        far.recv(100)
    wire.change({"host": "h1", "drop": True, "cut": False})
    far.settimeout(5)
    assert far.recv(100) == b""


def test_a_slow_cable_takes_its_time(wire: Wire) -> None:
    wire.change({"host": "h1", "rate_bits": 800_000})
    near, far = wire.pair()
    start, left = time.monotonic(), 50_000
    near.sendall(bytes(left))
    while left:
        left -= len(far.recv(65_536))
    assert 0.4 < time.monotonic() - start < 2.0, "50 kB at 800 kbit/s take half a second"


@pytest.mark.parametrize("request_", [{"host": "h9"}, {"host": "h1", "weather": 1}, {"host": "h1", "rate_bits": "x"}])
def test_a_bad_change_is_told(wire: Wire, request_: dict[str, object]) -> None:
    assert "error" in wire.change(request_)
