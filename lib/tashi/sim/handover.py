"""Machines go from domain to domain while everything crashes, and no machine is ever in two (I3).

``run(seed)`` is a function of its arguments alone. The records, the decisions (`tashi.core.allocation`) and the agent's
written notes are what survives; the truth is the rack's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import msgspec

from tashi.core import allocation as rules
from tashi.core.allocation import End, Event
from tashi.model.allocation import Allocation
from tashi.sim.network import CALM, ROUGH, Network, Weather
from tashi.sim.rack import Hands, Moods, Port, Rack
from tashi.sim.world import Timer, Violation, World

SECONDS = 600.0  # of work and faults
PEACE_SECONDS = 3600.0
RESEND_SECONDS = 4.0
PLUGGED = {
    "m-1": (("s-1", "1"),),
    "m-2": (("s-1", "2"), ("s-2", "2")),
    "m-3": (("s-2", "3"),),
}
VLANS = {"d-1": frozenset((100, 101)), "d-2": frozenset((200,)), "d-3": frozenset((300,))}


class Climate(NamedTuple):
    """How bad it gets: messages, calls to devices, and seconds between crashes of each program (0: none)."""

    weather: Weather
    moods: Moods
    crash_seconds: float = 0.0
    reboot_seconds: float = 0.0


CLIMATES = (
    Climate(CALM, Moods()),
    Climate(ROUGH, Moods(), crash_seconds=10.0),
    Climate(CALM, Moods(fails=0.05, lost=0.05), reboot_seconds=30.0),
    Climate(ROUGH, Moods(fails=0.03, lost=0.03), crash_seconds=8.0, reboot_seconds=20.0),
    Climate(ROUGH, Moods(lost=0.15), crash_seconds=30.0),
)


class Crash(Exception):
    """The controller dies here."""


class Records(NamedTuple):
    """What is durable: allocations by machine, and operations: how each ended, or None."""

    machines: dict[str, bytes]
    jobs: dict[str, str | None]


class Controller:
    """Commits, and only then tells. ``die`` is asked at each commit: before, after, or not at all."""

    def __init__(self, world: World, network: Network, records: Records, die: Callable[[], str]) -> None:
        self.world, self.network, self.records, self.die = world, network, records, die
        self.tell: Callable[[str, rules.Order], None] = lambda machine, order: None
        self.up = False
        self.machines: dict[str, Allocation] = {}
        self.timers: dict[str, Timer] = {}
        self.resends: dict[str, Timer] = {}

    def start(self) -> None:
        self.up = True
        self.machines = {
            key: msgspec.json.decode(value, type=Allocation) for key, value in self.records.machines.items()
        }
        self.world.say("controller", "starts")
        for machine in self.machines:
            self._arm(machine)

    def crash(self) -> None:
        self.up = False
        for timer in (*self.timers.values(), *self.resends.values()):
            timer.drop()
        self.world.say("controller", "crashes")

    def ask(self, verb: str, machine: str, change: Callable[[Allocation, str], Allocation | None]) -> None:
        """Somebody wants something. Only what is decided about is an operation."""
        if not self.up:
            return
        job = f"j-{len(self.records.jobs) + 1}"
        after = change(self.machines[machine], job)
        if after is not None:
            self.world.say("somebody", f"asks {verb} {machine}: {job}")
            jobs: dict[str, str | None] = {} if verb == "cancel" else {job: None}
            replaced = self.machines[machine].transfer
            if verb != "cancel" and replaced is not None and self.records.jobs[replaced.job] is None:
                raise Violation(f"I4 {replaced.job} is replaced and never ended")
            self._commit(machine, after, jobs)

    def heard(self, machine: str, event: Event, generation: int, reason: str) -> None:
        if not self.up:
            return
        before = self.machines[machine]
        stepped = rules.step(before, event, generation, reason)
        if stepped.allocation == before and stepped.ended is None:
            return
        jobs: dict[str, str | None] = {}
        if stepped.ended is not None:
            assert before.transfer is not None
            jobs[before.transfer.job] = stepped.ended.value
        self._commit(machine, stepped.allocation, jobs)

    def _commit(self, machine: str, after: Allocation, jobs: dict[str, str | None]) -> None:
        how = self.die()
        if how == "before":
            self.crash()
            return
        for job, ended in jobs.items():
            if self.records.jobs.get(job) is not None:
                raise Violation(f"I4 {job} ended {self.records.jobs[job]}, then {ended}")
            self.records.jobs[job] = ended
        self.records.machines[machine] = msgspec.json.encode(after)
        phase = after.transfer.phase.value if after.transfer is not None else "at rest"
        self.world.say(
            "controller", f"{machine}: {phase}, in {after.domain or 'no domain'}, {after.generation} {jobs or ''}"
        )
        if how == "after":
            self.crash()
            return
        self.machines[machine] = after
        self._arm(machine)

    def _arm(self, machine: str) -> None:
        """The order of now, again and again until it is answered, and the end of its time."""
        for timers in (self.timers, self.resends):
            if machine in timers:
                timers.pop(machine).drop()
        now = self.machines[machine]
        if now.transfer is None:
            return
        seconds = rules.WORK[now.transfer.phase].seconds
        late = lambda: self.heard(machine, Event.LATE, now.generation, "the zoni agent does not answer")  # noqa: E731
        self.timers[machine] = self.world.after(seconds, late)
        self._send(machine)

    def _send(self, machine: str) -> None:
        order = rules.order_of(self.machines[machine])
        if order is not None:
            self.tell(machine, order)
            self.resends[machine] = self.world.after(RESEND_SECONDS, lambda: self._send(machine))


@dataclass
class Result:
    """``violation`` is empty when every invariant held. ``ended``: how operations ended."""

    seed: int
    violation: str = ""
    calls: int = 0
    commits: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    lines: list[str] = field(default_factory=list)


class Run:
    """``kill``: (what, number): the controller dies before or after its commit of that number, or the agent at its

    call of that number; the usual faults are the climate's.
    """

    def __init__(self, seed: int, climate: Climate, kill: tuple[str, int] | None = None) -> None:
        self.world = World(seed)
        self.climate, self.kill = climate, kill
        self.network = Network(self.world, climate.weather)
        self.rack = Rack(self.world, PLUGGED)
        self.rack.moods = climate.moods
        self.records = Records({machine: msgspec.json.encode(Allocation()) for machine in PLUGGED}, {})
        self.controller = Controller(self.world, self.network, self.records, self._die)
        self.hands = Hands(self.rack, VLANS, self._answer)
        self.controller.tell = self._tell
        self.commits = 0
        self.peace = False

    # -- the wire ---------------------------------------------------------------------------------------------------
    def _tell(self, machine: str, order: rules.Order) -> None:
        self.network.send("controller", "agent", lambda: self.hands.hear(machine, order))

    def _answer(self, machine: str, generation: int, event: Event, reason: str) -> None:
        self.network.send("agent", "controller", lambda: self.controller.heard(machine, event, generation, reason))

    # -- people and faults ------------------------------------------------------------------------------------------
    def _die(self) -> str:
        self.commits += 1
        if self.kill is not None and self.kill[1] == self.commits and self.kill[0] in ("before", "after"):
            self.world.after(1.0, self.controller.start)
            return self.kill[0]
        if not self.peace and self.climate.crash_seconds and self.world.happens(0.03):
            self.world.after(self.world.chance.random() * 5, self._revive)
            return "before" if self.world.happens(0.5) else "after"
        return ""

    def _revive(self) -> None:
        if not self.controller.up:
            self.controller.start()

    def want(self, verb: str, machine: str, target: str = "", to_on: bool = True) -> None:
        on, there = self.rack.on[machine], self.controller.machines[machine]
        if verb == "release" and there.quarantine:  # tried once more, at once
            self.controller.heard(machine, Event.LATE, there.generation, "")
            return

        def change(now: Allocation, job: str) -> Allocation | None:
            if verb == "cancel":
                return rules.call_back(now, job)
            if now.transfer is not None:
                return None
            if verb == "allocate":
                return rules.begin(now, job, target, on, to_on) if target != now.domain else None
            if not now.domain:
                return None
            return rules.evict(now, job) if verb == "evict" else rules.begin(now, job, "", on, False)

        self.controller.ask(verb, machine, change)

    def _work(self) -> None:
        if self.peace:
            return
        chance = self.world.chance
        verb = chance.choices(("allocate", "release", "evict", "cancel"), (5, 2, 1, 1))[0]
        self.want(verb, chance.choice(sorted(PLUGGED)), chance.choice(sorted(VLANS)), self.world.happens(0.7))
        self.world.after(chance.expovariate(1 / 3.0), self._work)

    def _trouble(self, seconds: float, act: Callable[[], None]) -> None:
        if seconds and not self.peace:
            act()
            self.world.after(self.world.chance.expovariate(1 / seconds), lambda: self._trouble(seconds, act))

    def _crash_agent(self) -> None:
        if self.hands.up:
            self.hands.crash()
            self.world.after(self.world.chance.random() * 8, self.hands.start)

    def _reboot(self) -> None:
        name = self.world.chance.choice(sorted(self.rack.switches))
        self.world.say(name, "starts anew")
        self.rack.switches[name].start_anew()

    # -- what must hold ---------------------------------------------------------------------------------------------
    def check(self) -> None:
        """I3: all ports of a machine are in VLANs of the domain that its record says, or in none."""
        for machine, value in self.records.machines.items():
            domain = msgspec.json.decode(value, type=Allocation).domain
            stray = self.rack.vlans(machine) - VLANS.get(domain, frozenset())
            if stray:
                told = domain or "no domain"
                raise Violation(f"I3 {machine} is in VLAN {min(stray)}, its record says {told}")

    def _check_rest(self) -> None:
        """I4, and that what the records say is so."""
        open_jobs = sorted(job for job, ended in self.records.jobs.items() if ended is None)
        if open_jobs:
            raise Violation(f"I4 {open_jobs[0]} never ended")
        for machine, now in self.controller.machines.items():
            if now.transfer is not None:
                raise Violation(f"I4 {machine} is still {now.transfer.phase.value}")
            wanted = Port(True, VLANS[now.domain]) if now.domain else Port()
            if any(port != wanted for port in self.rack.ports(machine)):
                raise Violation(f"I1 {machine} is recorded in {now.domain or 'no domain'}; it is not")

    # -- a run ------------------------------------------------------------------------------------------------------
    def until(self, end: float) -> None:
        while self.world.step(end):
            if self.kill == ("agent", self.rack.calls):
                self.kill = None
                self._crash_agent()
            self.check()

    def go(self, seconds: float) -> None:
        self.controller.start()
        self._work()
        self._trouble(self.climate.crash_seconds, self._crash_agent)
        self._trouble(self.climate.reboot_seconds, self._reboot)
        self.until(seconds)

    def rest(self) -> None:
        """All faults are over; everything must come to its end."""
        self.peace, self.network.weather, self.rack.moods = True, CALM, Moods()
        self.world.say("peace", "")
        self.until(self.world.seconds + 20.0)
        self._revive()
        self.until(self.world.seconds + PEACE_SECONDS)
        self._check_rest()


def run(seed: int, seconds: float = SECONDS) -> Result:
    """One whole run. Never raises for a violation: the result has it, with the last lines of the log."""
    here = Run(seed, CLIMATES[seed % len(CLIMATES)])
    return told(here, seed, lambda: here.go(seconds))


def told(here: Run, seed: int, go: Callable[[], Any]) -> Result:
    """How a run went, once it has come to rest."""
    result = Result(seed)
    try:
        go()
        here.rest()
    except Violation as violation:
        result.violation = str(violation)
    result.calls, result.commits, result.lines = here.rack.calls, here.commits, here.world.lines
    result.ended = Counter(ended or "open" for ended in here.records.jobs.values())
    assert set(result.ended) <= {*End, "open"}
    return result
