"""VLANs and ports are changed: what is refused before anything is sent, what is done, and what is taken back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tashi.wire.zoni import MetalSeen, MetalTell
from tests.core.hardware import Network, wire_up
from tests.core.world import World
from zoni.switch.interface import Port

DAY = 86_400.0


@pytest.fixture
def world() -> World:
    """Switches s1 to s3, each with an uplink "up"; m1 is in red by port 1 of s1, m2 is free on its port 2."""
    made = World(0)
    made.run(3)
    for name in ("s1", "s2", "s3"):
        made.ok("switch.add", name=name, driver="fake", address=f"world/{name}", uplinks=["up"])
    for number in (1, 2):
        parts = {"power_paths": [f"ipmi:10.0.0.{number}"], "ports": [f"s1:{number}"]}
        made.ok("machine.add", name=f"m{number}", parts=parts)
    made.network = wire_up(made)  # type: ignore[attr-defined]
    for name in ("s1", "s2", "s3"):
        network(made).plug(name, Port("up", native=1, untagged=(1,)), Port("9", native=1, untagged=(1,)))
    made.ok("domain.create", name="red", vlans=[100, 101])
    for number in (1, 2):
        made.ok("machine.reserve", machines=[f"m{number}"], until_wall=made.now().wall + DAY)
    made.ok("machine.allocate", name="m1", domain="red")
    network(made).did.clear()
    return made


def network(world: World) -> Network:
    found: Network = world.network  # type: ignore[attr-defined]
    return found


def goal(switch: str = "s1", **ports: Any) -> dict[str, Any]:
    """``p9={...}`` is port 9."""
    return {"switch": switch, "ports": {name.removeprefix("p"): want for name, want in ports.items()}}


def change(world: World, *goals: dict[str, Any], **more: Any) -> str:
    return world.ok("switch.change", changes=list(goals), **more).job


def ended(world: World, job: str) -> tuple[str, str]:
    row = world.job(job)
    return row["state"], row["reason"] or ""


def answer(world: World, job: str) -> Any:
    return json.loads(world.job(job)["answer"])


def parts(world: World, job: str) -> list[tuple[str, str, str]]:
    rows = [each for each in world.rows("job") if each["parent"] == job]
    return [(each["verb"], each["name"], each["state"]) for each in rows]


def test_one_switch_is_one_operation_and_its_answer_tells_how_it_is(world: World) -> None:
    job = change(world, goal(p9={"native": 300, "on": True}) | {"vlans": {"300": "lab"}})
    row = world.job(job)
    assert (row["state"], row["verb"], row["kind"], row["name"]) == ("done", "switch.change", "switch", "s1")
    told = answer(world, job)["s1"]
    assert told["steps"][:2] == ["create VLAN 300 (lab)", "close 9"]
    assert (told["ports"]["9"]["untagged"], told["changed"]) == ([300], True)
    assert network(world).bridge("s1").vlans[300] == "lab" and network(world).did == ["change s1"]


def test_a_plan_tells_the_steps_and_does_nothing(world: World) -> None:
    before = dict(network(world).switches)
    job = change(world, goal(p9={"on": False}), goal("s2", p9={"label": "x"}), plan=True)
    assert (world.job(job)["verb"], ended(world, job)) == ("switch.plan", ("done", ""))
    told = answer(world, job)
    assert told["s1"][0] == {"step": "close 9", "undo": "open 9"} and told["s2"][0]["step"] == "label 9 x"
    assert network(world).switches == before and network(world).did == ["plan s1", "plan s2"]


def test_a_plan_that_can_not_be_says_why(world: World) -> None:
    job = change(world, goal(p9={"native": 300}), goal("s2", p9={"on": False}), plan=True)
    assert ended(world, job) == ("failed", "s1: fake s1: 9: there is no VLAN 300")


def test_several_are_changed_one_after_the_other(world: World) -> None:
    vlans = {"vlans": {"300": "lab"}}
    network(world).holding.add("change")
    job = change(world, {"switch": "s1"} | vlans, {"switch": "s2"} | vlans)
    row = world.job(job)
    assert (row["name"], row["children"], len(network(world).held)) == ("s1 and 1 more", 2, 1)
    assert world.refused("switch.change", changes=[goal("s2", p9={"on": False})]).code == "locked"
    assert world.refused("switch.set", name="s2", note="x").code == "locked"
    assert world.refused("switch.remove", name="s2").code == "locked"
    network(world).let_go()
    assert ended(world, job) == ("done", "")
    assert parts(world, job) == [("switch.change", "s1", "done"), ("switch.change", "s2", "done")]
    assert sorted(answer(world, job)) == ["s1", "s2"]
    told = [entry.get("result", {}) for entry in world.log if entry.get("job") == job and entry["kind"] == "job"]
    assert [list(each) for each in told if each] == [["answer"]], "what is still to be done is nobody's news"
    world.ok("switch.set", name="s2", note="x")


def test_when_one_fails_those_before_are_as_they_were(world: World) -> None:
    network(world).faults["change s3"] = ("failed", "denied")
    before = {name: network(world).bridge(name) for name in ("s1", "s2", "s3")}
    network(world).plug("s2", Port("9", "mine", tagged=(1,)))
    before["s2"] = network(world).bridge("s2")
    wanted: dict[str, Any] = {"native": 300, "on": True, "label": "x"}
    goals = [goal(name, p9=wanted, up={"join": [300]}) | {"vlans": {"300": ""}} for name in ("s1", "s2", "s3")]
    job = change(world, *goals)
    assert ended(world, job) == ("failed", "s3: fake s3: denied; all else is as it was")
    assert {name: network(world).bridge(name) for name in before} == before
    assert network(world).did == ["change s1", "change s2", "change s2", "change s1"]
    assert parts(world, job) == [
        ("switch.change", "s1", "done"), ("switch.change", "s2", "done"), ("switch.change", "s3", "failed"),
        ("switch.take-back", "s2", "done"), ("switch.take-back", "s1", "done"),
    ]  # fmt: skip
    assert world.job(job)["children"] == 5


def test_what_is_taken_back_is_called_as_its_switch_had_it(world: World) -> None:
    """By names and labels that we would not give; and that there were such is no reason to fail."""
    network(world).faults["change s2"] = ("failed", "denied")
    network(world).bridge("s1").vlans[300] = "Office LAN (2nd floor)"
    network(world).plug("s1", Port("9", "Büro", native=1, untagged=(1,)))
    before = network(world).bridge("s1")
    assert ended(world, change(world, goal(p9={"label": "y"}))) == ("done", "")
    network(world).plug("s1", before.ports["9"])
    job = change(world, goal(p9={"label": "x"}) | {"gone": [300]}, {"switch": "s2", "gone": [300]})
    assert ended(world, job) == ("failed", "s2: fake s2: denied; all else is as it was")
    assert network(world).bridge("s1") == before


def test_taking_back_leaves_alone_what_came_meanwhile(world: World) -> None:
    """A machine is handed out between the change and its undoing: its VLANs stay on the uplink."""
    network(world).faults["change s2"] = ("failed", "denied")
    network(world).holding.add("change")
    job = change(world, goal(up={"join": [300]}) | {"vlans": {"300": ""}}, goal("s2", p9={"on": False}))
    network(world).work_one()
    port = network(world).bridge("s1").ports["up"]
    network(world).plug("s1", Port("up", native=1, untagged=(1,), tagged=(200, *port.tagged)))
    network(world).let_go()
    assert ended(world, job)[0] == "failed"
    assert network(world).bridge("s1").ports["up"].tagged == (200, 100, 101), "and 300 is gone"


def test_what_was_so_already_is_not_taken_back(world: World) -> None:
    network(world).faults["change s2"] = ("failed", "denied")
    change(world, goal(p9={"native": 1}), goal("s2", p9={"on": False}))
    assert network(world).did == ["change s1"]


def test_what_could_not_be_taken_back_is_told(world: World) -> None:
    network(world).faults["change s3"] = ("unknown", "unavailable")
    network(world).holding.add("change")
    job = change(world, *(goal(name, p9={"on": False}) for name in ("s1", "s2", "s3")))
    network(world).work_one()
    network(world).work_one()
    network(world).faults["change s2"] = ("failed", "denied")
    network(world).let_go()
    told = "s3: it may have been done: fake s3: unavailable; not taken back: s2: fake s2: denied"
    assert ended(world, job) == ("failed", told)
    assert network(world).port("s1", "9") == (True, (1,)), "the rest is taken back all the same"
    assert network(world).port("s2", "9") == (False, (1,))


def test_an_agent_that_dies_in_the_middle_ends_it(world: World) -> None:
    network(world).holding.add("change")
    job = change(world, goal(p9={"on": False}))
    network(world).start()
    network(world).holding.clear()
    world.run(5)
    assert ended(world, job) == ("failed", "it may have been done: the agent was interrupted")
    assert world.cluster.state.switches["s-1"].job == ""


def test_silence_ends_it(world: World) -> None:
    network(world).holding.add("change")
    job = change(world, goal(p9={"on": False}), goal("s2", p9={"on": False}))
    world.run(200)
    assert ended(world, job) == ("failed", "s1: it may have been done: no answer in its time; all else is as it was")
    network(world).let_go()
    assert network(world).did == ["change s1"], "what comes late changes nothing more"


def test_the_machine_of_a_port_is_nobody_elses_meanwhile(world: World) -> None:
    network(world).holding.add("change")
    job = change(world, goal(p2={"native": 0, "on": False}))
    refused = world.refused("machine.allocate", name="m2", domain="red")
    assert (refused.code, refused.hint) == ("locked", f"tjob-wait {job}")
    assert world.refused("switch.change", changes=[goal("s1", p2={"on": True})], plan=True).code == "locked"
    network(world).let_go()
    assert ended(world, world.ok("machine.allocate", name="m2", domain="red").job) == ("done", "")


@pytest.mark.parametrize(
    ("wish", "code", "text"),
    [
        ({"vlans": {"0": ""}}, "bad-request", "s1: 0 is no VLAN: they are 1 to 4094"),
        ({"vlans": {"4095": ""}}, "bad-request", "s1: 4095 is no VLAN: they are 1 to 4094"),
        ({"gone": [1002]}, "bad-request", "s1: VLAN 1002 is reserved (1002 to 1005)"),
        ({"gone": [1]}, "impossible", "s1: VLAN 1 can't be destroyed"),
        ({"gone": [7], "vlans": {"7": ""}}, "impossible", "s1: VLAN 7 can't be destroyed"),
        ({"gone": [100]}, "conflict", "s1: VLAN 100 is in domain red"),
        ({"vlans": {"100": "mine"}}, "conflict", "s1: VLAN 100 is in domain red"),
        (goal(p9={"native": 4095}), "bad-request", "s1:9: 4095 is no VLAN: they are 1 to 4094"),
        (goal(p9={"leave": [0]}), "bad-request", "s1:9: 0 is no VLAN: they are 1 to 4094"),
        (goal(p9={"native": 7, "join": [7]}), "bad-request", "s1:9: VLAN 7 can't be native and tagged"),
        (goal(p9={"native": 101}), "conflict", "s1:9: VLAN 101 is in domain red, whose machines alone are in it"),
        (goal(p9={"tagged": [7, 101]}), "conflict", "s1:9: VLAN 101 is in domain red, whose machines alone are in it"),
        (goal(p2={"join": [101]}), "conflict", "s1:2: VLAN 101 is in domain red, whose machines alone are in it"),
        (goal(p1={"on": False}), "wrong-state",
         "s1:1: m1 is in a domain, or on its way: of its ports only the label can be changed"),
        (goal(p1={"leave": [101]}), "wrong-state",
         "s1:1: m1 is in a domain, or on its way: of its ports only the label can be changed"),
        (goal(up={"on": False}), "wrong-state", "s1:up: it is an uplink, and would have to be closed"),
    ],
)  # fmt: skip
def test_what_must_not_be_is_refused_before_anything_is_sent(
    world: World, wish: dict[str, Any], code: str, text: str
) -> None:
    for plan in (False, True):
        refused = world.refused(
            "switch.change", changes=[{"switch": "s2", "gone": [7]}, {"switch": "s1"} | wish], plan=plan
        )
        assert (refused.code, refused.text) == (code, text)
    assert network(world).did == [] and all(each.job == "" for each in world.cluster.state.switches.values())


def test_a_locked_machine_keeps_its_ports(world: World) -> None:
    world.ok("machine.set", name="m2", lock="fan")
    for want in ({"on": True}, {"label": "x"}):
        assert world.refused("switch.change", changes=[goal(p2=want)]).code == "locked"


def test_the_label_of_a_machine_in_a_domain_can_be_changed(world: World) -> None:
    assert ended(world, change(world, goal(p1={"label": "m1"}))) == ("done", "")
    assert network(world).bridge("s1").ports["1"].label == "m1"


def test_while_a_label_is_changed_its_machine_can_be_had(world: World) -> None:
    network(world).holding.add("change")
    change(world, goal(p2={"label": "m2"}))
    job = world.ok("machine.allocate", name="m2", domain="red").job
    network(world).let_go()
    assert ended(world, job) == ("done", "")


def test_uplinks_carry_the_vlans_of_domains(world: World) -> None:
    job = change(world, goal("s2", up={"join": [100, 300]}) | {"vlans": {"100": "red", "300": ""}})
    assert ended(world, job) == ("done", "")
    assert network(world).bridge("s2").ports["up"].tagged == (100, 300)


def test_the_agent_judges_too(world: World) -> None:
    """What has become a domain's since it was asked for is not reached by what comes late."""
    network(world).holding.add("change")
    wish = goal(p9={"native": 300}) | {"vlans": {"300": "lab"}}
    job = change(world, wish, wish | {"switch": "s2"})
    world.ok("domain.create", name="lab", vlans=[300])
    network(world).work_one()
    network(world).let_go()
    assert ended(world, job) == ("failed", "s2: fake s2: VLAN 300 is in domain lab; all else is as it was")
    assert network(world).port("s2", "9") == network(world).port("s1", "9") == (True, (1,))
    assert network(world).bridge("s1").vlans[300] == "lab", "what is a domain's by now is not destroyed"


