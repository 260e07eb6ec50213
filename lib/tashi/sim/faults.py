"""What goes wrong in a run, how often, and for how long. Every fault heals; at the end all do at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tashi.sim.cast import Cast, heal
from tashi.sim.devices import GOOD, Moods
from tashi.sim.hypervisor import Hypervisor
from tashi.sim.machine import Machine
from tashi.sim.network import CALM, ROUGH, Weather
from tashi.sim.program import Program

# seconds: how long a fault lasts at most
LONGEST = 25.0
WORD_SECONDS = (1.0, 15.0)  # from a power cut to an administrator's word that the host is off


@dataclass(frozen=True)
class Climate:
    """One kind of run: the network's weather, and the seconds between two faults of each kind (0: never)."""

    weather: Weather = CALM
    controller_crash: float = 0.0
    controller_freeze: float = 0.0
    store_fails: float = 0.0
    agent_crash: float = 0.0
    power_cut: float = 0.0
    confirmed: float = 0.0  # probability that an administrator says of a host without power that it is off
    line_cut: float = 0.0  # between a host and the controller
    peer_cut: float = 0.0  # between two hosts
    reconnect: float = 0.0
    hypervisor_down: float = 0.0
    stall: float = 0.0  # calls hang, or fail at once
    guest_ends: float = 20.0
    clock_jump: float = 0.0
    switch_over: float = 0.0  # probability that something breaks in the worst moment of a migration
    devices: Moods = GOOD  # of BMCs and switches
    switch_restart: float = 0.0
    device_silent: float = 0.0


CLIMATES: tuple[Climate, ...] = (
    Climate(),
    Climate(ROUGH, reconnect=20.0),
    Climate(controller_crash=8.0, store_fails=30.0, clock_jump=30.0),
    Climate(ROUGH, controller_crash=15.0, agent_crash=15.0, line_cut=20.0, devices=Moods(loses=0.01, dies=0.01)),
    Climate(agent_crash=6.0, hypervisor_down=20.0, stall=15.0, switch_restart=20.0),
    Climate(
        power_cut=25.0, confirmed=0.6, agent_crash=30.0, line_cut=30.0, device_silent=20.0, devices=Moods(refuses=0.03)
    ),
    Climate(peer_cut=20.0, line_cut=25.0, agent_crash=25.0, confirmed=0.6, switch_over=0.5),
    Climate(controller_freeze=20.0, controller_crash=30.0, power_cut=60.0, confirmed=0.6, peer_cut=30.0),
    Climate(
        ROUGH,
        controller_crash=30.0,
        controller_freeze=60.0,
        store_fails=60.0,
        agent_crash=25.0,
        power_cut=50.0,
        line_cut=25.0,
        peer_cut=25.0,
        reconnect=30.0,
        hypervisor_down=60.0,
        stall=60.0,
        clock_jump=60.0,
        switch_over=0.2,
        devices=Moods(0.01, 0.02, 0.02, 0.01, 0.01, 0.01),
        switch_restart=30.0,
        device_silent=40.0,
    ),
)


