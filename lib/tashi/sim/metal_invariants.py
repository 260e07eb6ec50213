"""What must hold of physical machines after every event, whatever has crashed, was lost or came late.

    I1  no zoni agent is told what is not durable
    I3  no machine is in two domains: what its ports pass is of the domain that its stored record names, or nothing
    I7  a stale controller changes nothing, and no record goes back to an older order

The truth is taken from the simulated switches and from the contents of the store.
"""

from __future__ import annotations

import json
from typing import Any

from tashi.agent.events import Call, Steps
from tashi.core.turn import done_key
from tashi.sim.devices import Devices
from tashi.sim.world import Violation
from tashi.wire.zoni import ConsoleShot, MetalRows, MetalShot, PortRows, SwitchShot

Tables = dict[str, dict[str, bytes]]
SHOTS = (MetalShot, SwitchShot, ConsoleShot)  # each is for a job


class MetalInvariants:
    """Holds the truth against what happens. Every method raises Violation."""

    def __init__(self, devices: Devices) -> None:
        self.devices = devices
        self.tables: Tables = {}  # the contents of the controllers' store
        self._epoch = 0  # the highest that the agent has heard
        self._heard: dict[str, int] = {}  # the highest generation of each machine's power and ports
        self._shots: set[str] = set()
        self._allowed: dict[str, tuple[str, frozenset[int]]] = {}  # machine -> its domain and the VLANs of that
        self._generations: dict[str, tuple[int, int]] = {}
        self._doubt = False
        devices.on_change = self._look

    # -- after each event ----------------------------------------------------------------------------------------------
    def _look(self) -> None:
        """A device was spoken to. Between the exchanges of one call there is no event, so it is judged here, too."""
        self._doubt = True
        self.check()

    def check(self) -> None:
        """I3, if anything was changed since the last time."""
        if not self._doubt:
            return
        self._doubt = False
        for name in self.devices.plugs:
            domain, allowed = self._allowed.get(name, ("", frozenset()))
            stray = self.devices.vlans(name) - allowed
            if stray:
                told = f"in {domain}" if domain else "in no domain"
                raise Violation(f"I3 {name} is in VLAN {min(stray)}, its record says {told}")

    # -- the controller ------------------------------------------------------------------------------------------------
    def committed(self, puts: list[tuple[str, str, bytes | None]]) -> None:
        """A batch has just become durable."""
        for table, _, value in puts:
            if table == "machine" and value is not None:
                self._recorded(json.loads(value))

    def _recorded(self, machine: dict[str, Any]) -> None:
        allocation = machine.get("allocation", {})
        now = (machine.get("generation", 0), allocation.get("generation", 0))
        before = self._generations.get(machine["id"], (0, 0))
        if now[0] < before[0] or now[1] < before[1]:
            raise Violation(f"I7 {machine['name']} went from generations {before} back to {now}")
        self._generations[machine["id"]] = now
        domain = allocation.get("domain", "")
        stored = json.loads(self.tables["domain"].get(domain, b"{}"))
        self._allowed[machine["name"]] = (domain, frozenset(stored.get("vlans", ())))
        self._doubt = True

    def order_leaves(self, message: Any, epoch: int) -> None:
        """I1: nobody is told what is not durable; what the deposed say, agents don't heed."""
        if getattr(message, "epoch", epoch) < epoch:
            return
        rows = message.rows if isinstance(message, MetalRows | PortRows) else ()
        for row in rows:
            stored = self._generations.get(row.machine)
            known = stored[isinstance(message, PortRows)] if stored is not None else 0
            if row.generation > known and not getattr(row, "gone", False):
                raise Violation(f"I1 zoni is told generation {row.generation} of {row.machine}, stored is {known}")
        if isinstance(message, SHOTS) and not knows(self.tables, message.job):
            raise Violation(f"I1 zoni is told to do {message.action} for {message.job}, which is not stored")

    # -- the agent -----------------------------------------------------------------------------------------------------
    def stale(self, message: Any) -> bool:
        """I7: whether this message must change nothing; call before it is heard."""
        told = getattr(message, "epoch", self._epoch)
        if told < self._epoch:
            return True
        self._epoch = told
        if not isinstance(message, MetalRows | PortRows) or not message.rows:
            return False
        keys = {f"{row.machine} {type(message).__name__}": row.generation for row in message.rows}
        old = all(generation < self._heard.get(key, 0) for key, generation in keys.items())
        for key, generation in keys.items():
            self._heard[key] = max(generation, self._heard.get(key, 0))
        return old

    def obeyed(self, message: Any, stale: bool, steps: Steps) -> None:
        """I7: what the agent made of a message, given what `stale` said; and that a one-shot is one."""
        changing: list[Call] = [call for call in steps.calls if call.verb in self.devices.changing]
        if stale and changing:
            raise Violation(f"I7 zoni does {changing[0].verb} because of a stale message: {message}")
        if isinstance(message, SHOTS) and changing:
            if message.job in self._shots:
                raise Violation(f"I7 zoni does {message.action} for {message.job} a second time")
            self._shots.add(message.job)


def knows(tables: Tables, job: str) -> bool:
    """Whether an operation is stored, open or ended."""
    return job in tables["job"] or done_key(job) in tables["done"]
