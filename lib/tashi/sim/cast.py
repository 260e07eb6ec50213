"""All that takes part in a simulated cluster: its network, hosts, controller and people, and how it is set up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

from tashi.core.settings import Settings
from tashi.sim.client import Client
from tashi.sim.controller import AgentLine, Controller
from tashi.sim.domain import GIB
from tashi.sim.history import History
from tashi.sim.hypervisor import Hypervisor, Site
from tashi.sim.invariants import Invariants
from tashi.sim.machine import CLONED_CONNECTIONS, Machine
from tashi.sim.network import Network
from tashi.sim.rest import why_not_at_rest
from tashi.sim.world import Violation, World
from tashi.wire.agents import ControllerMessage

LOOK_SECONDS = 5.0
ENROLLED_SECONDS, READY_SECONDS = 10.0, 20.0  # of a set-up: hosts are there; so is the image


class HostSize(NamedTuple):
    name: str
    cores: int = 4
    memory_bytes: int = 8 * GIB


class Person(NamedTuple):
    name: str
    role: str = "user"


class Cast:
    """Everybody and everything, on one clock. ``after_event`` looks at what each event has made of it."""

    def __init__(
        self, world: World, hosts: Sequence[HostSize], people: Sequence[Person], settings: Settings, pause: float = 3.0
    ) -> None:
        self.world = world
        self.network = Network(world)
        self.site = Site(world, self.network)
        self.history = History()
        self.invariants = Invariants(self.site, self.history)
        self.controller = Controller(world, self.invariants, self._to_agent, settings)
        self.controller.on_hang_up = self._hang_up
        self.after_event: Callable[[], None] = self.invariants.check
        self.machines: dict[str, Machine] = {}  # by key
        self.clones: dict[str, Machine] = {}  # by the same key
        for size in hosts:
            hypervisor = Hypervisor(self.site, size.name, size.cores, size.memory_bytes)
            key = f"{size.name:a<40}"
            self.machines[key] = Machine(world, self.network, self.controller, hypervisor, key, self.invariants)
        self.roles = {person.name: person.role for person in people}
        self.people = {person.name: self._client(person.name, pause) for person in people}
        self.root, self.enroll = self._client("root", pause), self._client("enroll", pause)

    def _client(self, name: str, pause: float) -> Client:
        names = [machine.name for machine in self.machines.values()]
        return Client(self.world, self.network, self.controller, self.history, name, names, pause)

    def machine(self, name: str) -> Machine:
        """The host of that name."""
        return next(machine for machine in self.machines.values() if machine.name == name)

    def clone(self, name: str) -> None:
        """A second machine with the disk of this host, beside it."""
        machine = self.machine(name)
        like = machine.hypervisor
        hypervisor = Hypervisor(self.site, f"{name}-clone", like.cores, like.memory_bytes)
        self.clones[machine.key] = machine.clone(hypervisor)
        self.clones[machine.key].start_agent()

    def set_up(self) -> None:
        """A cluster as an administrator makes it: people, hosts enrolled, one image."""
        self.controller.start()
        for name, role in self.roles.items():
            key = f"{name:b<40}"
            self.controller.keys[name] = key
            self._ask("user.add", {"name": name, "role": role, "key": key})
        for key, machine in self.machines.items():
            self._ask("host.add", {"name": machine.name}, partial(self._enrol, key, machine))
        self.until(ENROLLED_SECONDS)
        self._ask("image.add", {"name": "tiny", "path": "images/tiny.raw", "format": "raw"})
        self.until(READY_SECONDS)

    def until(self, seconds: float) -> None:
        """Let everything happen that happens by then. Raises Violation."""
        while self.world.step(seconds):
            self.after_event()

    def come_to_rest(self, seconds: float) -> None:
        """Let time pass until nothing is under way any more; raises Violation when that does not come."""
        end = self.world.seconds + seconds
        why: str | None = "not looked yet"
        while why and self.world.seconds < end:
            self.until(self.world.seconds + LOOK_SECONDS)
            why = why_not_at_rest(self.site, self.invariants, self.controller)
        if why:
            raise Violation(f"I4 no rest after {seconds:.0f} s of peace: {why}")

    def _to_agent(self, line: AgentLine, message: ControllerMessage) -> None:
        machine = (self.clones if line.conn > CLONED_CONNECTIONS else self.machines)[line.key]
        kind = type(message).__name__.lower()
        self.network.send("controller", machine.name, lambda: machine.hear(line.conn, message), kind)

    def _hang_up(self) -> None:
        """The controller's process has ended: those whose line works notice it, the others by silence."""
        for machine in self.machines.values():
            if self.network.reaches("controller", machine.name) and self.world.happens(0.8):
                self.world.after(self.world.chance.random(), machine.reconnect)

    def _enrol(self, key: str, machine: Machine, reply: dict[str, Any]) -> None:
        body = {"token": reply["ok"]["extra"]["token"], "host": machine.name, "key": key}
        self.enroll.ask("enroll", body, lambda _: machine.start_agent())

    def _ask(self, verb: str, body: dict[str, Any], then: Callable[[dict[str, Any]], None] | None = None) -> None:
        def told(reply: dict[str, Any]) -> None:
            if "error" in reply:
                raise Violation(f"set-up: {verb} {body}: {reply['error']}")
            if then is not None:
                then(reply)

        self.root.ask(verb, body, told)


def heal(cast: Cast) -> None:
    """Whatever was broken works from now on."""
    cast.network.heal_all()
    cast.controller.disk_fails = False
    cast.controller.crash_at = ""
    cast.controller.thaw()
    cast.controller.start()
    for machine in cast.machines.values():
        machine.crash_at = ""
        machine.set_disk_full(False)
        machine.hypervisor.stalls = machine.hypervisor.refuses = 0.0
        machine.restore_power()
        machine.set_hypervisor(True)
        machine.start_agent()
