"""Whatever is asked, in whatever order, and whatever dies: no port is in two domains, or in one that is not its own.

I3. The core and the mind of the zoni agent are the real ones; switches are states that real plans change.
"""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests.core.hardware import Network, wire_up
from tests.core.world import World
from zoni.switch.interface import Port

SWITCHES = {"s1": ("up",), "s2": ("up",), "core": ("a", "b")}
PORTS = ("1", "2", "9")  # of s1 and s2; nobody is on 9
MACHINES = {"m1": ["s1:1"], "m2": ["s1:2", "s2:2"], "m3": ["s2:1"]}
DOMAINS = {"red": [100, 101], "blue": [200]}
FREE = (300, 301)
DAY = 86_400.0


class Yard:
    """People who ask for anything at all, and devices that fail."""

    def __init__(self, seed: int) -> None:
        self.chance = Random(seed)
        self.world = World(0)
        self.world.run(3)
        for name, uplinks in SWITCHES.items():
            self.world.ok("switch.add", name=name, driver="fake", address=f"world/{name}", uplinks=list(uplinks))
        for number, (name, ports) in enumerate(MACHINES.items()):
            parts = {"power_paths": [f"ipmi:10.0.0.{number}"], "ports": ports}
            self.world.ok("machine.add", name=name, parts=parts)
        self.network: Network = wire_up(self.world)
        for name, uplinks in SWITCHES.items():
            every = (*uplinks, *(PORTS if name != "core" else ()))
            self.network.plug(name, *(Port(each, native=1, untagged=(1,)) for each in every))
        for name, vlans in DOMAINS.items():
            self.world.ok("domain.create", name=name, vlans=vlans)
        self.world.ok("machine.reserve", machines=list(MACHINES), until_wall=self.world.now().wall + DAY)

    def step(self) -> None:
        chance = self.chance
        act = chance.choices(
            (self.allocate, self.release, self.change, self.domain, self.trouble, self.peace, self.wait),
            (6, 4, 12, 3, 2, 2, 3),
        )[0]
        act()
        self.world.settle()
        self.check()

    def ask(self, verb: str, **body: Any) -> None:
        self.world.ask(verb, **body)

    def allocate(self) -> None:
        self.ask("machine.allocate", name=self.chance.choice(list(MACHINES)), domain=self.chance.choice(list(DOMAINS)))

    def release(self) -> None:
        machine = self.chance.choice(list(MACHINES))
        self.ask("machine.release", name=machine)
        self.ask("machine.reserve", machines=[machine], until_wall=self.world.now().wall + DAY)

    def change(self) -> None:
        """Often what must not be."""
        chance = self.chance
        vlans = [1, *FREE, *(vlan for each in DOMAINS.values() for vlan in each)]
        goals = []
        for switch in chance.sample(list(SWITCHES), chance.choice((1, 1, 2, 3))):
            want: dict[str, Any] = {}
            if chance.random() < 0.5:
                want["native"] = chance.choice([0, *vlans])
            want[chance.choice(("tagged", "join", "leave"))] = chance.sample(vlans, 1)
            want["on"] = chance.choice((True, True, False))
            ports = {chance.choice((*PORTS, *SWITCHES[switch])): want}
            made = {str(vlan): chance.choice(("", "red", "blue")) for vlan in FREE if chance.random() < 0.4}
            gone = chance.sample(vlans, 1) if chance.random() < 0.2 else []
            goals.append({"switch": switch, "vlans": made, "gone": gone, "ports": ports})
        self.ask("switch.change", changes=goals)

    def domain(self) -> None:
        """It goes, and comes back with other numbers, perhaps with those that people play with."""
        name = self.chance.choice(list(DOMAINS))
        self.ask("domain.remove", name=name)
        vlans = self.chance.sample([*DOMAINS["red"], *DOMAINS["blue"], *FREE], 2)
        self.ask("domain.create", name=name, vlans=vlans)

    def trouble(self) -> None:
        verb, switch = self.chance.choice(("change", "change", "plan")), self.chance.choice(list(SWITCHES))
        outcome = self.chance.choice((("failed", "denied"), ("unknown", "unavailable")))
        match self.chance.randrange(3):
            case 0:
                self.network.faults[f"{verb} {switch}"] = outcome
            case 1:
                self.network.holding.add("change")
            case _:
                self.network.start()

    def peace(self) -> None:
        self.network.faults.clear()
        self.network.let_go()

    def wait(self) -> None:
        self.world.run(self.chance.choice((1, 5, 40)))

    def check(self) -> None:
        state = self.world.cluster.state
        of = {vlan: state.domains[ident].name for vlan, ident in state.domain_of_vlan.items()}
        at = {where: name for name, every in MACHINES.items() for where in every}
        for switch, uplinks in SWITCHES.items():
            for name, port in self.network.bridge(switch).ports.items():
                if name in uplinks or not port.on:
                    continue
                inside = {
                    of[vlan] for vlan in (*port.heard_in, *port.tagged) if vlan in of and self._made(switch, vlan)
                }
                where = f"{switch}:{name}"
                assert len(inside) <= 1, f"{where} is in {inside}"
                machine = next((each for each in state.machines.values() if each.name == at.get(where)), None)
                domain = state.domains.get(machine.allocation.domain) if machine is not None else None
                own = {domain.name} if domain is not None else set()
                assert inside <= own, f"{where} is in {inside}, its record says {own or 'nothing'}"

    def _made(self, switch: str, vlan: int) -> bool:
        """Whether a machine of its domain is in it there; before that a VLAN of that number is somebody's own."""
        state = self.world.cluster.state
        domain = state.domain_of_vlan[vlan]
        there = [each for each in state.machines.values() if each.allocation.domain == domain]
        ports = [where.partition(":") for each in there for where in MACHINES[each.name]]
        open_ = [self.network.bridge(on).ports[port] for on, _, port in ports if on == switch]
        return any(port.on and vlan in (*port.untagged, *port.tagged) for port in open_)


@pytest.mark.parametrize("seed", range(12))
def test_no_port_is_in_a_domain_that_is_not_its_machines(seed: int) -> None:
    yard = Yard(seed)
    for _ in range(80):
        yard.step()
    yard.peace()
    yard.world.run(600)
    yard.check()
    running = [each["id"] for each in yard.world.rows("job") if each["state"] == "running"]
    assert running == [], "everything comes to its end"
    state = yard.world.cluster.state
    assert {each.job for each in (*state.switches.values(), *state.machines.values())} == {""}
