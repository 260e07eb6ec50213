"""All that takes part in a simulated cluster: its network, hosts, controller and people, and how it is set up."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

from tashi.core.settings import Settings
from tashi.sim.client import Client
from tashi.sim.controller import AgentLine, Controller
from tashi.sim.devices import PASSWORD, USER, WORLD, Devices, Plug, uuid_of
from tashi.sim.domain import GIB
from tashi.sim.history import History
from tashi.sim.hypervisor import Hypervisor, Site
from tashi.sim.invariants import Invariants
from tashi.sim.machine import CLONED_CONNECTIONS, Machine
from tashi.sim.metal_client import MetalClient
from tashi.sim.metal_invariants import MetalInvariants
from tashi.sim.network import Network
from tashi.sim.program import Program
from tashi.sim.rest import why_not_at_rest
from tashi.sim.world import Violation, World
from tashi.sim.zoniagent import ZoniAgent
from tashi.wire.agents import ControllerMessage
from tashi.wire.zoni import MetalOrder

LOOK_SECONDS = 5.0
NO_DOMAINS: Mapping[str, tuple[int, ...]] = {}
ENROLLED_SECONDS, READY_SECONDS = 10.0, 20.0  # of a set-up: hosts are there; so is the image


class HostSize(NamedTuple):
    name: str
    cores: int = 4
    memory_bytes: int = 8 * GIB


class Person(NamedTuple):
    name: str
    role: str = "user"
    at_machines: bool = False  # works on physical machines, not on virtual ones


class Cast:
    """Everybody and everything, on one clock. ``after_event`` looks at what each event has made of it."""

    def __init__(
        self,
        world: World,
        hosts: Sequence[HostSize],
        people: Sequence[Person],
        settings: Settings,
        pause: float = 3.0,
        plugs: Sequence[Plug] = (),
        domains: Mapping[str, tuple[int, ...]] = NO_DOMAINS,
    ) -> None:
        self.world = world
        self.network = Network(world)
        self.site = Site(world, self.network)
        self.devices, self.domains = Devices(world, plugs), domains
        self.history = History()
        self.invariants = Invariants(self.site, self.history, MetalInvariants(self.devices))
        self.controller = Controller(world, self.invariants, self._to_agent, settings)
        self.controller.on_hang_up = self._hang_up
        self.after_event: Callable[[], None] = self.invariants.check
        self.machines: dict[str, Machine] = {}  # by key
        self.clones: dict[str, Machine] = {}  # by the same key
        for size in hosts:
            hypervisor = Hypervisor(self.site, size.name, size.cores, size.memory_bytes)
            key = f"{size.name:a<40}"
            self.machines[key] = Machine(world, self.network, self.controller, hypervisor, key, self.invariants)
        self.zoni = ZoniAgent(world, self.network, self.controller, self.devices, self.invariants.metal)
        self.roles = {person.name: person.role for person in people}
        self.people = {person.name: self._client(person.name, pause, person.at_machines) for person in people}
        self.root, self.enroll = self._client("root", pause), self._client("enroll", pause)

    def _client(self, name: str, pause: float, at_machines: bool = False) -> Client:
        names = [machine.name for machine in self.machines.values()]
        where = self.world, self.network, self.controller, self.history
        if not at_machines:
            return Client(*where, name, names, pause)
        return MetalClient(*where, name, pause, tuple(self.devices.plugs), tuple(self.domains))

    def machine(self, name: str) -> Machine:
        """The host of that name."""
        return next(machine for machine in self.machines.values() if machine.name == name)

    def program(self, name: str) -> Program:
        """The agent on the host of that name, or the zoni agent."""
        return self.zoni if name == self.zoni.name else self.machine(name)

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
        if self.devices.plugs:
            self._set_up_machines()
        self.until(ENROLLED_SECONDS)
        self._ask("image.add", {"name": "tiny", "path": "images/tiny.raw", "format": "raw"})
        self.until(READY_SECONDS)

    def _set_up_machines(self) -> None:
        """Switches, machines and domains in the records, and an agent for them."""
        for switch in self.devices.names("switch"):
            self._ask("switch.add", {"name": switch, "driver": "fake", "address": f"{WORLD}/{switch}"})
        self.until(ENROLLED_SECONDS / 2)
        for plug in self.devices.plugs.values():
            login = {"user": USER, "password": PASSWORD, "uuid": uuid_of(plug.name)}
            ways = {
                "power_paths": [f"fake:{plug.name},world={WORLD}"],
                "ports": [":".join(each) for each in plug.ports],
            }
            self._ask("machine.add", {"name": plug.name, "parts": login | ways})
        for domain, vlans in self.domains.items():
            self._ask("domain.create", {"name": domain, "vlans": list(vlans)})
        self._ask("zoniagent.add", {"name": self.zoni.name}, self._enrol_zoni)

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

    def _to_agent(self, line: AgentLine, message: ControllerMessage | MetalOrder) -> None:
        program: Program = self.zoni if line.zoni else self._host_of(line)
        kind = type(message).__name__.lower().removeprefix("metal")
        self.network.send("controller", program.name, lambda: program.hear(line.conn, message), kind)

    def _host_of(self, line: AgentLine) -> Machine:
        return (self.clones if line.conn > CLONED_CONNECTIONS else self.machines)[line.key]

    def _hang_up(self) -> None:
        """The controller's process has ended: those whose line works notice it, the others by silence."""
        for program in self.programs:
            if self.network.reaches("controller", program.name) and self.world.happens(0.8):
                self.world.after(self.world.chance.random(), program.reconnect)

    @property
    def programs(self) -> list[Program]:
        """All agents; the zoni agent where there are machines."""
        return [*self.machines.values(), *([self.zoni] if self.devices.plugs else [])]

    def _enrol_zoni(self, reply: dict[str, Any]) -> None:
        body = {"token": reply["ok"]["extra"]["token"], "agent": self.zoni.name, "key": self.zoni.key}
        self.enroll.ask("zoniagent.enroll", body, lambda _: self.zoni.start_agent())

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
    cast.devices.mend()
    cast.zoni.crash_at = ""
    if cast.devices.plugs:
        cast.zoni.set_disk_full(False)
        cast.zoni.start_agent()
