"""The fake driver: machines that are rows of a fake world, as slow and as wrong as that world is told to be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from tashi.wire.errors import Code
from zoni.fake_world import DeviceFault, FakeWorld
from zoni.outcome import Unproven
from zoni.power.interface import Action, Boot, Capability, Console, Entry, Identity, Power, PowerError, Sensor
from zoni.power.paths import Fake

CHANGE_SECONDS = 0.05  # from being asked to it being so
SOFT_SECONDS = 0.2  # a system that ends


class FakeMachine(Struct, frozen=True, omit_defaults=True):
    """``then`` is its power from ``due`` on. ``deaf``: its system does not listen to a soft off. ``slow``: the seconds
    that each answer takes."""

    power: Power = "off"
    then: Power = "off"
    due: float = 0.0
    identity: Identity = Identity()
    user: str = ""
    password: str = ""
    boot: Boot = Boot("none")
    lit: bool = False
    asked: list[str] = []
    deaf: bool = False
    line_taken: bool = False  # by somebody else
    breaks: int = 0
    slow: float = 0.0
    weaknesses: list[str] = []


class Fault(DeviceFault, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``lie``: the power that is told."""

    lie: Literal["", "on", "off", "unknown"] = ""


class World(FakeWorld[FakeMachine, Fault]):
    ROOM, ROW, FAULT = "machines", FakeMachine, Fault

    def change(self, name: str, then: Power, seconds: float) -> None:
        """Its power from ``seconds`` from now on; what was coming does not come."""
        self._replace(name, then=then, due=self.clock.now() + seconds)

    def set_boot(self, name: str, boot: Boot) -> None:
        self._replace(name, boot=boot)

    def light(self, name: str, on: bool) -> None:
        self._replace(name, lit=on)

    def take_line(self, name: str, taken: bool) -> None:
        """Somebody elsewhere has its serial line, or nobody."""
        self._replace(name, line_taken=taken)

    def note_break(self, name: str) -> None:
        """There was a break on its serial line."""
        machine = self.device(name)
        if machine is not None:
            self._replace(name, breaks=machine.breaks + 1)

    def note(self, name: str, action: Action) -> None:
        """It was asked for this."""
        machine = self.device(name)
        if machine is not None:
            self._replace(name, asked=[*machine.asked, action])

    def _replace(self, name: str, **fields: object) -> None:
        with self._shelf.locked():
            machine = self._settled(name)
            if machine is not None:
                self._shelf.put(self.ROOM, name, replace(machine, **fields))

    def _settled(self, name: str) -> FakeMachine | None:
        machine = self._row(name)
        if machine is None or machine.due > self.clock.now() or machine.power == machine.then:
            return machine
        # a machine that starts has used up the boot device that was for one boot
        spent = machine.then == "on" and machine.boot.once
        machine = replace(machine, power=machine.then, boot=Boot("none") if spent else machine.boot)
        self._shelf.put(self.ROOM, name, machine)
        return machine


class FakeDriver:
    """Implements `zoni.power.interface.Driver` for one machine of a world."""

    capabilities = frozenset(Capability)

    def __init__(self, world: World, path: Fake) -> None:
        self.world, self.where, self._path = world, path.where, path

    def power(self) -> Power:
        fault, machine = self._exchange("power")
        return fault.lie or machine.power

    def press(self, action: Action) -> None:
        fault, machine = self._exchange("press", Unproven)
        if not fault.ignore:
            self._press(action, machine)
        if fault.lose:
            raise Unproven(Code.UNAVAILABLE, f"{self.where}: {action}: no answer")

    def identity(self) -> Identity:
        return self._exchange("identity")[1].identity

    def boot(self) -> Boot:
        return self._exchange("boot")[1].boot

    def set_boot(self, boot: Boot) -> None:
        fault, _ = self._exchange("set_boot", Unproven)
        if not fault.ignore:
            self.world.set_boot(self._path.machine, replace(boot, uefi=bool(boot.uefi)))

    def sensors(self) -> list[Sensor]:
        machine = self._exchange("sensors")[1]
        warm = 40.0 if machine.power == "on" else 20.0
        return [Sensor("Inlet", "temperature", warm, "C", "ok")]

    def log(self, limit: int) -> list[Entry]:
        machine = self._exchange("log")[1]
        entries = [Entry(str(number), "", "system", action, "ok") for number, action in enumerate(machine.asked, 1)]
        return entries[-limit:]

    def light(self) -> bool | None:
        return self._exchange("light")[1].lit

    def set_light(self, on: bool) -> None:
        fault, _ = self._exchange("set_light", Unproven)
        if not fault.ignore:
            self.world.light(self._path.machine, on)

    def console(self, force: bool) -> Console:
        machine = self._exchange("console")[1]
        if machine.line_taken and not force:
            raise PowerError(Code.LOCKED, f"{self.where}: somebody else has its serial line", "--force takes it away")
        self.world.take_line(self._path.machine, False)
        return FakeConsole(self.world, self._path, self._exchange)

    def weaknesses(self) -> list[str]:
        machine = self._exchange("weaknesses")[1]
        empty = [] if machine.password else ["takes an empty password"]
        return empty + machine.weaknesses

    def close(self) -> None:
        """There is no session."""

    def _press(self, action: Action, machine: FakeMachine) -> None:
        name = self._path.machine
        self.world.note(name, action)
        match action:
            case "on" | "off":
                self.world.change(name, action, CHANGE_SECONDS)
            case "soft" if not machine.deaf and machine.power == "on":
                self.world.change(name, "off", SOFT_SECONDS)

    def _exchange(self, call: str, lost: type[PowerError | Unproven] = PowerError) -> tuple[Fault, FakeMachine]:
        """One question and its answer, with what the world has in store for it. Raises ``lost`` when there is none."""
        fault = self.world.take_fault(self._path.machine, call)
        if fault.delay:
            self.world.clock.sleep(fault.delay)
        machine = self.world.device(self._path.machine)
        if machine is not None and machine.slow:
            self.world.clock.sleep(machine.slow)
        if machine is None or fault.drop:
            raise lost(Code.UNAVAILABLE, f"{self.where}: no answer")
        if (machine.user, machine.password) != (self._path.login.user, self._path.login.password):
            raise PowerError(Code.DENIED, f"{self.where}: user or password is wrong")
        if fault.refuse:
            raise PowerError(Code.WRONG_STATE, f"{self.where}: {fault.refuse}")
        return fault, machine


class FakeConsole:
    """Implements `zoni.power.interface.Console`: the machine greets, and gives back what is written to it."""

    def __init__(self, world: World, path: Fake, exchange: Callable[[str], tuple[Fault, FakeMachine]]) -> None:
        self.note = ""
        self._world, self._path, self._exchange = world, path, exchange
        self._said = f"{path.machine} login: ".encode()

    def read(self, seconds: float) -> bytes:
        if self._exchange("read")[1].line_taken:
            raise PowerError(Code.UNAVAILABLE, f"{self._path.where}: somebody else has its serial line now")
        if not self._said:
            self._world.clock.sleep(seconds)
        said, self._said = self._said, b""
        return said

    def write(self, data: bytes) -> int:
        self._exchange("write")
        self._said += data
        return len(data)

    def send_break(self) -> bool:
        self._world.note_break(self._path.machine)
        return True

    def close(self) -> None:
        """There is no session."""
