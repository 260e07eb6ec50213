"""Which call to which device comes next: pure; it starts nothing and knows no clock but the ``now`` it is given.

Theory of operation. A device does one thing at a time, so each has its own queue, changes before questions. Devices of
a rack take turns, racks take turns. What keeps a dead device from slowing the others:

    a call that takes longer than ``late_seconds`` is late: it no longer counts among the ``in_flight`` but among the
    ``late``, which have a limit of their own; so waiting for the dead and the slow takes no place of the others
    after failures in a row a device is asked no more for a while (breaker.py), and what waits for it is refused at once
    a call whose worker was killed leaves a session open at its device until that forgets it; a device with too many of
    those gets no call before

Machines that start draw current together: starts in a rack, and overall, have instants of their own. At any moment no
more than in_flight + late calls are under way: so many workers are needed.
"""

from __future__ import annotations

import heapq
from collections import deque
from enum import StrEnum
from itertools import count

from msgspec import Struct, field

from tashi.wire.errors import Code
from zoni.breaker import Breaker
from zoni.latency import Latency


class Limits(Struct, frozen=True):
    in_flight: int = 8
    late: int = 8
    rack_changes: int = 4  # machines of one rack that are being changed
    rack_stagger: float = 0.5  # seconds between two starts in a rack
    stagger: float = 0.1  # seconds between two starts anywhere
    waiting: int = 64  # calls for one device
    answer_least: float = 8.0  # bounds of a question's deadline, seconds
    answer_most: float = 30.0
    late_seconds: float = 1.0
    change_grace: float = 10.0  # that a change may take beyond its own time: logging in and out
    failures: int = 3
    open_seconds: float = 10.0
    open_longest: float = 300.0
    session_seconds: float = 60.0  # IPMI 2.0, 6.12.15: a session without messages ends after a minute


class Call(Struct, frozen=True):
    """``seconds``: the time of a change. ``starts``: it switches a machine on. ``urgent``: goes first, also where
    the breaker is open or a rack is being changed."""

    id: str
    device: str
    changes: bool = False
    starts: bool = False
    urgent: bool = False
    seconds: float = 0.0


class Start(Struct, frozen=True):
    """Begin this call now, and kill it after ``seconds``."""

    id: str
    device: str
    seconds: float


class Refusal(Struct, frozen=True):
    """It was never begun."""

    id: str
    code: Code
    text: str


class End(StrEnum):
    """How a call ended, as far as the device is concerned."""

    ANSWERED = "answered"  # also with a refusal
    SILENT = "silent"
    DENIED = "denied"
    KILLED = "killed"
    UNTRIED = "untried"  # no worker did it, so nothing was learnt


class _Device(Struct):
    name: str
    rack: str
    sessions: int
    waiting: deque[Call]
    breaker: Breaker = field(default_factory=Breaker)
    answers: Latency = field(default_factory=Latency)
    running: Call | None = None
    began: float = 0.0
    left_open: list[float] = field(default_factory=list)  # when each is forgotten
    slot: float = -1.0  # when the start at its head may begin


class _Rack(Struct):
    ready: dict[str, None] = field(default_factory=dict)
    held: dict[str, None] = field(default_factory=dict)  # want to change, and too many do
    next_start: float = 0.0  # the instant that the next start is given
    begun: float = float("-inf")  # when the last one began, which may be later than it was given
    changing: int = 0


