"""The switches that the drivers' contract is held against: each rig is one switch of four ports and the path to it.

p1 and p2 are in VLAN 100, p3 in VLAN 1, p4 is a trunk of 100 and 200 with 1 as its native VLAN. A rig opens drivers,
tells what is really so, does from outside what no driver does, and makes things go wrong.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from abc import ABC, abstractmethod
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from tashi.run.clock import Clock, RealClock
from tests.contract import power_peers as peers
from tests.contract.clocks import StillClock
from tests.contract.power_peers import ADDRESS
from tests.contract.power_rigs import FAIR, V2C, V3, V3_WORDS
from tests.house.tree import HERE
from zoni.access import Login
from zoni.calls import bind
from zoni.outcome import DeviceError, Unproven
from zoni.switch import paths
from zoni.switch.calls import CALLS
from zoni.switch.fake import FakeDriver, FakeSwitch, Fault, World
from zoni.switch.interface import Capability, Driver, Identity, Mac, Neighbour, Port, State
from zoni.switch.open import open_driver
from zoni.switch.steps import DeviceStep

NAMES = {1: "default", 100: "red", 200: "blue"}
PORTS = {
    "p1": Port("p1", native=100, untagged=(100,)),
    "p2": Port("p2", native=100, untagged=(100,)),
    "p3": Port("p3", native=1, untagged=(1,)),
    "p4": Port("p4", native=1, untagged=(1,), tagged=(100, 200)),
}
BASE_MAC = "02:00:00:00:00:01"
STATION = Mac("02:00:00:00:00:11", "p1", 100)
NEIGHBOUR = Neighbour("p4", "02:00:00:00:0a:01", "Gi1/0/24", "core-1")
PVID = "1.3.6.1.2.1.17.7.1.4.5.1.1"


class Rig(ABC):
    path: paths.AnyPath
    clock: Clock = RealClock()
    seconds = 2.0  # that a change may take
    can: frozenset[Capability] = frozenset()  # what the contract asks of it
    faults: frozenset[str] = frozenset()

    def run(self, verb: str, path: paths.AnyPath | None = None, **args: Any) -> Any:
        """Its value, or what was raised."""
        calls = bind(CALLS, self.open, self.clock)
        plain = msgspec.to_builtins(args)
        return calls[verb]({"path": msgspec.to_builtins(path or self.path), "seconds": self.seconds} | plain)

    def change(self, vlans: dict[int, str] | None = None, gone: tuple[int, ...] = (), **ports: Any) -> Any:
        """One change: ``p1={"native": 200}``."""
        return self.run("change", goal={"vlans": vlans or {}, "gone": gone, "ports": ports})

    def open(self, path: paths.AnyPath, seconds: float) -> Driver:
        return open_driver(path, seconds)

    @abstractmethod
    def truth(self) -> dict[str, Port]:
        """Its ports, as they are, without links and speeds."""

    @abstractmethod
    def native(self, port: str) -> int:
        """A port's untagged VLAN as a program says that somebody else wrote."""

    def asked(self) -> int:
        """How many changes it was asked for so far."""
        return 0

    def names(self) -> dict[int, str]:
        """Its VLANs, as they are."""
        raise AssertionError("has no VLANs of their own")

    def restart(self) -> None:
        """It starts anew, with what was saved."""
        raise AssertionError("has nothing to save")

    def with_password(self, password: str) -> paths.AnyPath:
        """The path, with another password."""
        raise AssertionError("has no password")

    def break_(self, fault: str, call: str = "", after: int = 0, times: int = 99) -> None:
        """From now on it ``ignores`` what it says yes to, ``refuses``, ``loses`` answers, does ``half``, or
        ``restarts`` before: with changes of the kind ``call`` (a driver's step, as the rig's device has it), from the
        ``after`` next on."""
        raise AssertionError(f"{fault}: not here")

    def mute(self) -> None:
        """It does not answer any more."""
        raise AssertionError("is never mute")

    def close(self) -> None:  # noqa: B027 most leave nothing
        """Leave it as it was found."""


