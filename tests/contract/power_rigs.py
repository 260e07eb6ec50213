"""The machines that the power drivers' contract is held against: each rig is one machine and one path to its power.

A rig opens drivers, tells what is really so, does from outside what no driver does, and makes things go wrong. `run` is
a call as a worker does it, without the process around it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import msgspec

from tashi.run.clock import Clock, RealClock
from tests.contract import power_peers as peers
from tests.contract.clocks import StillClock
from tests.contract.power_peers import ADDRESS, SERIAL, UUID
from zoni.access import Login, Snmp
from zoni.calls import bind
from zoni.outcome import DeviceError, Unproven
from zoni.power import paths
from zoni.power.calls import CALLS
from zoni.power.fake import FakeDriver, FakeMachine, Fault, World
from zoni.power.interface import Capability, Driver, Identity
from zoni.power.open import open_driver

PASSWORD = "secret"
V2C = Snmp(version="v2c", community="one of ours")
V3 = Snmp(user="zoni", auth_password="authpass123", privacy_password="privpass123")


CONTROLS = {0: "off", 1: "on", 2: "cycle", 3: "reset", 5: "soft"}  # IPMI 2.0, 28.3
RESETS = {"On": "on", "ForceOff": "off", "GracefulShutdown": "soft", "ForceRestart": "reset"}  # Redfish, ResetType
OUTLET_1 = {
    "apc-rpdu": "1.3.6.1.4.1.318.1.1.12.3.5.1.1.4.1",
    "raritan-px": "1.3.6.1.4.1.13742.6.4.1.2.1.3.1.1",
    "strip": "1.3.6.1.4.1.318.1.1.12.3.3.1.1.4.1",
}
V3_WORDS = ["-v3", "-u", "zoni", "-l", "authPriv", "-a", "SHA-256", "-A", "authpass123"]
V3_WORDS += ["-x", "AES", "-X", "privpass123"]


FAIR = {"silent": False, "delay": 0.0, "drop": 0, "lose": 0, "late": False, "forge": False, "stranger": False}


class Rig(ABC):
    """``boot_lies``: of which boot devices, for once or not, it says another than it was told."""

    path: paths.AnyPath
    clock: Clock = RealClock()
    seconds = 5.0  # that a change may take
    identity = Identity(UUID, SERIAL)
    boot_lies: tuple[bool, ...] = ()
    can: frozenset[Capability] = frozenset()  # what the contract asks of it
    faults: frozenset[str] = frozenset()

    def run(self, verb: str, path: paths.AnyPath | None = None, **args: Any) -> Any:
        """Its value, or what was raised."""
        calls = bind(CALLS, self.open, self.clock)
        return calls[verb]({"path": msgspec.to_builtins(path or self.path), "seconds": self.seconds} | args)

    def open(self, path: paths.AnyPath, seconds: float) -> Driver:
        return open_driver(path, seconds)

    def capabilities(self) -> frozenset[Capability]:
        """What its driver says that it can."""
        driver = self.open(self.path, 5.0)
        driver.close()
        return driver.capabilities

    @abstractmethod
    def truth(self) -> str:
        """Its power, as it is."""

    @abstractmethod
    def put(self, power: str) -> None:
        """Have it on or off, behind everybody's back."""

    @abstractmethod
    def with_password(self, password: str) -> paths.AnyPath:
        """The path, with another password."""

    @abstractmethod
    def asked(self) -> list[str]:
        """What the machine was asked to do so far, in the driver's words."""

    def witness(self) -> str:
        """Its power as another program says, which somebody else wrote."""
        return self.truth()

    def break_(self, fault: str) -> None:
        """From now on it is ``deaf`` (to soft), ``ignores``, ``lies`` (says off), is ``odd`` (says neither),
        ``refuses``, ``loses`` the answer to the next change, is ``slow`` (a part of a second), tells ``late`` and
        ``forged`` answers, is ``mute``, loses packets (``loss``), stands ``open``, takes an ``empty`` password.
        ``locked``: it has one."""
        raise AssertionError(f"{fault}: not here")

    def close(self) -> None:  # noqa: B027 most leave nothing
        """Leave it as it was found."""


