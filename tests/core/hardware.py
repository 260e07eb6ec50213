"""A hardware network for the core's tests: the real mind of a zoni agent, and power paths that are a dict."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec
from msgspec.structs import replace

from tashi.agent import events
from tashi.agent.metal import Metal
from tests.core.world import SECRET, Hypervisor, Principal, World
from zoni.switch.calls import Change
from zoni.switch.change import Changed, Told
from zoni.switch.goals import completed, way_back
from zoni.switch.interface import Capability, Port, State, SwitchError
from zoni.switch.plan import plan
from zoni.switch.steps import Prove, Save, apply, say

ALL = frozenset(Capability)


class Network(Hypervisor):
    """``power``: what a path says, by what it leads to (10.0.0.1, 3 for an outlet). ``failing``: verb and path ->
    (outcome, code); ``stuck``: paths on which an order is acknowledged and nothing happens.

    ``switches``: each bridge as it is; a port that somebody names by a number is there. ``macs``: which switch each
    says that it is. ``answers``: what other questions to a switch are answered with.
    ``junk``: calls to switches that are answered with what is no answer. ``stream``: where clients of consoles come.
    """

    stream = "tcp://10.0.0.9:7408"

    def start(self) -> None:
        self.incarnation += 1
        self.queue.clear()
        self.held.clear()
        if self.incarnation == 1:
            self.power: dict[str, str] = {}
            self.faults: dict[str, tuple[str, str]] = {}
            self.did: list[str] = []
            self.answers: dict[str, Any] = {}
            self.junk: set[str] = set()
            self.switches: dict[str, State] = {}
            self.macs: dict[str, str] = {}
        who = events.Identity(self.name, f"uuid-{self.name}", self.boot, self.incarnation)
        self.mind: Any = Metal(list(self.journal), who, lambda spec: f"{spec['driver']} {leads_to(spec)}", self.stream)
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

    def work_one(self) -> None:
        """The first of what was held back goes on, and nothing else."""
        self.happen(self.call(self.held.pop(0)))
        self.world.settle()

    def call(self, call: events.Call) -> events.Called:
        if "switch" in call.args:
            return self.switch(call)
        if call.verb == "cut":
            self.held = [each for each in self.held if each.id != call.args["console"]]
            return events.Called(call.args["console"], "failed", None, call.args["reason"], call.args["code"])
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

    def port(self, bridge: str, name: str) -> tuple[bool, tuple[int, ...]]:
        """Whether it is open, and its VLANs, the native one first."""
        port = self.bridge(bridge).ports.get(name, Port(name, on=False))
        return port.on, (*port.untagged, *port.tagged)

    def bridge(self, name: str) -> State:
        return self.switches.setdefault(name, State({1: "default"}, {}))

    def plug(self, bridge: str, *ports: Port) -> None:
        """Make these ports so."""
        before = self.bridge(bridge)
        self.switches[bridge] = replace(before, ports=before.ports | {port.name: port for port in ports})

    def switch(self, call: events.Call) -> events.Called:
        """A call to a switch; what it is asked for is so at once."""
        path = call.args["switch"]
        name = path.get("bridge") or path.get("switch") or path["address"]
        where = f"{path['driver']} {name}"
        outcome, code = self.faults.get(f"{call.verb} {name}") or self.faults.get(name) or ("ok", "")
        if outcome == "failed":
            return events.Called(call.id, outcome, None, f"{where}: {code}", code)
        self.did.append(f"{call.verb} {name}")
        if call.verb in self.junk:
            return events.Called(call.id, "ok", {"what": "ever"})
        if call.verb not in ("change", "plan"):
            return events.Called(call.id, outcome, self.answers.get(f"{call.verb} {name}"))
        args = {key: value for key, value in call.args.items() if key != "switch"}
        args["path"] = {"driver": "ovs", "bridge": "br0"}
        read: Change = msgspec.convert(args, Change, str_keys=True)
        for port in read.goal.ports:
            if port.isdigit() and port not in self.bridge(name).ports:
                self.plug(name, Port(port, on=False))
        before = self.bridge(name)
        mac = self.macs.get(name, "") if read.base_mac is not None else ""
        if read.base_mac and mac != read.base_mac:
            return events.Called(call.id, "failed", None, f"{where}: is another switch ({mac})", "conflict")
        try:
            planned = plan(before, completed(before, read.goal, read.rules, ALL), read.rules, ALL)
        except SwitchError as error:
            return events.Called(call.id, "failed", None, f"{where}: {error.text}", error.code)
        if call.verb == "plan":
            told = [Told(say(each.step), say(each.undo) if each.undo is not None else "") for each in planned]
            return events.Called(call.id, "ok", msgspec.to_builtins(told))
        after = before
        for each in planned:
            after = apply(after, each.step)
        self.switches[name] = after
        if outcome != "ok":
            return events.Called(call.id, outcome, None, f"{where}: {code}", code)
        moved = any(not isinstance(each.step, Prove | Save) for each in planned)
        ports = {port: after.ports[port] for port in read.goal.ports}
        changed = Changed([say(each.step) for each in planned], ports, moved, way_back(before, after, planned), mac)
        return events.Called(call.id, "ok", msgspec.to_builtins(changed, str_keys=True))


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