class FakeRig(Rig):
    """In memory, on a clock that passes only by sleeping."""

    can = frozenset(Capability)
    faults = frozenset({"ignores", "refuses", "loses", "restarts", "locked", "mute"})

    def __init__(self, folder: Path) -> None:
        self.clock = StillClock()
        self.world = World.in_memory(self.clock)
        state = State(dict(NAMES), dict(PORTS))
        identity = Identity("sw1", "fake", BASE_MAC)
        switch = FakeSwitch(state, state, self.clock.now() - 1000, (), identity, "admin", "secret")
        self.world.put("sw1", msgspec.structs.replace(switch, macs=[STATION], neighbours=[NEIGHBOUR]))
        self.path = paths.Fake(world=str(folder), switch="sw1", login=Login(user="admin", password="secret"))
        self.steps: list[DeviceStep] = []

    def open(self, path: paths.AnyPath, seconds: float) -> Driver:
        assert isinstance(path, paths.Fake)
        driver, do = FakeDriver(self.world, path), FakeDriver.do

        def counted(step: Any) -> None:
            self.steps.append(step)
            do(driver, step)

        driver.do = counted  # type: ignore[method-assign]
        return driver

    def truth(self) -> dict[str, Port]:
        return self._switch().running.ports

    def native(self, port: str) -> int:
        return self.truth()[port].native

    def asked(self) -> int:
        return len(self.steps)

    def names(self) -> dict[int, str]:
        return self._switch().running.vlans

    def restart(self) -> None:
        self.clock.sleep(10)
        self.world.reboot("sw1")

    def with_password(self, password: str) -> paths.AnyPath:
        return msgspec.structs.replace(self.path, login=Login(user="admin", password=password))

    def break_(self, fault: str, call: str = "", after: int = 0, times: int = 99) -> None:
        more: dict[str, dict[str, Any]] = {
            "ignores": {"ignore": True},
            "refuses": {"refuse": "refused"},
            "loses": {"lose": True},
            "restarts": {"reboot": True},
        }
        self.world.set_faults([Fault(call=call or "do", after=after, times=times, **more[fault])])

    def mute(self) -> None:
        self.world.set_faults([Fault(drop=True)])

    def _switch(self) -> FakeSwitch:
        switch = self.world.device("sw1")
        assert switch is not None
        return switch


# a driver's step -> what the peer calls a set of that kind
SETS = {"close": "admin", "open": "admin", "create": "row", "destroy": "row", "join": "egress", "leave": "egress"}
SETS |= {"native": "native", "label": "label", "save": "save", "": ""}


class SnmpRig(Rig):
    """The laboratory's own switch, by SNMP v3 or v2c; what carries its frames is nothing, or an Open vSwitch."""

    can = frozenset(Capability)
    faults = frozenset({"ignores", "refuses", "loses", "half", "restarts", "locked", "mute", "tables", "loss"})

    seconds = 0.4

    def __init__(self, peer: peers.Peer, v2c: bool = False) -> None:
        self._peer, self.patience = peer, 6.0
        self.path = paths.Snmp(address=ADDRESS, port=peer.port, access=V2C if v2c else V3, model="lab")
        self._words = ["-v2c", "-c", V2C.community] if v2c else V3_WORDS
        settings = {
            "ports": {name[1:]: {"pvid": port.native} for name, port in PORTS.items()},
            "vlans": {
                vlan: {
                    "name": name,
                    "egress": [int(each[1:]) for each, port in PORTS.items() if vlan in (*port.untagged, *port.tagged)],
                    "untagged": [int(each[1:]) for each, port in PORTS.items() if vlan in port.untagged],
                }
                for vlan, name in NAMES.items()
            },
        }
        heard = [(STATION.vlan, STATION.mac, 1)]
        neighbours = {4: (NEIGHBOUR.chassis, NEIGHBOUR.their_port, NEIGHBOUR.name)}
        self.state(settings=settings, faults=[], tables={}, weather=FAIR, heard=heard, neighbours=neighbours)

    def open(self, path: paths.AnyPath, seconds: float) -> Driver:
        return open_driver(path, self.patience)

    def state(self, **changes: Any) -> dict[str, Any]:
        return self._peer.ask(**changes)

    def truth(self) -> dict[str, Port]:
        running = self.state()["running"]
        found = {}
        for number, port in running["ports"].items():
            inside = {int(v): vlan for v, vlan in running["vlans"].items() if int(number) in vlan["egress"]}
            without = tuple(sorted(v for v, vlan in inside.items() if int(number) in vlan["untagged"]))
            found[f"p{number}"] = Port(
                f"p{number}",
                label=port["label"],
                on=port["on"],
                native=0 if port["tagged_only"] else port["pvid"],
                untagged=without,
                tagged=tuple(sorted(set(inside) - set(without))),
                filters=port["filters"],
            )
        return found

    def native(self, port: str) -> int:
        return int(peers.snmpget(self._peer.port, self._words, f"{PVID}.{port[1:]}"))

    def asked(self) -> int:
        return len(self.state()["asked"])

    def names(self) -> dict[int, str]:
        return {int(number): vlan["name"] for number, vlan in self.state()["running"]["vlans"].items()}

    def restart(self) -> None:
        self.state(restart=0)

    def with_password(self, password: str) -> paths.AnyPath:
        access = msgspec.structs.replace(V3, auth_password=password.ljust(8, "x"))
        return msgspec.structs.replace(self.path, access=access)

    def break_(self, fault: str, call: str = "", after: int = 0, times: int = 99) -> None:
        what = {"ignores": "ignore", "refuses": "wrongValue", "loses": "lose", "half": "half", "restarts": "restart"}
        after += call == "join"  # a port leaves before
        self.state(faults=[{"what": what[fault], "call": SETS[call], "after": after, "times": times}])
        self.patience = 2.4 if fault == "loses" else self.patience

    def mute(self) -> None:
        self.state(weather={"silent": True})
        self.patience = 1.0