class FakeRig(Rig):
    """In memory, on a clock that passes only by sleeping."""

    can = frozenset(Capability)
    faults = frozenset({"deaf", "ignores", "lies", "odd", "refuses", "loses", "slow", "mute", "locked"})
    machine = FakeMachine(identity=Identity(UUID, SERIAL), user="admin", password=PASSWORD)

    def __init__(self, folder: Path) -> None:
        self.clock = StillClock()
        self.world = World.in_memory(self.clock)
        self.world.put("m1", self.machine)
        self.path = paths.Fake(world=str(folder), machine="m1", login=Login(user="admin", password=PASSWORD))
        self._asked: list[str] = []

    def open(self, path: paths.AnyPath, seconds: float) -> Driver:
        assert isinstance(path, paths.Fake)
        return FakeDriver(self.world, path)

    def truth(self) -> str:
        machine = self.world.device("m1")
        assert machine is not None
        return machine.power

    def put(self, power: str) -> None:
        self.world.put("m1", msgspec.structs.replace(self.machine, power=power, then=power))

    def with_password(self, password: str) -> paths.AnyPath:
        return msgspec.structs.replace(self.path, login=Login(user="admin", password=password))

    def asked(self) -> list[str]:
        machine = self.world.device("m1")
        assert machine is not None
        return machine.asked

    def break_(self, fault: str) -> None:
        match fault:
            case "deaf":
                self.world.put("m1", msgspec.structs.replace(self.machine, power="on", then="on", deaf=True))
            case _:
                self.world.set_faults([FAKE_FAULTS[fault]])


FAKE_FAULTS = {
    "ignores": Fault(ignore=True),
    "lies": Fault(call="power", lie="off"),
    "odd": Fault(call="power", lie="unknown"),
    "refuses": Fault(call="press", refuse="not now"),
    "loses": Fault(call="press", lose=True, times=1),
    "slow": Fault(delay=0.1),
    "mute": Fault(drop=True),
}


class BmcRig(Rig):
    """The laboratory's own BMC, by IPMI."""

    can = frozenset(Capability)
    faults = frozenset({"deaf", "ignores", "lies", "refuses", "loses", "slow", "mute", "late", "forged", "open"})
    faults |= {"empty", "loss", "locked"}

    def __init__(self, peer: peers.Peer) -> None:
        self._peer = peer
        self._reset()
        port = self.state()["port"]
        self.path = paths.Ipmi(address=ADDRESS, port=port, login=Login(user="admin", password=PASSWORD))

    def state(self, **changes: Any) -> dict[str, Any]:
        return self._peer.ask(bmc="b1", **changes)

    def truth(self) -> str:
        power: str = self.state()["power"]
        return power

    def put(self, power: str) -> None:
        self.state(machine={"power": power, "then": ""})

    def with_password(self, password: str) -> paths.AnyPath:
        return msgspec.structs.replace(self.path, login=Login(user="admin", password=password))

    def asked(self) -> list[str]:
        return [CONTROLS[number] for number in self.state()["pressed"]]

    def witness(self) -> str:
        assert isinstance(self.path, paths.Ipmi)
        return peers.ipmitool(self.path.port, "admin", PASSWORD, "chassis", "power", "status").rpartition(" ")[2]

    def break_(self, fault: str) -> None:
        changes: dict[str, dict[str, Any]] = {
            "deaf": {"machine": {"deaf": True}},
            "ignores": {"machine": {"ignore": True}},
            "lies": {"machine": {"lie": "off"}},
            "refuses": {"machine": {"refuse": 0xD5}},
            "loses": {"machine": {"lose": 1}},
            "slow": {"machine": {"seconds": 0.2}},
            "mute": {"weather": {"silent": True}},
            "late": {"weather": {"late": True}},
            "forged": {"weather": {"forge": True, "stranger": True}},
            "open": {"machine": {"cipher_0": True}},
            "empty": {"machine": {"password": ""}},
            "loss": {"weather": {"drop": 1, "lose": 1}},
        }
        self.state(**changes[fault])

    def _reset(self) -> None:
        clean = {"power": "off", "then": "", "boot": [0, 0], "lit": False, "pressed": [], "sessions": 0, "deaf": False}
        clean |= {"lie": "", "ignore": False, "refuse": 0, "lose": 0, "seconds": 0.0, "mute_strangers": False}
        clean |= {"drop_rakp": False, "cipher_0": False, "anonymous": False, "password": PASSWORD}
        self.state(machine=clean, weather=FAIR)


