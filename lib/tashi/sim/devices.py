"""Simulated devices around physical machines: their BMCs, the switches, and the queue in front of each.

The devices are the fake world's of `zoni`, in memory and on simulated time; a call is the very procedure that a worker
carries out, and its pauses pass here while other things happen. Between a worker and its device all goes wrong that
may: exchanges are refused, lost before or after they took effect, acknowledged and not done; workers die in the middle;
switches start anew with what they saved. The truth about machines is here: whether they are on, what their ports pass.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from typing import Any, Literal, NamedTuple
from uuid import NAMESPACE_DNS, uuid5

import msgspec

from tashi.sim.world import Timer, World
from tashi.wire.errors import TashiError

WORLD, USER, PASSWORD = "/sim", "root", "simulated"
PIECE_SECONDS = 0.6  # at most, for what a call does between two of its pauses
GRACE_SECONDS = 10.0  # that a change may take beyond its own time, as in zoni's queue
QUESTION_SECONDS = 8.0
LATE_SECONDS = 2.0  # that the effect of a request may come after its answer was given up
LOGIN = {"user": USER, "password": PASSWORD}

Done = Callable[[str, Any, str, str], None]  # outcome, value, text, code


class Plug(NamedTuple):
    """A physical machine, and the (switch, port) pairs that it hangs on."""

    name: str
    ports: tuple[tuple[str, str], ...]


class Moods(NamedTuple):
    """Probabilities, for each exchange with a device."""

    refuses: float = 0.0
    drops: float = 0.0  # nothing arrives
    loses: float = 0.0  # the answer does not
    ignores: float = 0.0  # acknowledged, nothing done
    late: float = 0.0  # no answer, and the effect comes later
    dies: float = 0.0  # the worker does, before or after it


GOOD = Moods()


class _Dies(BaseException):
    """The worker is no more. Not an Exception: no procedure may catch it."""


class _Clock:
    """Simulated time, as drivers ask for it."""

    def __init__(self, world: World) -> None:
        self._world = world

    def now(self) -> float:
        return self._world.seconds

    def sleep(self, seconds: float) -> None:
        raise AssertionError("a procedure yields its pauses")


class Devices:
    """``on_change``: a device has been spoken to, or has changed by itself. ``changing``: calls that change it."""

    def __init__(self, world: World, plugs: Sequence[Plug]) -> None:
        self.world, self.plugs = world, {plug.name: plug for plug in plugs}
        self.moods = GOOD
        self.silent: set[str] = set()  # devices that don't answer
        self.on_change: Callable[[], None] = lambda: None
        self.clock = _Clock(world)
        self._queues: dict[str, deque[DeviceCall]] = {}
        self._power, self._switch = import_module("zoni.power.fake"), import_module("zoni.switch.fake")
        self._calls = [import_module(f"zoni.{kind}.calls").CALLS for kind in ("power", "switch")]
        self.changing = frozenset(verb for table in self._calls for verb, known in table.items() if known.changes)
        self.bmcs, self.switches = (each.World.in_memory(self.clock) for each in (self._power, self._switch))
        self.bmcs.take_fault = partial(self._fault, self._power.Fault)
        self.switches.take_fault = partial(self._fault, self._switch.Fault)
        self._build()

    def _build(self) -> None:
        identity = import_module("zoni.power.interface").Identity
        shapes = import_module("zoni.switch.interface")
        ports: dict[str, dict[str, Any]] = {}
        for plug in self.plugs.values():
            known = identity(uuid=uuid_of(plug.name))
            self.bmcs.put(plug.name, self._power.FakeMachine("off", "off", identity=known, **LOGIN))
            for switch, port in plug.ports:
                ports.setdefault(switch, {})[port] = shapes.Port(port)
        for switch, there in ports.items():
            state = shapes.State({1: "default"}, there, 0.0)
            self.switches.put(switch, self._switch.FakeSwitch(state, state))

    def names(self, what: Literal["bmc", "switch"]) -> list[str]:
        """Of all devices of a kind; a BMC is called as its machine."""
        if what == "bmc":
            return list(self.plugs)
        return sorted({switch for plug in self.plugs.values() for switch, _ in plug.ports})

    # -- the truth -----------------------------------------------------------------------------------------------------
    def is_on(self, machine: str) -> bool:
        return bool(self.bmcs.device(machine).power == "on")

    def vlans(self, machine: str) -> frozenset[int]:
        """All that frames of a machine can get into, or come out of: nothing while its ports are closed."""
        found: set[int] = set()
        for switch, name in self.plugs[machine].ports:
            port = self.switches.device(switch).running.ports[name]
            if port.on:
                found.update(port.untagged, port.tagged, {port.native} - {0})
        return frozenset(found)

    def restart(self, switch: str) -> None:
        """It starts anew, with what was saved."""
        self.world.tell(switch, "starts anew")
        self.switches.reboot(switch)
        self.on_change()

    def mend(self) -> None:
        """All that is wrong with devices is over."""
        self.moods = GOOD
        self.silent.clear()

    # -- calls ---------------------------------------------------------------------------------------------------------
    def call(self, verb: str, args: Mapping[str, Any], seconds: float, done: Done) -> DeviceCall:
        """Put a call in the queue of its device; ``done`` hears how it went, unless it is abandoned."""
        args = dict(args)
        power = "switch" not in args
        spec = args.pop("path") if power else args.pop("switch")
        args.pop("rack", ""), args.pop("fresh", "")
        table = self._calls[0 if power else 1]
        shaped = msgspec.convert({"path": spec, **args}, table[verb].shape, str_keys=True)
        name = shaped.path.machine if power else shaped.path.switch
        open_ = self._power.FakeDriver if power else self._switch.FakeDriver
        driver = _Line(self, open_(self.bmcs if power else self.switches, shaped.path))
        whole = seconds + GRACE_SECONDS if table[verb].changes else min(seconds, QUESTION_SECONDS)
        begin = partial(table[verb].call, driver, shaped, self.clock)
        call = DeviceCall(self.world, begin, whole, done, partial(self._over, name))
        queue = self._queues.setdefault(name, deque())
        queue.append(call)
        if len(queue) == 1:
            call.begin()
        return call

    def _over(self, device: str) -> None:
        """A device is free for the next call that somebody still wants."""
        queue = self._queues[device]
        queue.popleft()
        while queue and queue[0].abandoned:
            queue.popleft()
        if queue:
            queue[0].begin()

    def _fault(self, kind: Any, device: str, *calls: str) -> Any:
        """What goes wrong with an exchange."""
        if device in self.silent:
            return kind(drop=True)
        chance, moods = self.world.chance.random(), self.moods
        late = LATE_SECONDS * self.world.chance.random()
        fields: tuple[tuple[float, dict[str, Any]], ...] = (
            (moods.refuses, {"refuse": "not now"}),
            (moods.drops, {"drop": True}),
            (moods.loses, {"lose": True}),
            (
                moods.ignores,
                {"ignore": True} if "save" not in calls else {"lose": True},
            ),  # whether it saved can't be seen
            (moods.late, {"late": late} if kind is self._switch.Fault else {"lose": True}),
        )
        for probability, wrong in fields:
            if chance < probability:
                if "late" in wrong:
                    self.world.after(late, self.on_change)
                return kind(**wrong)
            chance -= probability
        return kind()


class _Line:
    """What a worker has in place of a driver: each exchange is seen, and may be its last."""

    def __init__(self, devices: Devices, driver: Any) -> None:
        self._devices, self._driver = devices, driver

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._driver, name)
        return partial(self._exchange, found) if callable(found) else found

    def _exchange(self, ask: Callable[..., Any], *args: Any) -> Any:
        devices = self._devices
        dies = devices.world.happens(devices.moods.dies)
        if dies and devices.world.happens(0.5):
            raise _Dies
        try:
            value = ask(*args)
        finally:
            devices.on_change()
        if dies:
            raise _Dies
        return value


class DeviceCall:
    """One call: it waits for its device, then is carried out piece by piece, and is killed at its deadline."""

    def __init__(
        self, world: World, begin: Callable[[], Any], seconds: float, done: Done, over: Callable[[], None]
    ) -> None:
        self.world, self.abandoned = world, False
        self._begin, self._seconds = begin, seconds
        self._done, self._over = done, over
        self._steps: Any = None
        self._deadline: Timer | None = None

    def begin(self) -> None:
        """Its turn has come."""
        self._steps = self._begin()
        self._deadline = self.world.after(self._seconds, lambda: self._end("unknown", None, "killed at its deadline"))
        self._go_on()

    def abandon(self) -> None:
        """The agent is gone, and its workers with it."""
        self.abandoned = True
        if self._steps is not None:
            self._end("unknown", None, "")

    def _go_on(self) -> None:
        if self._steps is None:
            return
        try:
            pause = next(self._steps)
        except StopIteration as end:
            value = msgspec.to_builtins(end.value)
            self._in_a_while(0.0, lambda: self._end("ok", value, ""))
        except _Dies:
            self._in_a_while(0.0, lambda: self._end("unknown", None, "its worker died"))
        except TashiError as error:
            definite, text, code = type(error).__name__ != "Unproven", error.text, str(error.code)
            told = "failed" if definite else "unknown"
            self._in_a_while(0.0, lambda: self._end(told, None, text, code))
        else:
            self._in_a_while(pause, self._go_on)

    def _in_a_while(self, pause: float, then: Callable[[], None]) -> None:
        """After what was done just now has taken its time."""
        steps, lasted = self._steps, self.world.chance.random() * PIECE_SECONDS
        self.world.after(pause + lasted, lambda: then() if self._steps is steps else None)

    def _end(self, outcome: str, value: Any, text: str, code: str = "") -> None:
        steps, self._steps = self._steps, None
        if steps is None:
            return
        steps.close()
        if self._deadline is not None:
            self._deadline.drop()
        self._over()
        if not self.abandoned:
            self._done(outcome, value, text, code)


def uuid_of(machine: str) -> str:
    """What a machine's board says it is."""
    return str(uuid5(NAMESPACE_DNS, machine))