class Ovs:
    """Open vSwitch of our own: its daemons, started for a file of tests. Its ports are those of a network namespace,
    or, without one, nothing."""

    def __init__(self, folder: Path, netns: str = "") -> None:
        self.run, self._real = str(folder), bool(netns)
        self._environment = HERE | {"OVS_RUNDIR": self.run, "OVS_LOGDIR": self.run, "OVS_DBDIR": self.run}
        schema, database = "/usr/share/openvswitch/vswitch.ovsschema", f"{self.run}/conf.db"
        subprocess.run(["ovsdb-tool", "create", database, schema], check=True, timeout=30)
        where = f"unix:{self.run}/db.sock"
        quiet = {"env": self._environment, "cwd": folder, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        server = ["ovsdb-server", database, f"--remote=p{where}", "--pidfile", f"--unixctl={self.run}/ovsdb.ctl"]
        self._programs = [subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *server], **quiet)]  # type: ignore[call-overload]
        self.vsctl("--retry", "--no-wait", "init")
        switch = ["ovs-vswitchd", where, "--pidfile", "--disable-system"]
        switch = ["ip", "netns", "exec", netns, *switch] if netns else [*switch, "--enable-dummy=override"]
        self._programs += [subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *switch], **quiet)]  # type: ignore[call-overload]

    def add_bridge(self, name: str, *more: str) -> None:
        """With ports p1 to p4."""
        words = ["--", "--may-exist", "add-br", name, "--", "set", "bridge", name, *more]
        words += [f"datapath_type={'netdev' if self._real else 'dummy'}"]
        words += [f'other_config:hwaddr="{BASE_MAC}"']
        for number in range(1, 5):
            port = f"p{number}"
            words += ["--", "--may-exist", "add-port", name, port]
            words += ["--", "set", "interface", port, f"ofport_request={number}"]
            words += [] if self._real else ["type=dummy"]
        self.vsctl(*words[1:])

    def vsctl(self, *words: str) -> str:
        return self._tell("ovs-vsctl", f"--db=unix:{self.run}/db.sock", "--timeout=10", *words)

    def appctl(self, *words: str) -> str:
        return self._tell("ovs-appctl", "--timeout=10", *words)

    def goes_to(self, bridge: str, port: str, tag: int = 0) -> list[str]:
        """Where a broadcast that enters by this port leaves: names of ports, after push_vlan(...) those with a tag."""
        flow = f"in_port={port},dl_src=02:00:00:00:00:11,dl_dst=ff:ff:ff:ff:ff:ff" + (f",dl_vlan={tag}" if tag else "")
        told = self.appctl("ofproto/trace", bridge, flow, "--names")
        return told.rpartition("Datapath actions: ")[2].strip().split(",")

    def close(self) -> None:
        for program in reversed(self._programs):
            program.terminate()
            program.wait(timeout=20)

    def _tell(self, *words: str) -> str:
        done = subprocess.run(words, capture_output=True, text=True, timeout=30, env=os.environ | self._environment)
        assert done.returncode == 0, done.stderr
        return done.stdout


class OvsRig(Rig):
    """A bridge with its own VLANs; ovs-vsctl is the witness."""

    can = frozenset({Capability.LABEL, Capability.FILTER, Capability.MACS})

    def __init__(self, ovs: Ovs) -> None:
        self._ovs = ovs
        self.path = paths.Ovs(bridge="sw1", run=ovs.run)
        ovs.vsctl("--if-exists", "del-br", "sw1")
        ovs.add_bridge("sw1")
        for words in (("p1", "tag=100"), ("p2", "tag=100"), ("p3", "tag=1")):
            ovs.vsctl("set", "port", *words)
        ovs.vsctl("set", "port", "p4", "vlan_mode=native-untagged", "tag=1", "trunks=[1,100,200]")
        frame = "ffffffffffff" + STATION.mac.replace(":", "") + "0800" + "00" * 50
        ovs.appctl("netdev-dummy/receive", "p1", frame)

    def truth(self) -> dict[str, Port]:
        """Where frames go, by OVS's own word; what is closed by the interface's."""
        found = {}
        for name in PORTS:
            columns = "vlan_mode,tag,trunks,external_ids"
            said = json.loads(self._ovs.vsctl("--format=json", f"--columns={columns}", "list", "port", name))
            mode, tag, trunks, more = said["data"][0]
            wide = tuple(trunks[1]) if isinstance(trunks, list) else (trunks,)
            native = tag if isinstance(tag, int) else 0
            without = (native,) if native and mode != "native-tagged" else ()
            found[name] = Port(
                name,
                label=dict(more[1]).get("zoni-label", ""),
                on=self._ovs.vsctl("get", "interface", name, "admin_state").strip() == "up",
                native=native,
                untagged=without,
                tagged=tuple(vlan for vlan in wide if vlan not in (*without, 4095)),
            )
        return found

    def native(self, port: str) -> int:
        return int(self._ovs.vsctl("get", "port", port, "tag").strip().strip("[]") or 0)

    def close(self) -> None:
        self._ovs.vsctl("--if-exists", "del-br", "sw1")