class IpmiSimRig(Rig):
    """OpenIPMI's simulator. It has neither FRU nor sensors here, nor, for pyghmi, a log, never says that a boot device
    is valid, and takes cipher suite 0 whatever it is told."""

    can = frozenset(Capability) - {Capability.SENSORS, Capability.LOG}
    faults = frozenset({"locked", "open"})
    identity = Identity(UUID)
    boot_lies = (True, False)

    def break_(self, fault: str) -> None:
        assert fault == "open"

    def __init__(self, sim: peers.IpmiSim) -> None:
        self._sim = sim
        self.put("off")
        (sim.folder / "log").write_text("")
        self.path = paths.Ipmi(address=ADDRESS, port=sim.port, login=Login(user="admin", password=PASSWORD))

    def truth(self) -> str:
        return self._sim.power()

    def put(self, power: str) -> None:
        self._sim.set_power(power)

    def with_password(self, password: str) -> paths.AnyPath:
        return msgspec.structs.replace(self.path, login=Login(user="admin", password=password))

    def asked(self) -> list[str]:
        words = {"set power 0": "off", "set power 1": "on", "set reset 1": "reset", "set shutdown 1": "soft"}
        log = (self._sim.folder / "log").read_text().splitlines()
        return [words[each] for line in log if (each := line.partition(" ")[2]) in words]

    def witness(self) -> str:
        said = peers.ipmitool(self._sim.port, "admin", PASSWORD, "chassis", "power", "status")
        return said.rpartition(" ")[2]


class RedfishRig(Rig):
    """The laboratory's own Redfish service, over TLS; its certificate is believed by its fingerprint."""

    can = frozenset(Capability)
    faults = frozenset({"deaf", "ignores", "lies", "odd", "refuses", "loses", "slow", "open", "empty", "locked"})

    def __init__(self, peer: peers.Peer, trust: str) -> None:
        self._peer = peer
        self._reset()
        login = Login(user="admin", password=PASSWORD)
        self.path = paths.Redfish(url=f"https://{ADDRESS}:{self.state()['port']}", login=login, trust=trust)

    def state(self, **changes: Any) -> dict[str, Any]:
        return self._peer.ask(bmc="b1", machine=changes)

    def truth(self) -> str:
        power: str = self.state()["power"]
        return power.lower()

    def put(self, power: str) -> None:
        self.state(power=power.capitalize(), then="")

    def with_password(self, password: str) -> paths.AnyPath:
        return msgspec.structs.replace(self.path, login=Login(user="admin", password=password))

    def asked(self) -> list[str]:
        return [RESETS[word] for word in self.state()["pressed"]]

    def break_(self, fault: str) -> None:
        changes: dict[str, dict[str, Any]] = {
            "deaf": {"deaf": True},
            "ignores": {"ignore": True},
            "lies": {"lie": "Off"},
            "odd": {"lie": "PoweringOn"},
            "refuses": {"refuse": 409},
            "loses": {"lose": 1},
            "slow": {"seconds": 0.2},
            "open": {"anonymous": True},
            "empty": {"password": ""},
        }
        self.state(**changes[fault])

    def _reset(self) -> None:
        boot = {"BootSourceOverrideEnabled": "Disabled", "BootSourceOverrideTarget": "None"}
        clean = {"power": "Off", "then": "", "boot": boot, "led": "Off", "pressed": [], "deaf": False, "lie": ""}
        clean |= {"ignore": False, "refuse": 0, "delay": 0.0, "lose": 0, "seconds": 0.0, "anonymous": False}
        self.state(**clean, password=PASSWORD)


class EmulatorRig(Rig):
    """sushy-emulator: its power changes when it likes, within 11 seconds, and its boot device is never for once."""

    can = frozenset({Capability.SOFT, Capability.RESET, Capability.IDENTITY, Capability.BOOT})
    faults = frozenset({"locked"})
    seconds = 20.0
    identity = Identity(UUID)
    boot_lies = (True,)

    def __init__(self, emulator: peers.Emulator, certificate: Path) -> None:
        url, login = f"https://{ADDRESS}:{emulator.port}", Login(user="admin", password=PASSWORD)
        self.path = paths.Redfish(url=url, login=login, trust=str(certificate))
        self.put("off")

    def truth(self) -> str:
        power: str = self.run("power")
        return power

    def put(self, power: str) -> None:
        self.run(power)

    def with_password(self, password: str) -> paths.AnyPath:
        return msgspec.structs.replace(self.path, login=Login(user="admin", password=password))

    def asked(self) -> list[str]:
        return []