class Faults:
    """Lets things go wrong until `stop`."""

    def __init__(self, cast: Cast, climate: Climate) -> None:
        self.cast, self.world, self.network, self.controller = cast, cast.world, cast.network, cast.controller
        self.machines = list(cast.machines.values())
        self.climate = climate
        self._stopped = False
        self._awaited: set[str] = set()  # hosts that stay off until an administrator was answered about them

    def begin(self) -> None:
        self.network.weather = self.climate.weather
        self.cast.devices.moods = self.climate.devices
        self.machines[0].hypervisor.site.at_switch_over = self._at_switch_over
        plan: list[tuple[float, Callable[[], None]]] = [
            (self.climate.controller_crash, self._controller_crash),
            (self.climate.controller_freeze, self._controller_freeze),
            (self.climate.store_fails, self._store_fails),
            (self.climate.agent_crash, self._agent_crash),
            (self.climate.power_cut, self._power_cut),
            (self.climate.line_cut, self._line_cut),
            (self.climate.peer_cut, self._peer_cut),
            (self.climate.reconnect, lambda: self._program().reconnect()),
            (self.climate.hypervisor_down, self._hypervisor_down),
            (self.climate.stall, self._stall),
            (self.climate.guest_ends, self._guest_ends),
            (self.climate.clock_jump, self._clock_jump),
            (self.climate.switch_restart, self._switch_restart),
            (self.climate.device_silent, self._device_silent),
        ]
        for pause, fault in plan:
            if pause:
                self._again(pause, fault)

    def stop(self) -> None:
        """No more faults, and all that are heal now."""
        self._stopped = True
        self.world.say("faults", "all heal")
        self.network.weather = CALM
        heal(self.cast)

    def _again(self, pause: float, fault: Callable[[], None]) -> None:
        def act() -> None:
            if not self._stopped:
                fault()
                self._again(pause, fault)

        self.world.after(self.world.chance.expovariate(1 / pause), act)

    def _machine(self) -> Machine:
        return self.world.chance.choice(self.machines)

    def _program(self) -> Program:
        return self.world.chance.choice(self.cast.programs)

    def _for_a_while(self, heal: Callable[[], None], longest: float = LONGEST) -> None:
        self.world.after(self.world.chance.uniform(0.05, 1.0) ** 2 * longest, heal)

    def _controller_crash(self) -> None:
        where = self.world.chance.choice(("", "before-write", "after-write", "sending"))
        if where:
            self.controller.crash_at = where
        else:
            self.controller.crash()
        self._for_a_while(self.controller.start)

    def _controller_freeze(self) -> None:
        """Frozen for so long that another takes over, which the frozen one then finds out."""
        self.controller.freeze()
        self._for_a_while(self.controller.start, 5.0)
        self._for_a_while(self.controller.thaw, 40.0)

    def _store_fails(self) -> None:
        self.world.say("faults", "the disk is full")
        self.controller.disk_fails = True

        def heal() -> None:
            self.controller.disk_fails = False

        self._for_a_while(heal, 10.0)

    def _agent_crash(self) -> None:
        program = self._program()
        if self.world.happens(0.5):
            program.crash_at = self.world.chance.choice(("acting", "telling"))
        else:
            program.crash_agent()
        self._for_a_while(program.start_agent)

    def _power_cut(self) -> None:
        self._lose_power(self._machine())

    def _lose_power(self, machine: Machine) -> None:
        machine.cut_power()
        if self.world.happens(self.climate.confirmed) and machine.name not in self._awaited:
            self._awaited.add(machine.name)
            self.world.after(self.world.chance.uniform(*WORD_SECONDS), lambda: self._confirm_off(machine))
        else:
            self._for_a_while(lambda: self._restore(machine))

    def _restore(self, machine: Machine) -> None:
        if machine.name not in self._awaited:
            machine.restore_power()

    def _confirm_off(self, machine: Machine) -> None:
        """The word is true as long as it is on its way: no power before it is answered, or given up. In no run are
        messages late for long that has it: there an honest administrator would have to be patient, too."""

        def answered(reply: dict[str, Any]) -> None:
            self.world.say("root", f"is told of {machine.name}: {reply.get('ok') or reply.get('error')}")
            self._awaited.discard(machine.name)
            self._for_a_while(lambda: self._restore(machine))

        if not self._stopped:
            self.world.say("root", f"says that {machine.name} is off")
            self.cast.root.ask("host.confirm-off", {"name": machine.name}, answered)

    def _line_cut(self) -> None:
        self._cut(self._program().name, "controller")

    def _peer_cut(self) -> None:
        one, other = self.world.chance.sample(self.machines, 2)
        self._cut(one.name, other.name)

    def _at_switch_over(self, source: Hypervisor, target: Hypervisor) -> None:
        """Neither side runs the guest now; each of these asks who is to."""
        if self._stopped or not self.world.happens(self.climate.switch_over):
            return
        machines = {machine.name: machine for machine in self.machines}
        one, other = machines[source.name], machines[target.name]
        match self.world.chance.randrange(6):
            case 0:
                one.crash_agent()
                self._for_a_while(one.start_agent)
            case 1:
                self._lose_power(self.world.chance.choice((one, other)))
            case 2:
                self._cut(other.name, "controller")
                self._cut(one.name, other.name)
            case _:
                self._cut(one.name, other.name)

    def _cut(self, one: str, other: str) -> None:
        if self.world.happens(0.5):
            one, other = other, one
        both = self.world.happens(0.7)
        self.world.say("faults", f"no way from {one} to {other}{', nor back' if both else ''}")
        self.network.cut(one, other, both)

        def heal() -> None:
            self.world.say("faults", f"{one} and {other} reach each other again")
            self.network.heal(one, other)

        self._for_a_while(heal)

    def _hypervisor_down(self) -> None:
        machine = self._machine()
        machine.set_hypervisor(False)
        self._for_a_while(lambda: machine.set_hypervisor(True))

    def _stall(self) -> None:
        machine = self._machine()
        machine.hypervisor.stalls, machine.hypervisor.refuses = self.world.chance.choice(((0.2, 0.0), (0.0, 0.3)))

        def heal() -> None:
            machine.hypervisor.stalls = machine.hypervisor.refuses = 0.0

        self._for_a_while(heal)

    def _guest_ends(self) -> None:
        machine = self._machine()
        running = machine.hypervisor.running()
        if running:
            vm = self.world.chance.choice(running).vm
            self.world.say(machine.name, f"{vm} powers itself off")
            machine.hypervisor.guest_ends(vm)

    def _clock_jump(self) -> None:
        self.world.wall_jump = self.world.chance.choice((-3600.0, 0.0, 1.0, 3600.0, 86_400.0))
        self.world.say("faults", f"the wall clock is {self.world.wall_jump:+.0f} s off")

    def _switch_restart(self) -> None:
        self.cast.devices.restart(self.world.chance.choice(self.cast.devices.names("switch")))

    def _device_silent(self) -> None:
        """A BMC or a switch answers nothing for a while."""
        devices = self.cast.devices
        name = self.world.chance.choice(devices.names("switch") + devices.names("bmc"))
        self.world.say("faults", f"{name} does not answer")
        devices.silent.add(name)
        self._for_a_while(lambda: devices.silent.discard(name))
