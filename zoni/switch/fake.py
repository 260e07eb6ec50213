"""The fake driver: switches that are rows of a fake world, as slow and as wrong as that world is told to be.

A switch has what runs and what it starts with; a reboot is the second becoming the first.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from tashi.wire.errors import Code
from zoni.fake_world import DeviceFault, FakeWorld
from zoni.outcome import DeviceError, Unproven
from zoni.switch.interface import Capability, Identity, Mac, Neighbour, State, SwitchError
from zoni.switch.paths import Fake
from zoni.switch.steps import Create, Destroy, DeviceStep, Join, apply


class Coming(Struct, frozen=True):
    """A step that will have happened at ``due``."""

    due: float
    step: DeviceStep


class FakeSwitch(Struct, frozen=True, omit_defaults=True):
    running: State
    startup: State
    booted: float = 0.0
    coming: tuple[Coming, ...] = ()
    identity: Identity = Identity()
    user: str = ""
    password: str = ""
    macs: list[Mac] = []
    neighbours: list[Neighbour] = []
    weaknesses: list[str] = []


class Fault(DeviceFault, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """``call`` may be the word of a step (``join``), too. ``reboot``: it starts anew before it answers, and what was
    not saved is lost; ``late``: the effect comes so many seconds after."""

    reboot: bool = False
    late: float = 0.0


class World(FakeWorld[FakeSwitch, Fault]):
    ROOM, ROW, FAULT = "switches", FakeSwitch, Fault

    def do(self, name: str, step: DeviceStep, seconds: float) -> None:
        """The step, ``seconds`` from now."""
        with self._shelf.locked():
            switch = self._settled(name)
            if switch is not None:
                coming = (*switch.coming, Coming(self.clock.now() + seconds, step))
                self._shelf.put(self.ROOM, name, replace(switch, coming=coming))
                self._settled(name)

    def save(self, name: str) -> None:
        with self._shelf.locked():
            switch = self._settled(name)
            if switch is not None:
                self._shelf.put(self.ROOM, name, replace(switch, startup=switch.running))

    def reboot(self, name: str) -> None:
        """It starts anew, with what was saved."""
        with self._shelf.locked():
            switch = self._row(name)
            if switch is not None:
                fresh = replace(switch, running=switch.startup, booted=self.clock.now(), coming=())
                self._shelf.put(self.ROOM, name, fresh)

    def _settled(self, name: str) -> FakeSwitch | None:
        switch = self._row(name)
        if switch is None or not switch.coming:
            return switch
        now = self.clock.now()
        due = sorted((each for each in switch.coming if each.due <= now), key=lambda each: each.due)
        running = switch.running
        for each in due:
            running = apply(running, each.step)
        switch = replace(switch, running=running, coming=tuple(each for each in switch.coming if each.due > now))
        self._shelf.put(self.ROOM, name, switch)
        return switch


class FakeDriver:
    """Implements `zoni.switch.interface.Driver` for one switch of a world."""

    capabilities = frozenset(Capability)

    def __init__(self, world: World, path: Fake) -> None:
        self.world, self.where, self._path = world, path.where, path

    def identity(self) -> Identity:
        return self._exchange("identity")[1].identity

    def look(self) -> State:
        _, switch = self._exchange("look")
        return replace(switch.running, uptime_seconds=self.world.clock.now() - switch.booted)

    def do(self, step: DeviceStep) -> None:
        fault, switch = self._exchange("do", type(step).__name__.lower(), lost=Unproven)
        self._check(step, switch.running)
        if not fault.ignore:
            self.world.do(self._path.switch, step, fault.late)
        if fault.lose or fault.late:
            raise Unproven(Code.UNAVAILABLE, f"{self.where}: no answer")

    def save(self) -> None:
        fault, _ = self._exchange("save", lost=Unproven)
        if not fault.ignore:
            self.world.save(self._path.switch)
        if fault.lose:
            raise Unproven(Code.UNAVAILABLE, f"{self.where}: no answer")

    def macs(self) -> list[Mac]:
        return self._exchange("macs")[1].macs

    def neighbours(self) -> list[Neighbour]:
        return self._exchange("neighbours")[1].neighbours

    def weaknesses(self) -> list[str]:
        return self._exchange("weaknesses")[1].weaknesses

    def close(self) -> None:
        """There is no session."""

    def _check(self, step: DeviceStep, running: State) -> None:
        """What real ones refuse."""
        members = (vlan for port in running.ports.values() for vlan in (port.native, *port.untagged, *port.tagged))
        match step:
            case Create(vlan, _) if vlan in running.vlans:
                raise SwitchError(Code.WRONG_STATE, f"{self.where}: VLAN {vlan} is there")
            case Destroy(vlan) if vlan in members:
                raise SwitchError(Code.WRONG_STATE, f"{self.where}: VLAN {vlan} is in use")
            case Join(_, vlan, _) if vlan not in running.vlans:
                raise SwitchError(Code.WRONG_STATE, f"{self.where}: no VLAN {vlan}")

    def _exchange(self, *calls: str, lost: type[DeviceError | Unproven] = SwitchError) -> tuple[Fault, FakeSwitch]:
        """One question and its answer, with what the world has in store for it. Raises ``lost`` when there is none."""
        name = self._path.switch
        fault = self.world.take_fault(name, *calls)
        if fault.delay:
            self.world.clock.sleep(fault.delay)
        if fault.reboot:
            self.world.reboot(name)
        switch = self.world.device(name)
        if switch is None or fault.drop:
            raise lost(Code.UNAVAILABLE, f"{self.where}: no answer")
        if (switch.user, switch.password) != (self._path.login.user, self._path.login.password):
            raise SwitchError(Code.DENIED, f"{self.where}: user or password is wrong")
        if fault.refuse:
            raise SwitchError(Code.WRONG_STATE, f"{self.where}: {fault.refuse}")
        return fault, switch
