"""People at work on physical machines: they reserve, put into domains, give back, switch on and off, and cancel."""

from __future__ import annotations

from typing import Any

from tashi.sim.client import Client, Desk
from tashi.sim.history import History
from tashi.sim.network import Network
from tashi.sim.world import World

# verb: how often
WORK: dict[str, float] = {
    "machine.reserve": 3,
    "machine.allocate": 8,
    "machine.release": 3,
    "machine.power": 3,
    "reservation.extend": 0.5,
    "job.cancel": 1,
}
HELD_SECONDS = (20.0, 120.0)  # a reservation
ACTIONS = ("on", "off", "soft", "cycle", "reset", "look")


class MetalClient(Client):
    """Works on ``machines`` with ``domains``; else as any other person."""

    def __init__(
        self,
        world: World,
        network: Network,
        desk: Desk,
        history: History,
        name: str,
        pause: float,
        machines: tuple[str, ...],
        domains: tuple[str, ...],
    ) -> None:
        super().__init__(world, network, desk, history, name, [], pause)
        self.machines, self.domains = machines, domains
        self._held: set[str] = set()  # by what was asked for; some reservations end by themselves

    def choose(self) -> tuple[str, dict[str, Any]]:
        """Something to ask, of a machine that is likely to be reserved."""
        chance = self.world.chance
        verb = chance.choices(list(WORK), weights=list(WORK.values()))[0]
        name = chance.choice(self.machines)
        body: dict[str, Any] = {"name": name}
        if verb == "machine.reserve" or name not in self._held:
            self._held.add(name)
            return "machine.reserve", {"machines": [name], "until_wall": self._until()}
        if verb == "reservation.extend":
            body["until_wall"] = self._until()
        elif verb == "machine.allocate":
            body |= {"domain": chance.choice(self.domains), "power": chance.choice(("on", "on", "off"))}
        elif verb == "machine.release":
            self._held.discard(name)
        elif verb == "machine.power":
            body["action"] = chance.choice(ACTIONS)
            if body["action"] == "soft":
                body["grace_seconds"] = 5.0
        elif verb == "job.cancel" and self.jobs:
            body["name"] = self.jobs[-1]
        else:
            verb = "machine.release"
        return verb, body

    def _until(self) -> float:
        return self.world.wall + self.world.chance.uniform(*HELD_SECONDS)
