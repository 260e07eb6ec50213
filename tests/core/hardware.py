"""A hardware network for the core's tests: the real mind of a zoni agent, and power paths that are a dict."""

from __future__ import annotations

import hashlib
from typing import Any

from tashi.agent import events
from tashi.agent.metal import Metal
from tests.core.world import SECRET, Hypervisor, Principal, World


class Network(Hypervisor):
    """``power``: what a path says, by what it leads to (10.0.0.1, 3 for an outlet). ``failing``: verb and path ->
    (outcome, code); ``stuck``: paths on which an order is acknowledged and nothing happens.

    ``ports``: what switches have. ``answers``: what a question to a switch is answered with.
    """

    def start(self) -> None:
        self.incarnation += 1
        self.queue.clear()
        self.held.clear()
        if self.incarnation == 1:
            self.power: dict[str, str] = {}
            self.faults: dict[str, tuple[str, str]] = {}
            self.did: list[str] = []
            self.answers: dict[str, Any] = {}
            self.ports: dict[tuple[str, str], tuple[bool, tuple[int, ...]]] = {}  # (bridge, port) -> (open, VLANs)
        who = events.Identity(self.name, f"uuid-{self.name}", self.boot, self.incarnation)
        self.mind: Any = Metal(list(self.journal), who, lambda spec: f"{spec['driver']} {leads_to(spec)}")
        self.happen(events.Connected())

    def work(self) -> None:
        while self.queue:
            item = self.queue.pop(0)
            if not self.up:
                continue
            if not isinstance(item, events.Call):
                self.happen(item)
            elif item.verb in self.holding:
                self.held.append(item)
            else:
                self.happen(self.call(item))

    def let_go(self) -> None:
        """What was held back goes on."""
        self.holding.clear()
        self.queue, self.held = self.held + self.queue, []
        self.world.settle()

    def call(self, call: events.Call) -> events.Called:
        if "switch" in call.args:
            return self.switch(call)
        spec = call.args["path"]
        path = leads_to(spec)
        outcome, code = self.faults.get(f"{call.verb} {path}") or self.faults.get(path) or ("ok", "")
        if outcome != "ok":
            return events.Called(call.id, outcome, None, f"{spec['driver']} {path}: {code}", code)
        if call.verb in ("set_boot", "set_light", "boot", "sensors", "log"):
            self.did.append(f"{call.verb} {path}")
            own = {key: each for key, each in call.args.items() if key not in ("path", "rack", "fresh", "seconds")}
            return events.Called(call.id, "ok", own)
        if call.verb not in ("power", "enroll"):
            self.did.append(f"{call.verb} {path}")
            self.power[path] = "off" if call.verb in ("off", "soft") else "on"
        power = self.power.setdefault(path, "off")
        value: Any = power if call.verb == "power" else {"power": power, "identity": {}}
        return events.Called(call.id, "ok", value)

    def switch(self, call: events.Call) -> events.Called:
        """A call to a switch; what it is asked for is so at once."""
        name = call.args["switch"]["bridge"]
        outcome, code = self.faults.get(f"{call.verb} {name}") or self.faults.get(name) or ("ok", "")
        if outcome == "failed":
            return events.Called(call.id, outcome, None, f"ovs {name}: {code}", code)
        if call.verb != "change":
            self.did.append(f"{call.verb} {name}")
            return events.Called(call.id, outcome, self.answers.get(f"{call.verb} {name}"))
        told = []
        for port, want in call.args.get("goal", {}).get("ports", {}).items():
            wanted = (want["on"], tuple(filter(None, (want["native"], *want["tagged"]))))
            if self.ports.get((name, port)) != wanted:
                told.append(f"move {port}")
            if outcome == "ok":
                self.ports[name, port] = wanted
        self.did.append(f"{call.verb} {name}")
        if outcome != "ok":
            return events.Called(call.id, outcome, None, f"ovs {name}: {code}", code)
        return events.Called(call.id, "ok", {"steps": [*told, "save"], "ports": {}, "changed": bool(told)})


def leads_to(spec: dict[str, Any]) -> str:
    return str(spec.get("outlet") or spec.get("address") or spec.get("domain"))


def wire_up(world: World, name: str = "net1") -> Network:
    """A zoni agent that has enrolled and reported."""
    added = world.ok("zoniagent.add", name=name)
    token = hashlib.blake2b(SECRET, digest_size=16).hexdigest()
    world.ask("zoniagent.enroll", who=Principal("", "enroll"), token=token, agent=name, key=name.ljust(40, "z"))
    ident = next(iter(added.objects))
    network = Network(world, ident, name)
    world.hosts[ident] = network
    world.settle()
    return network
