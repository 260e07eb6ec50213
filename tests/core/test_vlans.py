"""zoni-vlan and zoni-port: what each verb makes of switches, and what it refuses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.core.hardware import Network, wire_up
from tests.core.world import World
from zoni.switch.interface import Port

DAY = 86_400.0


@pytest.fixture
def world() -> World:
    """s1 and s2, joined by their ports "up". m1 is in red by s1:1; m2 is free, on s1:2 and s2:2; s2:9 has nobody."""
    made = World(1)
    made.run(3)
    for name in ("s1", "s2"):
        made.ok("switch.add", name=name, driver="fake", address=f"world/{name}", uplinks=["up"])
    plugged: dict[str, dict[str, Any]] = {
        "m1": {"ports": ["s1:1"]},
        "m2": {
            "nics": ["eth0=52:54:00:00:00:02", "eth1=52:54:00:00:00:03"],
            "ports": ["s1:2,nic=eth0", "s2:2,nic=eth1"],
        },
    }
    for name, parts in plugged.items():
        made.ok("machine.add", name=name, parts={"power_paths": [f"ipmi:10.0.0.{name[1]}"], **parts})
    made.network = wire_up(made)  # type: ignore[attr-defined]
    for name in ("s1", "s2"):
        network(made).plug(name, *(Port(each, native=1, untagged=(1,)) for each in ("up", "1", "2", "9")))
    made.ok("domain.create", name="red", vlans=[100, 101])
    made.ok("machine.reserve", machines=["m1"], until_wall=made.now().wall + DAY)
    made.ok("machine.allocate", name="m1", domain="red")
    return made


def network(world: World) -> Network:
    found: Network = world.network  # type: ignore[attr-defined]
    return found


def done(world: World, verb: str, **body: Any) -> dict[str, Any]:
    """What the operation has answered."""
    row = world.job(world.ok(verb, **body).job)
    assert (row["state"], row["verb"]) == ("done", "switch.plan" if body.get("plan") else verb), row["reason"]
    found: dict[str, Any] = json.loads(row["answer"])
    return found


def failed(world: World, verb: str, **body: Any) -> str:
    row = world.job(world.ok(verb, **body).job)
    assert row["state"] == "failed"
    return str(row["reason"])


def set_(world: World, *words: str, **want: Any) -> dict[str, Any]:
    return done(world, "port.set", changes=[{"ports": list(words), "want": want}])


def has(world: World, spot: str) -> tuple[bool, tuple[int, ...], tuple[int, ...]]:
    """Whether a port is open, and what it is in without and with a tag."""
    switch, _, name = spot.partition(":")
    port = network(world).bridge(switch).ports[name]
    return port.on, port.untagged, port.tagged


def names(world: World, switch: str) -> dict[int, str]:
    return dict(network(world).bridge(switch).vlans)


def test_a_vlan_is_made_on_all_switches_and_on_their_uplinks(world: World) -> None:
    before = has(world, "s1:up")[2]
    told = done(world, "vlan.create", vlans={"300": "lab"})
    assert told.keys() == {"s1", "s2"}
    assert names(world, "s1")[300] == names(world, "s2")[300] == "lab"
    assert has(world, "s1:up") == (True, (1,), (*before, 300)) and 300 in has(world, "s2:up")[2]
    assert has(world, "s2:9") == (True, (1,), ())


def test_on_one_switch_alone_if_asked(world: World) -> None:
    done(world, "vlan.create", vlans={"300": "a", "301": "b"}, switches=["s2", "s-2"])
    assert (names(world, "s2")[300], names(world, "s2")[301]) == ("a", "b")
    assert 300 not in names(world, "s1")


def test_where_one_switch_has_it_under_another_name_it_is_made_on_none(world: World) -> None:
    done(world, "vlan.create", vlans={"300": "other"}, switches=["s2"])
    assert "VLAN 300 is taken: it is other" in failed(world, "vlan.create", vlans={"300": "lab"})
    assert 300 not in names(world, "s1") and 300 not in has(world, "s1:up")[2]


def test_a_vlan_goes_from_everywhere_or_stays_and_its_ports_are_named(world: World) -> None:
    done(world, "vlan.create", vlans={"300": "lab"})
    set_(world, "s2:9", join=[300])
    assert "VLAN 300 is in use by 9" in failed(world, "vlan.destroy", vlans=[300])
    assert 300 in names(world, "s1") and 300 in has(world, "s1:up")[2]
    set_(world, "s2:9", leave=[300])
    done(world, "vlan.destroy", vlans=[300])
    assert 300 not in names(world, "s1") and 300 not in names(world, "s2") and 300 not in has(world, "s1:up")[2]


@pytest.mark.parametrize(
    ("verb", "vlans", "text"),
    [
        ("vlan.create", [0], "0 is no VLAN: they are 1 to 4094"),
        ("vlan.create", [4095], "4095 is no VLAN: they are 1 to 4094"),
        ("vlan.create", [1003], "VLAN 1003 is reserved"),
        ("vlan.create", [100], "VLAN 100 is in domain red"),
        ("vlan.destroy", [1], "VLAN 1 can't be destroyed"),
        ("vlan.destroy", [101], "VLAN 101 is in domain red"),
    ],
)
def test_numbers_that_are_nobodys_to_make_or_destroy(world: World, verb: str, vlans: list[int], text: str) -> None:
    before = world.everything()
    body: Any = {str(vlan): "lab" for vlan in vlans} if verb == "vlan.create" else vlans
    assert text in world.refused(verb, vlans=body).text
    assert world.everything() == before


def test_ports_join_and_leave_and_all_others_stay(world: World) -> None:
    done(world, "vlan.create", vlans={"300": "a", "301": "b"})
    told = set_(world, "m2", join=[300])
    assert told["s1"]["ports"]["2"]["tagged"] == told["s2"]["ports"]["2"]["tagged"] == [300]
    set_(world, "m2:eth1", join=[301])
    assert (has(world, "s1:2"), has(world, "s2:2")) == ((True, (1,), (300,)), (True, (1,), (300, 301)))
    set_(world, "s2:2", native=300, leave=[300])
    assert has(world, "s2:2") == (True, (300,), (301,))
    set_(world, "m2", leave=[300])
    assert (has(world, "s1:2"), has(world, "s2:2")) == ((True, (1,), ()), (True, (), (301,)))


def test_all_ports_or_none(world: World) -> None:
    done(world, "vlan.create", vlans={"300": "lab"}, switches=["s1"])
    change = [{"ports": ["s1:9", "s2:9"], "want": {"join": [300]}}]
    assert "there is no VLAN 300" in failed(world, "port.set", changes=change)
    assert has(world, "s1:9") == has(world, "s2:9") == (True, (1,), ())


def test_a_port_can_not_be_two_things_at_once(world: World) -> None:
    changes = [{"ports": ["m2"], "want": {"on": True}}, {"ports": ["s2:2"], "want": {"on": False}}]
    assert world.refused("port.set", changes=changes).text == "s2:2: it can't be two things at once"


@pytest.mark.parametrize("want", [{"join": [300]}, {"native": 1}, {"on": False}, {"tagged": []}])
def test_of_a_machine_in_a_domain_only_the_label_is_changed(world: World, want: dict[str, Any]) -> None:
    done(world, "vlan.create", vlans={"300": "lab"})
    refused = world.refused("port.set", changes=[{"ports": ["m1"], "want": want}])
    assert refused.text.startswith("s1:1: m1 is in a domain") and refused.hint == "zoni-release m1"
    set_(world, "m1", label="m1 eth0")
    assert network(world).bridge("s1").ports["1"].label == "m1 eth0"


def test_the_vlan_of_a_domain_comes_to_no_other_port(world: World) -> None:
    refused = world.refused("port.set", changes=[{"ports": ["m2:eth0"], "want": {"join": [100]}}])
    assert "s1:2: VLAN 100 is in domain red" in refused.text


def test_ports_are_put_back_to_what_the_records_want(world: World) -> None:
    network(world).plug("s1", Port("1", native=1, untagged=(1,), tagged=(100,)))  # somebody did that by hand
    done(world, "port.restore", ports=["m1", "m2", "s2:9"])
    assert has(world, "s1:1") == (True, (100,), (101,))
    assert has(world, "s1:2") == has(world, "s2:2") == has(world, "s2:9") == (False, (), ())


def test_ports_of_several_domains_are_put_back_together(world: World) -> None:
    world.ok("domain.create", name="blue", vlans=[200])
    world.ok("machine.reserve", machines=["m2"], until_wall=world.now().wall + DAY)
    world.ok("machine.allocate", name="m2", domain="blue")
    for port in ("1", "2"):
        network(world).plug("s1", Port(port, native=1, untagged=(1,)))
    done(world, "port.restore", ports=["m1", "m2"])
    assert (has(world, "s1:1"), has(world, "s1:2")) == ((True, (100,), (101,)), (True, (200,), ()))


def test_an_uplink_is_put_back_to_what_goes_over_it_besides_what_is_there(world: World) -> None:
    done(world, "vlan.create", vlans={"300": "lab"})
    for name in ("s1", "s2"):
        network(world).plug(name, Port("up", on=False, native=1, untagged=(1,), tagged=(300,)))
    done(world, "port.restore", ports=["s1:up", "s2:up"])
    assert has(world, "s1:up") == (True, (1,), (100, 101, 300)), "m1 of red is on it"
    assert has(world, "s2:up") == (True, (1,), (300,)), "nobody of red is on it, and it leads nowhere else"
    world.ok("switch.set", name="s2", uplinks=["up", "9"])
    done(world, "port.restore", ports=["s2:up"])
    assert has(world, "s2:up") == (True, (1,), (100, 101, 300)), "it may be on the way"


def test_a_vm_host_with_vms_is_cut_off_only_by_force(world: World) -> None:
    world.ok("machine.set", name="m2", parts={"host": "h1"})
    world.create("web", host="h1")
    off: list[dict[str, Any]] = [{"ports": ["m2:eth0"], "want": {"on": False}}]
    assert "the VM host h1 runs on it, which has web" in world.refused("port.set", changes=off).text
    set_(world, "m2:eth0", label="h1")
    done(world, "port.set", changes=off, force=True)
    assert not has(world, "s1:2")[0]


def test_where_the_records_do_not_say_nothing_is_put_back(world: World) -> None:
    world.ok("machine.set", name="m2", parts={"host": "h1"})
    assert "the VM host h1 runs on m2" in world.refused("port.restore", ports=["m2"]).text
    network(world).holding.add("change")
    network(world).holding.add("off")
    world.ok("machine.release", name="m1")
    refused = world.refused("port.restore", ports=["m1"])
    assert (refused.code, refused.hint) == ("locked", "zoni-why m1")


def test_a_plan_tells_the_steps_and_does_none(world: World) -> None:
    told = done(world, "vlan.create", vlans={"300": "lab"}, plan=True)
    assert [each["step"] for each in told["s2"]] == [
        "create VLAN 300 (lab)", "put up into VLAN 300, tagged", "read back", "save to the start-up configuration",
    ]  # fmt: skip
    assert told["s2"][0]["undo"] == "destroy VLAN 300"
    assert 300 not in names(world, "s1") and 300 not in names(world, "s2")


def test_without_switches_there_is_nothing_to_do() -> None:
    assert World(0).refused("vlan.create", vlans={"300": "lab"}).text == "there is no switch"
