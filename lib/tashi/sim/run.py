"""One run: a cluster, people at work, faults, then peace; and in the end everything must have come to rest.

``run(seed)`` is a function of its arguments alone: a failing seed fails again, at the same event.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tashi.sim.client import Client
from tashi.sim.controller import AgentLine, Controller
from tashi.sim.domain import GIB
from tashi.sim.faults import CLIMATES, Climate, Faults
from tashi.sim.history import History
from tashi.sim.hypervisor import Hypervisor, Site
from tashi.sim.invariants import Invariants
from tashi.sim.machine import Machine
from tashi.sim.network import Network
from tashi.sim.rest import why_not_at_rest
from tashi.sim.world import Violation, World
from tashi.wire.agents import ControllerMessage

SECONDS = 90.0  # of work and faults
PEACE_SECONDS = 600.0  # in which everything must come to rest
LOOK_SECONDS = 5.0
PEOPLE = ("ann", "bob", "eve")
SIZES = ((4, 4), (6, 4), (8, 8), (3, 2))  # cores, GiB


@dataclass
class Result:
    """How a run went. ``violation`` is empty when every invariant held."""

    seed: int
    violation: str = ""
    events: int = 0
    seconds: float = 0.0  # simulated
    verbs: dict[str, int] = field(default_factory=dict)
    ended: dict[str, int] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


class Run:
    """All that takes part."""

    def __init__(self, seed: int, climate: Climate | None = None, hosts: int = 3, keep_lines: int = 400) -> None:
        self.seed = seed
        self.world = World(seed, keep_lines)
        self.network = Network(self.world)
        self.site = Site(self.world, self.network)
        self.history = History()
        self.invariants = Invariants(self.site, self.history)
        self.controller = Controller(self.world, self.invariants, self._to_agent)
        self.machines: dict[str, Machine] = {}
        for number in range(hosts):
            cores, gibs = SIZES[number % len(SIZES)]
            hypervisor = Hypervisor(self.site, f"h{number + 1}", cores, gibs * GIB)
            key = f"{hypervisor.name:a<40}"
            self.machines[key] = Machine(self.world, self.network, self.controller, hypervisor, key, self.invariants)
        self.controller.on_hang_up = self._hang_up
        names = [machine.name for machine in self.machines.values()]
        self.people = [
            Client(self.world, self.network, self.controller, self.history, name, names, pause=3.0) for name in PEOPLE
        ]
        self.root = Client(self.world, self.network, self.controller, self.history, "root", names, pause=3.0)
        self.enroll = Client(self.world, self.network, self.controller, self.history, "enroll", names, pause=3.0)
        climate = climate or CLIMATES[seed % len(CLIMATES)]
        self.faults = Faults(self.world, self.network, self.controller, list(self.machines.values()), climate)

    def _to_agent(self, line: AgentLine, message: ControllerMessage) -> None:
        machine = self.machines[line.key]
        self.network.send("controller", machine.name, lambda: machine.hear(line.conn, message))

    def _hang_up(self) -> None:
        """The controller's process has ended: those whose line works notice it, the others by silence."""
        for machine in self.machines.values():
            if self.network.reaches("controller", machine.name) and self.world.happens(0.8):
                self.world.after(self.world.chance.random(), machine.reconnect)

    # -- phases --------------------------------------------------------------------------------------------------------
    def set_up(self) -> None:
        """A cluster as an administrator makes it: people, hosts enrolled, one image; and a guest of his own."""
        next(iter(self.machines.values())).hypervisor.foreign_guest("printer-server")
        self.controller.start()
        for number, name in enumerate(PEOPLE):
            key = f"{name:b<40}"
            self.controller.keys[name] = key
            role = "operator" if number == 0 else "user"
            self._ask("user.add", {"name": name, "role": role, "key": key})
        for key, machine in self.machines.items():
            self._ask("host.add", {"name": machine.name}, lambda reply, k=key, m=machine: self._enrol(reply, k, m))
        self._until(10.0)
        self._ask("image.add", {"name": "tiny", "path": "images/tiny.raw", "format": "raw"})
        self._until(20.0)

    def _enrol(self, reply: dict[str, Any], key: str, machine: Machine) -> None:
        body = {"token": reply["ok"]["extra"]["token"], "host": machine.name, "key": key}
        self.enroll.ask("enroll", body, lambda _: machine.start_agent())

    def _ask(self, verb: str, body: dict[str, Any], then: Any = None) -> None:
        def told(reply: dict[str, Any]) -> None:
            if "error" in reply:
                raise Violation(f"set-up: {verb} {body}: {reply['error']}")
            if then is not None:
                then(reply)

        self.root.ask(verb, body, told)

    def work(self, seconds: float) -> None:
        for person in self.people:
            person.work()
        self.faults.begin()
        self._until(self.world.seconds + seconds)

    def peace(self, seconds: float) -> None:
        """Everything heals, nobody asks for anything more; raises Violation when rest does not come."""
        for person in self.people:
            person.idle = True
        self.faults.stop()
        end = self.world.seconds + seconds
        why: str | None = "not looked yet"
        while why and self.world.seconds < end:
            self._until(self.world.seconds + LOOK_SECONDS)
            why = why_not_at_rest(self.site, self.invariants, self.controller)
        if why:
            raise Violation(f"I4 no rest after {seconds:.0f} s of peace: {why}")

    def _until(self, seconds: float) -> None:
        world, check = self.world, self.invariants.check
        while world.step(seconds):
            check()


def run(seed: int, seconds: float = SECONDS, climate: Climate | None = None, keep_lines: int = 400) -> Result:
    """One whole run. Never raises for a violation: the result has it, with the last lines of the log."""
    it = Run(seed, climate, keep_lines=keep_lines)
    result = Result(seed)
    try:
        it.set_up()
        it.work(seconds)
        it.peace(PEACE_SECONDS)
    except Violation as violation:
        result.violation = str(violation)
        it.world.say("VIOLATION", str(violation))
    result.events, result.seconds, result.lines = it.world.events, it.world.seconds, it.world.lines
    result.verbs = dict(it.history.verbs)
    for value in it.controller.store.contents.tables["done"].values():
        job = json.loads(value)
        how = f"{job['verb']} {job.get('state', 'running')}"
        result.ended[how] = result.ended.get(how, 0) + 1
    return result