class PduRig(Rig):
    """The laboratory's own PDU, as one of its makers' by SNMP v3."""

    faults = frozenset({"ignores", "odd", "refuses", "loses", "slow", "mute", "late", "forged", "open"})
    faults |= {"loss", "locked"}

    def __init__(self, peer: peers.Peer, model: str, models: str = "") -> None:
        self._peer, self._model = peer, model
        self._reset()
        self.path = paths.Pdu(
            address=ADDRESS, port=peer.port, model=model, outlet=1, access=V3, models=models
        )  # fmt: skip

    def state(self, **changes: Any) -> dict[str, Any]:
        return self._peer.ask(**changes)

    def truth(self) -> str:
        return "on" if self.state()["outlets"]["1"] else "off"

    def put(self, power: str) -> None:
        self.state(pdu={"outlets": {"1": power == "on", "2": True}, "coming": {}})

    def with_password(self, password: str) -> paths.AnyPath:
        access = msgspec.structs.replace(V3, auth_password=password.ljust(8, "x"))
        return msgspec.structs.replace(self.path, access=access)

    def asked(self) -> list[str]:
        asked: list[str] = self.state()["asked"]
        return asked

    def witness(self) -> str:
        said = peers.snmpget(self._peer.port, V3_WORDS, OUTLET_1[self._model])
        return {"1": "on", "2": "off", "7": "on", "8": "off"}[said]

    def break_(self, fault: str) -> None:
        changes: dict[str, dict[str, Any]] = {
            "ignores": {"pdu": {"ignore": True}},
            "odd": {"pdu": {"odd": 77}},
            "refuses": {"pdu": {"read_only": True}},
            "loses": {"pdu": {"lose": 1}},
            "slow": {"pdu": {"seconds": 0.2}},
            "mute": {"weather": {"silent": True}},
            "late": {"weather": {"late": True}},
            "forged": {"weather": {"forge": True, "stranger": True}},
            "open": {"pdu": {"factory": True}},
            "loss": {"weather": {"drop": 1, "lose": 1}},
        }
        self.state(**changes[fault])

    def _reset(self) -> None:
        clean = {"outlets": {"1": False, "2": True}, "coming": {}, "asked": [], "ignore": False, "odd": 0}
        clean |= {"read_only": False, "lose": 0, "seconds": 0.0, "factory": False}
        self.state(pdu=clean, weather=FAIR)


class LibvirtRig(Rig):
    """A domain of libvirt's test hypervisor, which lives as long as somebody is connected to it."""

    can = frozenset({Capability.SOFT, Capability.RESET, Capability.IDENTITY})

    def __init__(self, folder: Path) -> None:
        import libvirt

        self._libvirt = libvirt
        self._connection = libvirt.open("test:///default")
        self._domain = self._connection.lookupByName("test")
        self.identity = Identity(self._domain.UUIDString())
        self.path = paths.Libvirt(uri="test:///default", domain="test")
        self.put("off")

    def truth(self) -> str:
        return "on" if self._domain.isActive() else "off"

    def put(self, power: str) -> None:
        if power == "on" and not self._domain.isActive():
            self._domain.create()
        elif power == "off" and self._domain.isActive():
            self._domain.destroy()

    def with_password(self, password: str) -> paths.AnyPath:
        raise AssertionError("libvirt has no password here")

    def asked(self) -> list[str]:
        return []

    def close(self) -> None:
        self.put("on")
        self._connection.close()


def refused(rig: Rig, verb: str, path: paths.AnyPath | None = None, **args: Any) -> DeviceError:
    """How a call is refused; fails when it is not, or when more than nothing may have happened."""
    try:
        value = rig.run(verb, path, **args)
    except DeviceError as error:
        return error
    raise AssertionError(f"was not refused: {value!r}")


def unproven(rig: Rig, verb: str, **args: Any) -> Unproven:
    """What is told of a call of which nobody knows the end."""
    try:
        value = rig.run(verb, **args)
    except Unproven as error:
        return error
    raise AssertionError(f"was proven: {value!r}")