class Queue:
    """All devices of one hardware network."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._devices: dict[str, _Device] = {}
        self._racks: dict[str, _Rack] = {}
        self._turns: dict[str, None] = {}  # racks with something ready, in the order of their turns
        self._running: dict[str, str] = {}  # call -> device
        self._late: set[str] = set()
        self._late_from: list[tuple[float, str]] = []
        self._timers: list[tuple[float, int, str]] = []
        self._order = count()
        self._next_start = 0.0

    # -- devices -----------------------------------------------------------------------------------------------------

    def add(self, device: str, rack: str = "", sessions: int = 2) -> None:
        """Have a device; ``sessions``: how many left open it may have. One that is there stays as it is."""
        self._racks.setdefault(rack, _Rack())
        self._devices.setdefault(device, _Device(device, rack, sessions, deque()))

    def remove(self, device: str) -> list[Refusal]:
        """What waited for it is refused; what runs goes on, and its end is no longer news."""
        found = self._devices.pop(device)
        rack = self._racks[found.rack]
        rack.ready.pop(device, None)
        rack.held.pop(device, None)
        if found.running is not None:
            self._forget_running(found.running, rack)
        return [Refusal(call.id, Code.NOT_FOUND, f"{device}: removed") for call in found.waiting]

    def trust(self, device: str) -> None:
        """Ask it again at once: its settings are new."""
        self._devices[device].breaker.succeed()

    # -- calls -------------------------------------------------------------------------------------------------------

    def ask(self, call: Call, now: float) -> Refusal | None:
        """Have a call wait for its turn, or refuse it. Raises KeyError for a device that was not added."""
        device = self._devices[call.device]
        if device.breaker.refuses(now) and not call.urgent:
            return _refuse(call, device.breaker, now)
        if len(device.waiting) >= self.limits.waiting:
            return Refusal(call.id, Code.BUSY, f"{device.name}: {len(device.waiting)} calls wait for it")
        place = sum(_rank(each) <= _rank(call) for each in device.waiting)
        device.waiting.insert(place, call)
        if call.urgent:
            self._racks[device.rack].held.pop(device.name, None)
        self._make_ready(device)
        return None

    def due(self, now: float) -> list[Start]:
        """Calls to begin now."""
        self._pass(now)
        starts: list[Start] = []
        while self._turns and self._counted() < self.limits.in_flight:
            name = next(iter(self._turns))
            del self._turns[name]
            rack = self._racks[name]
            if not rack.ready:
                continue
            device = self._devices[next(iter(rack.ready))]
            del rack.ready[device.name]
            if rack.ready:
                self._turns[name] = None
            if self._may_begin(device, rack, now):
                starts.append(self._begin(device, rack, now))
        return starts

    def ended(self, id: str, how: End, why: str, now: float) -> list[Refusal]:
        """A call is over; ``why`` in words where it failed. What waited for a device that is left alone now is
        refused."""
        name = self._running.get(id)
        if name is None or (device := self._devices.get(name)) is None or device.running is None:
            return []
        call, seconds = device.running, now - device.began
        self._forget_running(call, self._racks[device.rack])
        device.running = None
        if how is End.KILLED:
            device.left_open.append(now + self.limits.session_seconds)
        if not call.changes:
            device.answers.note(seconds, how is not End.KILLED)
        refused = self._judge(device, how, why, now)
        self._make_ready(device)
        return refused

    def wake(self, now: float) -> float | None:
        """The instant at which `due` may have something to begin; None: not before another call comes or ends."""
        instants = [self._timers[0][0]] if self._timers else []
        if self._turns:
            instants += [self._late_from[0][0]] if self._counted() >= self.limits.in_flight and self._late_from else []
            instants += [now] if self._counted() < self.limits.in_flight else []
        return max(now, min(instants)) if instants else None

    # -- how it stands -----------------------------------------------------------------------------------------------

    def running(self) -> int:
        """Calls in flight, late ones too."""
        return len(self._running)

    def left_alone(self, device: str, now: float) -> str:
        """Why it is not asked now, empty when it is."""
        breaker = self._devices[device].breaker
        return breaker.why if breaker.refuses(now) else ""

    # -- parts -------------------------------------------------------------------------------------------------------

    def _counted(self) -> int:
        return len(self._running) - min(len(self._late), self.limits.late)

    def _pass(self, now: float) -> None:
        """Let happen what the time has brought."""
        while self._late_from and self._late_from[0][0] <= now:
            id = heapq.heappop(self._late_from)[1]
            if id in self._running:
                self._late.add(id)
        while self._timers and self._timers[0][0] <= now:
            device = self._devices.get(heapq.heappop(self._timers)[2])
            if device is not None:
                self._make_ready(device)

    def _may_begin(self, device: _Device, rack: _Rack, now: float) -> bool:
        """Whether the call at its head may begin; if not, what it waits for will make it ready again."""
        call = device.waiting[0]
        if call.changes and not call.urgent and rack.changing >= self.limits.rack_changes:
            rack.held[device.name] = None
            return False
        device.left_open = [when for when in device.left_open if when > now]
        if len(device.left_open) >= device.sessions:
            self._wait(device, min(device.left_open))
            return False
        if call.starts:
            if device.slot < 0:
                device.slot = max(now, rack.next_start)
                rack.next_start = device.slot + self.limits.rack_stagger
            begin = max(device.slot, self._next_start, rack.begun + self.limits.rack_stagger)
            if begin > now:
                self._wait(device, begin)
                return False
            self._next_start, rack.begun = now + self.limits.stagger, now
        return True

    def _begin(self, device: _Device, rack: _Rack, now: float) -> Start:
        call, limits = device.waiting.popleft(), self.limits
        device.running, device.began, device.slot = call, now, -1.0
        rack.changing += call.changes
        self._running[call.id] = device.name
        heapq.heappush(self._late_from, (now + limits.late_seconds, call.id))
        if call.changes:
            return Start(call.id, device.name, call.seconds + limits.change_grace)
        return Start(call.id, device.name, device.answers.expected(limits.answer_least, limits.answer_most))

    def _forget_running(self, call: Call, rack: _Rack) -> None:
        del self._running[call.id]
        self._late.discard(call.id)
        if call.changes:
            rack.changing -= 1
            if rack.held:
                name = next(iter(rack.held))
                del rack.held[name]
                self._make_ready(self._devices[name])

    def _judge(self, device: _Device, how: End, why: str, now: float) -> list[Refusal]:
        """What the end of a call says about its device."""
        limits, breaker = self.limits, device.breaker
        match how:
            case End.UNTRIED:
                return []
            case End.ANSWERED:
                breaker.succeed()
                return []
            case End.DENIED:
                breaker.lock(why, now, limits.open_longest, device.name)
            case _:
                lasting = (limits.failures, limits.open_seconds, limits.open_longest)
                if not breaker.fail(why, now, *lasting, device.name):
                    return []
        refused = [_refuse(call, breaker, now) for call in device.waiting if not call.urgent]
        device.waiting = deque(call for call in device.waiting if call.urgent)
        device.slot = -1.0
        return refused

    def _make_ready(self, device: _Device) -> None:
        rack = self._racks[device.rack]
        if device.waiting and device.running is None and device.name not in rack.held:
            rack.ready[device.name] = None
            self._turns.setdefault(device.rack, None)

    def _wait(self, device: _Device, until: float) -> None:
        heapq.heappush(self._timers, (until, next(self._order), device.name))


def _rank(call: Call) -> int:
    return 0 if call.urgent else 1 if call.changes else 2


def _refuse(call: Call, breaker: Breaker, now: float) -> Refusal:
    left = max(0.0, breaker.until - now)
    return Refusal(call.id, Code.UNAVAILABLE, f"{call.device}: left alone for {left:.0f} s more: {breaker.why}")
