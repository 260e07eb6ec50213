"""What zoni-discover --apply asks for: machines are plugged in anew together, if they are as they were seen."""

from __future__ import annotations

from typing import Any

from tests.core.world import World

MAC = "52:54:00:00:00:0"


def rack() -> World:
    """m1 on s1:p1, m2 on s1:p2 and m3, which is plugged in nowhere."""
    world = World(hosts=1)
    world.ok("switch.add", name="s1", address="br0", driver="ovs")
    for number, ports in enumerate((["s1:p1,nic=eth0"], ["s1:p2"], []), 1):
        world.ok("machine.add", name=f"m{number}", parts={"nics": [f"eth0={MAC}{number}"], "ports": ports})
    return world


def row(name: str, was: list[str], *ports: str) -> dict[str, Any]:
    return {"name": name, "was": was, "ports": list(ports)}


def ports(world: World) -> dict[str, list[str]]:
    return {each["name"]: each["ports"] for each in world.rows("machine")}


def test_two_change_places() -> None:
    world = rack()
    answer = world.ok(
        "machine.plug", machines=[row("m1", ["s1:p1,nic=eth0"], "s1:p2,nic=eth0"), row("m2", ["s1:p2"], "s1:p1")]
    )
    assert ports(world) == {"m1": ["s1:p2,nic=eth0"], "m2": ["s1:p1"], "m3": []}
    assert list(answer.objects.values()) == ["m1", "m2"] and answer.missing == {}
    assert world.job(answer.job)["verb"] == "machine.plug" and world.job(answer.job)["name"] == "m1 and 1 more"


def test_what_is_no_longer_as_it_was_is_left_out_and_what_hangs_on_it_too() -> None:
    world = rack()
    rows = [row("m3", [], "s1:p1"), row("m1", ["s1:p9"], "s1:p3"), row("m2", ["s1:p2"], "s1:p4")]
    answer = world.ok("machine.plug", machines=rows)
    assert answer.missing == {
        "0": "m3: ports: port s1:p1 is m1's already",
        "1": "m1: its ports are s1:p1,nic=eth0 by now, not s1:p9",
    }
    assert ports(world) == {"m1": ["s1:p1,nic=eth0"], "m2": ["s1:p4"], "m3": []}


def test_nothing_is_changed_where_nothing_can_be() -> None:
    world = rack()
    world.ok("machine.set", name="m1", lock="its fan")
    before = world.everything()
    rows = [row("m1", ["s1:p1,nic=eth0"]), row("m9", []), row("m3", [], "s9:p1"), row("m3", [], "s1:p3,nic=eth7")]
    answer = world.ok("machine.plug", machines=rows)
    assert (answer.job, answer.objects, sorted(answer.missing)) == ("", {}, ["0", "1", "2", "3"])
    assert "its fan" in answer.missing["0"] and "no such machine" in answer.missing["1"]
    assert "s9: no such switch" in answer.missing["2"] and "there twice" in answer.missing["3"]
    assert {key: value for key, value in world.everything().items() if key[0] != "meta"} == {
        key: value for key, value in before.items() if key[0] != "meta"
    }


def test_a_dry_run_says_the_same_and_does_nothing() -> None:
    world = rack()
    rows = [row("m3", [], "s1:p3"), row("m1", [], "s1:p4")]
    answer = world.ok("machine.plug", machines=rows, dry_run=True)
    assert list(answer.objects.values()) == ["m3"] and list(answer.missing) == ["1"]
    assert ports(world)["m3"] == []