def test_what_may_yet_be_taken_back_is_no_machines_port(world: World) -> None:
    network(world).holding.add("change")
    job = change(world, goal(p9={"native": 300}) | {"vlans": {"300": ""}}, goal("s2", p9={"on": False}))
    refused = world.refused("machine.add", name="m3", parts={"ports": ["s1:9"]})
    assert (refused.code, refused.hint) == ("locked", f"tjob-wait {job}")
    world.ok("machine.set", name="m2", parts={"ports": ["s1:2"]})


def test_a_switch_that_is_removed_answers_nobody(world: World) -> None:
    world.ok("domain.create", name="blue", vlans=[200])
    change(world, {"switch": "s1", "vlans": {"200": "blue"}})
    network(world).holding |= {"look", "plan", "change"}
    jobs = [
        world.ok("switch.look", name="s3").job,
        change(world, goal("s3", p9={"on": False}), plan=True),
        change(world, goal("s3", p9={"on": False}), goal("s2"), plan=True),
        world.ok("domain.remove", name="blue").job,
    ]
    world.ok("switch.remove", name="s3")
    told = [ended(world, job)[1] for job in jobs[:3]]
    assert told == ["the switch was removed", "the switch was removed", "s3: the switch was removed"]
    network(world).let_go()
    assert ended(world, jobs[3])[1].startswith("s3: the switch was removed; blue is removed")


