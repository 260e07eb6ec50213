"""The fake driver: switches that are rows of a fake world, as slow and as wrong as that world is told to be.

Theory of operation. As with fake machines (zoni/power/fake.py) nothing happens in the stack of a caller: a step that
is to happen late is a row with its instant, and whoever looks first lets it happen. A switch has what runs and what it
starts with; a reboot is the second becoming the first.
"""

from __future__ import annotations

import os

from msgspec import Struct
from msgspec.structs import replace

from tashi.run.clock import Clock, RealClock
from tashi.run.shelf import FolderShelf, MemoryShelf, Shelf
from tashi.wire.errors import Code
from zoni.outcome import DeviceError, Unproven
from zoni.switch.interface import Capability, Identity, Mac, Neighbour, State, SwitchError
from zoni.switch.paths import Fake
from zoni.switch.steps import Create, Destroy, DeviceStep, Join, apply

ROOM = "switches"


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


class Fault(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What goes wrong with an exchange. ``call`` is a call of the driver or the word of a step (``join``); empty: any.
    The first that fits, from its ``after`` next one on, ``times`` times.

    In this order: ``delay`` seconds pass; ``reboot``: it starts anew, and what was not saved is lost; ``drop``: nothing
    arrives; ``refuse``: refused with this text; the effect, unless ``ignore``: acknowledged, and nothing done; or only
    ``late`` seconds after; ``lose``: the answer is lost.
    """

    switch: str = ""
    call: str = ""
    after: int = 0
    times: int = 2**31
    delay: float = 0.0
    reboot: bool = False
    drop: bool = False
    refuse: str = ""
    ignore: bool = False
    late: float = 0.0
    lose: bool = False

    def fits(self, switch: str, calls: tuple[str, ...]) -> bool:
        return self.times > 0 and self.switch in ("", switch) and self.call in ("", *calls)


class _Faults(Struct, frozen=True):
    faults: list[Fault] = []


class World:
    """``World(folder)`` for processes that share it; `World.in_memory` for one process with a clock of its own."""

    def __init__(self, path: str | os.PathLike[str], clock: Clock | None = None) -> None:
        self.clock: Clock = clock or RealClock()
        self._shelf: Shelf = FolderShelf(path)

    @classmethod
    def in_memory(cls, clock: Clock) -> World:
        world = cls.__new__(cls)
        world.clock, world._shelf = clock, MemoryShelf()
        return world

    def put(self, name: str, switch: FakeSwitch) -> None:
        """Have this switch, or have it so."""
        with self._shelf.locked():
            self._shelf.put(ROOM, name, switch)

    def switch(self, name: str) -> FakeSwitch | None:
        """How it is by now."""
        with self._shelf.locked():
            return self._settled(name)

    def set_faults(self, faults: list[Fault]) -> None:
        """These instead of all that were."""
        with self._shelf.locked():
            self._shelf.put("faults", "all", _Faults(faults))

    def take_fault(self, switch: str, *calls: str) -> Fault:
        """What an exchange has coming, counted; an empty one if nothing."""
        with self._shelf.locked():
            faults = (self._shelf.row("faults", "all", _Faults) or _Faults()).faults
            for at, fault in enumerate(faults):
                if not fault.fits(switch, calls):
                    continue
                waits = fault.after > 0
                left = replace(fault, after=fault.after - 1) if waits else replace(fault, times=fault.times - 1)
                self._shelf.put("faults", "all", _Faults([*faults[:at], left, *faults[at + 1 :]]))
                if not waits:
                    return fault
        return Fault()

    def do(self, name: str, step: DeviceStep, seconds: float) -> None:
        """The step, ``seconds`` from now."""
        with self._shelf.locked():
            switch = self._settled(name)
            if switch is not None:
                coming = (*switch.coming, Coming(self.clock.now() + seconds, step))
                self._shelf.put(ROOM, name, replace(switch, coming=coming))
                self._settled(name)

    def save(self, name: str) -> None:
        with self._shelf.locked():
            switch = self._settled(name)
            if switch is not None:
                self._shelf.put(ROOM, name, replace(switch, startup=switch.running))

    def reboot(self, name: str) -> None:
        """It starts anew, with what was saved."""
        with self._shelf.locked():
            switch = self._shelf.row(ROOM, name, FakeSwitch)
            if switch is not None:
                fresh = replace(switch, running=switch.startup, booted=self.clock.now(), coming=())
                self._shelf.put(ROOM, name, fresh)

    def _settled(self, name: str) -> FakeSwitch | None:
        switch = self._shelf.row(ROOM, name, FakeSwitch)
        if switch is None or not switch.coming:
            return switch
        now = self.clock.now()
        due = sorted((each for each in switch.coming if each.due <= now), key=lambda each: each.due)
        running = switch.running
        for each in due:
            running = apply(running, each.step)
        switch = replace(switch, running=running, coming=tuple(each for each in switch.coming if each.due > now))
        self._shelf.put(ROOM, name, switch)
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
        switch = self.world.switch(name)
        if switch is None or fault.drop:
            raise lost(Code.UNAVAILABLE, f"{self.where}: no answer")
        if (switch.user, switch.password) != (self._path.login.user, self._path.login.password):
            raise SwitchError(Code.DENIED, f"{self.where}: user or password is wrong")
        if fault.refuse:
            raise SwitchError(Code.WRONG_STATE, f"{self.where}: {fault.refuse}")
        return fault, switch
