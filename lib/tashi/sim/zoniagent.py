"""The zoni agent in the simulation: the real mind of a hardware network, on simulated devices."""

from __future__ import annotations

from typing import Any

from tashi.agent import events
from tashi.agent.metal import Metal
from tashi.sim import words
from tashi.sim.devices import DeviceCall, Devices
from tashi.sim.metal_invariants import MetalInvariants
from tashi.sim.network import Network
from tashi.sim.program import Done, Listener, Program
from tashi.sim.world import World

NAME = "zoni"


class ZoniAgent(Program):
    """The one agent of all machines."""

    def __init__(
        self, world: World, network: Network, listener: Listener, devices: Devices, invariants: MetalInvariants
    ) -> None:
        super().__init__(world, network, listener, NAME, f"{NAME:z<40}")
        self.devices, self.invariants = devices, invariants

    def new_mind(self) -> Metal:
        identity = events.Identity(self.name, f"uuid-{self.name}", f"{self.name}-boot", self.starts)
        return Metal(list(self.journal), identity, lambda spec: f"bmc {spec.get('machine')}")

    def listen(self, message: Any) -> None:
        stale = self.invariants.stale(message)
        steps = self.step(events.Heard(message))
        if steps is not None:
            self.invariants.obeyed(message, stale, steps)

    def words_of(self, call: events.Call) -> str:
        return words.device_call(call.verb, call.args)

    def begin(self, call: events.Call, done: Done) -> DeviceCall:
        return self.devices.call(call.verb, call.args, call.seconds, done)
