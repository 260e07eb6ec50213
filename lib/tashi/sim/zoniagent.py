"""The zoni agent in the simulation: the real mind of a hardware network, on simulated devices."""

from __future__ import annotations

from typing import Any

from tashi.agent import events
from tashi.agent.metal import Metal
from tashi.sim import words
from tashi.sim.devices import DeviceCall, Devices
from tashi.sim.metal_invariants import MetalInvariants
from tashi.sim.network import Network
from tashi.sim.program import Listener, Program
from tashi.sim.world import World

NAME = "zoni"


class ZoniAgent(Program):
    """The one agent of all machines. ``id`` is that of its record."""

    def __init__(
        self, world: World, network: Network, listener: Listener, devices: Devices, invariants: MetalInvariants
    ) -> None:
        super().__init__(world, network, listener, NAME, f"{NAME:z<40}")
        self.devices, self.invariants = devices, invariants
        self._calls: dict[int, DeviceCall] = {}

    def new_mind(self) -> Metal:
        identity = events.Identity(self.name, f"uuid-{self.name}", f"{self.name}-boot", self.starts)
        return Metal(list(self.journal), identity, lambda spec: f"bmc {spec.get('machine')}")

    def listen(self, message: Any) -> None:
        stale = self.invariants.stale(message)
        steps = self.step(events.Heard(message))
        if steps is not None:
            self.invariants.obeyed(message, stale, steps)

    def start_call(self, call: events.Call) -> None:
        current = self.mind
        asked = words.device_call(call.verb, call.args)
        if asked:
            self.world.say(self.name, asked)

        def done(outcome: str, value: Any, text: str, code: str) -> None:
            if asked:
                self.world.say(self.name, f"{asked}: {outcome} {text}".rstrip())
            if self.mind is current:
                self._calls.pop(call.id, None)
                if asked and self.ends_here("telling"):
                    return
                self.step(events.Called(call.id, outcome, value, text, code))

        self._calls[call.id] = self.devices.call(call.verb, call.args, call.seconds, done)

    def abandon_calls(self) -> None:
        for call in list(self._calls.values()):
            call.abandon()
        self._calls.clear()