class BridgeRig(Rig):
    """A bridge of the kernel in a namespace of its own; p1 is a cable with somebody at its other end."""

    can = frozenset({Capability.LABEL, Capability.MACS})

    def __init__(self, number: int) -> None:
        self._netns = f"zoni-test-{os.getpid()}-{number}"
        self.path = paths.LinuxBridge(bridge="sw1", netns=self._netns)
        _do("ip", "netns", "add", self._netns)
        with ExitStack() as undo:
            undo.callback(_do, "ip", "netns", "del", self._netns)
            self._build()
            self._undo = undo.pop_all()

    def _build(self) -> None:
        self._ip("link", "add", "sw1", "address", BASE_MAC, "up", "type", "bridge", *WITH_VLANS)
        for name, port in PORTS.items():
            end = ["address", STATION.mac] if name == "p1" else []
            self._ip("link", "add", name, "up", "master", "sw1", "type", "veth", "peer", f"m-{name}", *end)
            self._ip("link", "set", "dev", f"m-{name}", "addrgenmode", "none")  # else it speaks by itself
            self._ip("link", "set", "dev", f"m-{name}", "up")
            for vlan in (*port.untagged, *port.tagged):
                flags = ["pvid", "untagged"] if vlan in port.untagged else []
                self._bridge("vlan", "add", "dev", name, "vid", str(vlan), *flags)
        self._bridge("fdb", "replace", STATION.mac, "dev", "p1", "master", "dynamic", "vlan", str(STATION.vlan))

    def truth(self) -> dict[str, Port]:
        """By the text that ``bridge`` prints for people."""
        found = {}
        for name in PORTS:
            said = self._bridge("vlan", "show", "dev", name).split("\n", 1)[1].replace(name, " ", 1)
            rows = {int(line.split()[0]): line for line in said.splitlines() if line.split()}
            link = self._ip("link", "show", "dev", name)
            found[name] = Port(
                name,
                label=link.partition("alias ")[2].strip(),
                on=",UP" in link or "<UP" in link,
                native=next((vlan for vlan, line in rows.items() if "PVID" in line), 0),
                untagged=tuple(vlan for vlan, line in rows.items() if "Untagged" in line),
                tagged=tuple(vlan for vlan, line in rows.items() if "Untagged" not in line),
            )
        return found

    def native(self, port: str) -> int:
        return self.truth()[port].native

    def close(self) -> None:
        self._undo.close()

    def _ip(self, *words: str) -> str:
        return _do("ip", "-n", self._netns, *words)

    def _bridge(self, *words: str) -> str:
        return _do("bridge", "-n", self._netns, *words)


WITH_VLANS = ("vlan_filtering", "1", "vlan_default_pvid", "0")


def _do(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


@cache
def lacks_bridges() -> str:
    """Why there can be no bridge with VLANs on this machine; empty where there can."""
    if os.geteuid():
        return "needs root"
    name = f"zoni-probe-{os.getpid()}"
    try:
        _do("ip", "netns", "add", name)
        try:
            _do("ip", "-n", name, "link", "add", "sw1", "type", "bridge", *WITH_VLANS)
        finally:
            _do("ip", "netns", "del", name)
    except (AssertionError, OSError):
        return "this kernel's bridges do not filter VLANs"
    return ""


def has_ovs() -> bool:
    return all(shutil.which(program) for program in ("ovs-vswitchd", "ovsdb-server", "ovs-vsctl"))


def refused(rig: Rig, verb: str, path: paths.AnyPath | None = None, **args: Any) -> DeviceError:
    """How a call is refused; fails when it is not, or when more than nothing may have happened."""
    try:
        value = rig.run(verb, path, **args)
    except DeviceError as error:
        return error
    raise AssertionError(f"was not refused: {value!r}")


def unproven(rig: Rig, **ports: Any) -> Unproven:
    """What is told of a change of which nobody knows the end."""
    try:
        value = rig.change(**ports)
    except Unproven as error:
        return error
    raise AssertionError(f"was proven: {value!r}")