def test_a_switch_twice_and_a_switch_that_is_not(world: World) -> None:
    assert world.refused("switch.change", changes=[goal(), goal()]).text == "s1: it is there twice"
    assert world.refused("switch.change", changes=[goal("s9")]).code == "not-found"


def test_an_answer_that_is_none_ends_it(world: World) -> None:
    network(world).junk.add("change")
    state, reason = ended(world, change(world, goal(p9={"on": False})))
    assert state == "failed" and "answer can't be read" in reason


def test_an_agent_that_is_removed_leaves_no_switch_changed_unsaid(world: World) -> None:
    """The operation holds m2, and is no operation of m2's: it ends when it is known what became of the switches."""
    network(world).holding.add("change")
    job = change(world, goal(p2={"label": "x", "on": True}), goal("s2", p9={"on": False}))
    network(world).work_one()
    release = world.ok("machine.release", name="m1").job
    world.ok("zoniagent.remove", name="net1")
    assert ended(world, release)[0] == "failed" and ended(world, job)[0] == "running"
    world.run(400)
    state, reason = ended(world, job)
    assert state == "failed" and "; not taken back: s1: " in reason
    assert world.cluster.state.switches["s-1"].job == world.cluster.state.machines["m-2"].job == ""


def test_a_store_that_is_older_than_an_agent_ends_no_change_of_a_switch(world: World) -> None:
    network(world).holding.add("change")
    job = change(world, goal(p2={"on": True}), goal("s2", p9={"on": False}))
    machine = world.cluster.state.machines["m-2"]
    refused = MetalSeen("m-2", row_generation=machine.generation, newest=7, outcome="refused")
    network(world).deliver(MetalTell(1, 99, "boot-1", seen=refused))  # type: ignore[arg-type]
    assert world.cluster.state.machines["m-2"].generation == 8 and ended(world, job)[0] == "running"
    network(world).let_go()
    assert ended(world, job) == ("done", "")


def test_what_a_part_was_to_do_is_not_told_when_it_has_failed(world: World) -> None:
    network(world).faults["s1"] = ("failed", "denied")
    world.ok("switch.look", name="s1")
    change(world, goal(p9={"on": False}), goal("s2", p9={"on": False}))
    told = [entry.get("result", {}) for entry in world.log if entry["kind"] == "job" and entry["name"] == "s1"]
    assert len(told) >= 4 and [each for each in told if each] == []
