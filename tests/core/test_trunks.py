"""Domains over several switches: uplinks carry their VLANs, switches are told apart, and what is left is cleared."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from tashi.wire.zoni import MetalTell, PortSeen
from tests.core.hardware import Network, wire_up
from tests.core.world import World
from zoni.switch.interface import Port

DAY = 86_400.0
MAC = "02:00:00:00:00:0{}"


@pytest.fixture
def world() -> World:
    """s1 and s2 hang on core, which has two uplinks; far has one, and is no machine's. m1 is on s1, m2 on s2."""
    made = World(0)
    made.run(3)
    for name, uplinks in (("s1", ["up"]), ("s2", ["up"]), ("core", ["a", "b"]), ("far", ["up"])):
        made.ok("switch.add", name=name, driver="fake", address=f"world/{name}", uplinks=uplinks)
    for number in (1, 2):
        parts = {"power_paths": [f"ipmi:10.0.0.{number}"], "ports": [f"s{number}:1"]}
        made.ok("machine.add", name=f"m{number}", parts=parts)
    made.network = wire_up(made)  # type: ignore[attr-defined]
    for number, (name, uplinks) in enumerate({"s1": ["up"], "s2": ["up"], "core": ["a", "b"], "far": ["up"]}.items()):
        network(made).plug(name, *(Port(each, native=1, untagged=(1,)) for each in uplinks))
        network(made).macs[name] = MAC.format(number)
    made.ok("domain.create", name="red", vlans=[100, 101])
    for number in (1, 2):
        made.ok("machine.reserve", machines=[f"m{number}"], until_wall=made.now().wall + DAY)
    return made


def network(world: World) -> Network:
    found: Network = world.network  # type: ignore[attr-defined]
    return found


def allocate(world: World, name: str = "m1", domain: str = "red") -> tuple[str, str]:
    return ended(world, world.ok("machine.allocate", name=name, domain=domain).job)


def ended(world: World, job: str) -> tuple[str, str]:
    row = world.job(job)
    return row["state"], row["reason"] or ""


def tagged(world: World) -> dict[str, tuple[int, ...]]:
    """VLANs on uplinks."""
    return {
        f"{name}:{port.name}": port.tagged
        for name, switch in network(world).switches.items()
        for port in switch.ports.values()
        if not port.name.isdigit() and port.tagged
    }


def mac(world: World, name: str) -> str:
    return world.rows("switch", names=[name])[0]["base_mac"] or ""


ON_THE_WAY = {"core:a": (100, 101), "core:b": (100, 101), "s1:up": (100, 101)}


def test_uplinks_of_its_switches_and_those_between_carry_its_vlans(world: World) -> None:
    assert allocate(world) == ("done", "")
    assert tagged(world) == ON_THE_WAY
    changes = [each for each in network(world).did if each.startswith("change")]
    assert changes == ["change s1", "change core", "change s1"], "closed; then what is between first"
    assert network(world).bridge("core").vlans == {1: "default", 100: "red", 101: "red"}
    assert allocate(world, "m2") == ("done", "")
    assert tagged(world) == ON_THE_WAY | {"s2:up": (100, 101)}
    world.ok("machine.release", name="m1")
    assert tagged(world) == ON_THE_WAY | {"s2:up": (100, 101)}, "others of the domain may be there"


def test_where_no_uplink_is_known_nothing_is_done_elsewhere(world: World) -> None:
    world.ok("switch.set", name="s1", uplinks=[])
    assert allocate(world) == ("done", "")
    assert tagged(world) == {} and "change core" not in network(world).did


@pytest.mark.parametrize("outcome", ["failed", "unknown"])
def test_a_switch_between_that_can_not_be_changed_undoes_it(world: World, outcome: str) -> None:
    network(world).faults["change core"] = (outcome, "unavailable")
    assert allocate(world) == ("failed", "fake core: unavailable; m1 is as it was before")
    assert network(world).port("s1", "1") == (False, ()) and "s1:up" not in tagged(world)
    assert world.rows("machine", names=["m1"])[0]["state"] == "reserved"


def test_switches_of_another_agent_are_not_on_the_way(world: World) -> None:
    wire_up(world, "net2")
    for name in ("s1", "s2", "far"):
        world.ok("switch.set", name=name, agent="net1")
    world.ok("switch.set", name="core", agent="net2")
    world.ok("machine.set", name="m1", parts={"agent": "net1"})
    assert allocate(world) == ("done", "")
    assert tagged(world) == {"s1:up": (100, 101)}


def test_nobody_else_is_in_the_vlans_of_a_domain(world: World) -> None:
    """Set up by hand, or left over: who is open in them and is no machine of the domain keeps others out."""
    network(world).bridge("s1").vlans[100] = "red"
    network(world).plug("s1", Port("7", native=100, untagged=(100,)))
    told = "fake s1: 7: is in VLAN 100, and no machine of domain red is there"
    assert allocate(world) == ("failed", f"{told}; m1 is as it was before")
    network(world).plug("s1", Port("7", on=False, native=100, untagged=(100,)))
    assert allocate(world) == ("done", "")
    world.ok("machine.set", name="m2", parts={"ports": ["s1:2"]})
    assert allocate(world, "m2") == ("done", ""), "m1 is one of them"


