"""A switch that carries frames: four machines at our SNMP switch, with Open vSwitch behind it; pings arrive or not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from tests.contract import power_peers as peers
from tests.contract.power_rigs import V2C, V3
from tests.contract.switch_rigs import Ovs, has_ovs
from zoni.calls import bind
from zoni.switch import paths
from zoni.switch.calls import CALLS
from zoni.switch.open import open_driver

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(not has_ovs(), reason="Open vSwitch is missing (openvswitch-switch)"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]

MACHINES = ("m1", "m2", "m3", "m4")
RED, BLUE = 100, 200
PVID = "1.3.6.1.2.1.17.7.1.4.5.1.1"


class Rack:
    """A switch and four machines, each in a network namespace of its own; machine n is at port n."""

    def __init__(self, folder: Path, undo: ExitStack) -> None:
        self._mark, self._undo = f"zoni-{os.getpid()}", undo
        switch = self._space("switch")
        for number, name in enumerate(MACHINES, 1):
            space = self._space(name)
            pair = ["type", "veth", "peer", "name", "eth0", "netns", space]
            run("ip", "-n", switch, "link", "add", f"p{number}", "up", *pair)
            run("ip", "-n", space, "addr", "add", f"10.9.0.{number}/24", "dev", "eth0")
            run("ip", "-n", space, "link", "set", "eth0", "up")
        self.ovs = Ovs(folder / "ovs", netns=switch)
        undo.callback(self.ovs.close)
        self.ovs.add_bridge("sw1", "fail_mode=secure")
        plan = {"name": "sw1", "ports": 4, "community": V2C.community, "ovs": {"run": self.ovs.run, "bridge": "sw1"}}
        self.peer = peers.Peer("switch", folder, plan)
        undo.callback(self.peer.close)
        self._path = paths.Snmp(address=peers.ADDRESS, port=self.peer.port, access=V3, model="lab")

    def change(self, vlans: dict[int, str] | None = None, **ports: Mapping[str, object]) -> None:
        goal = {"vlans": vlans or {}, "ports": ports}
        bind(CALLS, open_driver)["change"]({"path": msgspec.to_builtins(self._path), "seconds": 10.0, "goal": goal})

    def reaches(self) -> set[frozenset[str]]:
        """The pairs of machines of which one hears the other."""
        asked = {}
        for one in MACHINES:
            for number, other in enumerate(MACHINES, 1):
                if one != other:
                    words = ["ping", "-n", "-q", "-c", "4", "-i", "0.2", "-W", "0.4", f"10.9.0.{number}"]
                    command = ["ip", "netns", "exec", self._name(one), *words]
                    asked[one, other] = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        heard = {pair for pair, ping in asked.items() if ping.wait(timeout=30) == 0}
        assert heard == {(other, one) for one, other in heard}, "one way alone"
        return {frozenset(pair) for pair in heard}

    def set_native(self, port: int, vlan: int) -> None:
        """Without us, and without saving."""
        words = ["-v2c", "-c", V2C.community, f"{peers.ADDRESS}:{self.peer.port}"]
        run("snmpset", *words, f"{PVID}.{port}", "u", str(vlan), MIBS="")

    def _space(self, name: str) -> str:
        space = self._name(name)
        run("ip", "netns", "add", space)
        self._undo.callback(run, "ip", "netns", "del", space)
        return space

    def _name(self, name: str) -> str:
        return f"{self._mark}-{name}"


@pytest.fixture
def rack(tmp_path: Path) -> Iterator[Rack]:
    (tmp_path / "ovs").mkdir()
    with ExitStack() as undo:
        yield Rack(tmp_path, undo)


def test_pings_arrive_inside_and_never_across(rack: Rack) -> None:
    ports = {f"p{number}": {"native": RED if number < 3 else BLUE, "on": True} for number in range(1, 5)}
    rack.change({RED: "red", BLUE: "blue"}, **ports)
    apart = {frozenset({"m1", "m2"}), frozenset({"m3", "m4"})}
    assert rack.reaches() == apart

    rack.set_native(2, BLUE)
    assert rack.reaches() != apart
    rack.peer.ask(restart=0)
    assert rack.reaches() == apart, "what was not saved is lost, what was is there"

    rack.change(p2={"native": BLUE, "on": True})
    together = {frozenset({"m2", "m3"}), frozenset({"m2", "m4"}), frozenset({"m3", "m4"})}
    assert rack.reaches() == together
    rack.change(p3={"on": False})
    assert rack.reaches() == {frozenset({"m2", "m4"})}


def run(*words: str, **environment: str) -> None:
    done = subprocess.run(words, capture_output=True, text=True, timeout=30, env=os.environ | environment)
    assert done.returncode == 0, f"{words}: {done.stderr}"