def test_an_uplink_that_is_no_port_is_told(world: World) -> None:
    world.ok("switch.set", name="s1", uplinks=["uplink"])
    assert allocate(world) == ("failed", "fake s1: there is no port uplink; m1 is as it was before")


def test_an_uplink_is_no_machines_port(world: World) -> None:
    refused = world.refused("switch.set", name="s1", uplinks=["up", "1"])
    assert (refused.code, refused.text) == ("conflict", "s1: uplinks: m1 is on port 1")
    refused = world.refused("machine.add", name="m3", parts={"ports": ["s1:up"]})
    assert (refused.code, refused.text) == ("conflict", "m3: ports: s1:up: it is an uplink")
    for port in ("", "a,b", "x" * 65):
        assert "is no port" in world.refused("switch.set", name="s1", uplinks=[port]).text


def test_which_switch_it_is_is_written_down_and_told_when_it_is_first_changed(world: World) -> None:
    assert mac(world, "s1") == ""
    allocate(world)
    assert (mac(world, "s1"), mac(world, "core"), mac(world, "s2")) == (MAC.format(0), MAC.format(2), "")
    told = [entry for entry in world.log if entry.get("verb") == "switch.identity"]
    assert {(each["name"], each["reason"]) for each in told} >= {("s1", f"it is {MAC.format(0)}")}
    world.ok("switch.change", changes=[{"switch": "s2", "vlans": {"300": ""}}])
    assert mac(world, "s2") == MAC.format(1)


@pytest.mark.attack(6)
def test_which_switch_it_is_is_told_by_its_own_agent_alone(world: World) -> None:
    for name in ("s1", "s2", "core", "far"):
        world.ok("switch.set", name=name, agent="net1")
    world.ok("machine.set", name="m1", parts={"agent": "net1"})
    other = wire_up(world, "net2")
    world.ok("machine.set", name="m2", parts={"agent": "net2"})
    lie = PortSeen("m-2", 1, "done", base_macs={"s-1": MAC.format(9)})
    other.deliver(MetalTell(1, 99, "boot-1", ports=lie))  # type: ignore[arg-type]
    assert mac(world, "s1") == ""


def test_another_switch_in_its_place_is_not_touched(world: World) -> None:
    allocate(world)
    network(world).macs["s1"] = MAC.format(9)
    before = network(world).bridge("s1")
    out = world.ok("machine.release", name="m1").job
    told = f"fake s1: is another switch ({MAC.format(9)})"
    assert ended(world, out) == ("failed", f"{told}; m1 is as it was before")
    job = world.ok("switch.change", changes=[{"switch": "s1", "vlans": {"300": ""}}]).job
    assert ended(world, job) == ("failed", told)
    assert network(world).bridge("s1") == before
    world.ok("switch.set", name="s1", base_mac=MAC.format(9))
    assert ended(world, world.ok("machine.release", name="m1").job) == ("done", "")


def test_a_bridge_is_known_by_its_name(world: World) -> None:
    world.ok("switch.set", name="s1", driver="ovs", address="s1")
    allocate(world)
    assert mac(world, "s1") == ""
    assert "known by its name" in world.refused("switch.set", name="s1", base_mac=MAC.format(1)).text
    assert "not a MAC address" in world.refused("switch.set", name="core", base_mac="x").text


def test_passwords_of_a_switch_that_can_not_be_opened_are_told_at_once(world: World) -> None:
    snmp = {"version": "v2c", "community": "x"}
    world.ok("switch.add", name="core2", address="10.0.0.2", uplinks=["a", "b"], snmp=snmp)
    ident, secret = next(iter(world.cluster.state.secrets.items()))
    world.cluster.state.secrets[ident] = replace(secret, sealed=secret.sealed[:-8] + "AAAAAAAA")
    assert "core2: its passwords can't be read" in world.refused("machine.allocate", name="m1", domain="red").text
    world.ok("switch.remove", name="core2")
    assert allocate(world) == ("done", "")


# -- what is left of a domain ------------------------------------------------------------------------------------------
def used(world: World, domain: str = "red") -> None:
    """A machine was in it."""
    assert allocate(world, "m2", domain) == ended(world, world.ok("machine.release", name="m2").job) == ("done", "")


def remove(world: World, name: str = "red") -> str:
    return world.ok("domain.remove", name=name).job


def vlans(world: World) -> dict[str, set[int]]:
    return {name: set(each.vlans) - {1} for name, each in network(world).switches.items() if set(each.vlans) - {1}}


def test_with_the_domain_its_vlans_go(world: World) -> None:
    allocate(world)
    world.ok("machine.release", name="m1")
    assert vlans(world) == {"s1": {100, 101}, "core": {100, 101}}
    job = remove(world)
    row = world.job(job)
    assert (row["state"], row["verb"], row["kind"], row["name"]) == ("done", "domain.remove", "domain", "red")
    assert (tagged(world), vlans(world)) == ({}, {})
    assert world.rows("domain") == []
    asked = [each for each in network(world).did if each.startswith("change")][-4:]
    assert sorted(asked) == ["change core", "change far", "change s1", "change s2"]


def test_where_there_are_no_switches_a_domain_goes_at_once() -> None:
    world = World(0)
    world.ok("domain.create", name="red", vlans=[100])
    accepted = world.ok("domain.remove", name="red")
    assert accepted.done and ended(world, accepted.job) == ("done", "")


def test_a_domain_that_no_switch_was_told_of_goes_at_once(world: World) -> None:
    """Without an agent, too; one that was told is cleared, whoever has told it, and however that ended."""
    network(world).did.clear()
    accepted = world.ok("domain.remove", name="red")
    assert accepted.done and network(world).did == []
    world.ok("domain.create", name="red", vlans=[100, 101])
    world.ok("switch.change", changes=[{"switch": "far", "ports": {"up": {"join": [101]}}}], plan=True)
    assert world.ok("domain.remove", name="red").done, "nothing has come of a plan"
    world.ok("domain.create", name="red", vlans=[100, 101])
    world.ok("switch.change", changes=[{"switch": "far", "vlans": {"101": "red"}, "ports": {"up": {"join": [101]}}}])
    assert tagged(world) == {"far:up": (101,)}
    assert ended(world, remove(world)) == ("done", "") and (tagged(world), vlans(world)) == ({}, {})
    world.ok("domain.create", name="red", vlans=[100, 101])
    network(world).faults["change core"] = ("unknown", "unavailable")
    assert allocate(world)[0] == "failed" and vlans(world) == {"core": {100, 101}}
    network(world).faults.clear()
    assert ended(world, remove(world)) == ("done", "") and vlans(world) == {}


def test_a_dead_switch_is_told_with_the_way_out_and_the_others_are_cleared(world: World) -> None:
    allocate(world)
    world.ok("machine.release", name="m1")
    network(world).faults["s1"] = ("failed", "unavailable")
    network(world).bridge("far").vlans[100] = "legacy"
    state, reason = ended(world, remove(world))
    told = "s1: fake s1: unavailable; red is removed, its VLANs 100-101 may be there still: "
    assert (state, reason) == ("failed", f"{told}zoni-vlan destroy 100-101 --switch s1"), "and on no other"
    assert vlans(world) == {"s1": {100, 101}, "far": {100}} and world.rows("domain") == []


def test_of_many_dead_switches_a_few_are_named(world: World) -> None:
    used(world)
    for number in range(10, 14):
        world.ok("switch.add", name=f"x{number}", driver="fake", address=f"world/x{number}")
    for name in world.rows("switch"):
        network(world).faults[name["name"]] = ("failed", "unavailable")
    reason = ended(world, remove(world))[1]
    assert (reason.count("fake "), "; and 3 more; red is removed" in reason) == (5, True)
    assert reason.endswith(": zoni-vlan destroy 100-101"), "on all"


def test_vlans_of_another_name_stay(world: World) -> None:
    world.ok("domain.create", name="blue", vlans=[200])
    used(world, "blue")
    network(world).plug("far", Port("up", native=1, untagged=(1,), tagged=(200,)))
    network(world).bridge("far").vlans[200] = "legacy"
    assert ended(world, remove(world, "blue")) == ("done", "")
    assert tagged(world) == {"far:up": (200,)} and vlans(world) == {"far": {200}}


def test_a_vlan_that_is_being_taken_away_is_no_new_domains(world: World) -> None:
    used(world)
    network(world).holding.add("change")
    job = remove(world)
    refused = world.refused("domain.create", name="green", vlans=[101])
    assert (refused.code, refused.text) == ("locked", f"green: VLAN 101 is being taken off the switches by {job}")
    assert refused.hint == f"tjob-wait {job}"
    refused = world.refused("switch.change", changes=[{"switch": "s1", "vlans": {"100": ""}}])
    assert refused.code == "locked"
    network(world).let_go()
    assert ended(world, job) == ("done", "")
    world.ok("domain.create", name="green", vlans=[101])


def test_a_silent_agent_keeps_nobody_from_removing_a_domain(world: World) -> None:
    used(world)
    network(world).up = False
    world.run(60)
    state, reason = ended(world, remove(world))
    assert state == "failed" and "zoni-vlan destroy 100-101" in reason
    assert world.rows("domain") == []


def test_what_is_removed_is_told_by_its_parts(world: World) -> None:
    used(world)
    job = remove(world)
    assert sorted(each["name"] for each in world.rows("job") if each["parent"] == job) == ["core", "far", "s1", "s2"]
    assert sorted(json.loads(world.job(job)["answer"])) == ["core", "far", "s1", "s2"]
