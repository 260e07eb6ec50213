"""Questions to switches and saving them: the core, the real mind of a zoni agent, and devices that are dicts."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from tashi.agent import events
from tashi.wire.agents import Acked, ShotDone
from tashi.wire.zoni import MetalTell, SwitchShot
from tests.core.hardware import Network, wire_up
from tests.core.world import World

LOOKED = {"vlans": {"100": "red"}, "ports": {"1": {"name": "1"}}, "uptime_seconds": 5.0}


@pytest.fixture
def world() -> World:
    made = World(0)
    made.run(3)
    made.ok("switch.add", name="s1", driver="ovs", address="s1")
    made.network = wire_up(made)  # type: ignore[attr-defined]
    return made


def network(world: World) -> Network:
    found: Network = world.network  # type: ignore[attr-defined]
    return found


def ended(world: World, job: str) -> tuple[str, str]:
    row = world.job(job)
    return row["state"], row["reason"] or ""


@pytest.mark.parametrize("call", ["look", "macs", "neighbours", "probe", "save"])
def test_what_a_switch_answers_is_the_answer_of_the_operation(world: World, call: str) -> None:
    network(world).answers[f"{call} s1"] = LOOKED
    job = world.ok(f"switch.{call}", name="s1").job
    row = world.job(job)
    assert (row["state"], row["kind"], row["name"], json.loads(row["answer"])) == ("done", "switch", "s1", LOOKED)
    assert network(world).did == [f"{call} s1"]


def test_a_question_that_fails_says_why(world: World) -> None:
    network(world).faults["look s1"] = ("failed", "unavailable")
    assert ended(world, world.ok("switch.look", name="s1").job) == ("failed", "ovs s1: unavailable")


def test_a_question_that_comes_again_while_its_answer_is_told_can_be_asked_once_more(world: World) -> None:
    """By a controller whose store is an older one."""
    mind, now = network(world).mind, world.now()
    shot = SwitchShot(world.cluster.epoch, "j-999", "look", {"driver": "ovs", "bridge": "br0"})
    (call,) = mind.step(events.Heard(shot), now).calls
    (told,) = mind.step(events.Called(call.id, "ok", LOOKED), now).messages
    assert not mind.step(events.Heard(shot), now).calls
    mind.step(events.Heard(Acked(told.incarnation, [told.seq])), now)
    assert [each.verb for each in mind.step(events.Heard(shot), now).calls] == ["look"]


def test_a_lost_question_is_asked_again_and_a_save_is_not_done_twice(world: World) -> None:
    network(world).holding |= {"look", "save"}
    jobs = [world.ok(f"switch.{call}", name="s1").job for call in ("look", "save")]
    network(world).start()
    world.settle()
    network(world).let_go()
    world.run(5)
    assert ended(world, jobs[0])[0] == "done"
    assert ended(world, jobs[1]) == ("failed", "it may have been done: the agent was interrupted")
    assert network(world).did == ["look s1"]


def test_an_order_that_comes_twice_is_carried_out_once(world: World) -> None:
    network(world).holding |= {"look", "save"}
    jobs = [world.ok(f"switch.{call}", name="s1").job for call in ("look", "save")]
    world.run(20)
    assert len(network(world).held) == 2, "it was sent again, and not begun again"
    network(world).let_go()
    world.run(5)
    assert [ended(world, job)[0] for job in jobs] == ["done", "done"]


def test_silence_ends(world: World) -> None:
    network(world).holding.add("look")
    job = world.ok("switch.look", name="s1").job
    world.run(100)
    assert ended(world, job) == ("failed", "no answer in its time")


def test_who_can_not_be_asked_is_refused_at_once(world: World) -> None:
    network(world).up = False
    world.run(60)
    assert "is not heard" in world.refused("switch.look", name="s1").text
    fresh = World(0)
    fresh.ok("switch.add", name="s1", driver="ovs", address="s1")
    refused = fresh.refused("switch.look", name="s1")
    assert (refused.code, refused.hint) == ("wrong-state", "zoni-agents add NAME")
    assert fresh.refused("switch.look", name="s9").code == "not-found"


def test_where_there_are_several_agents_a_switch_names_its_own(world: World) -> None:
    wire_up(world, "net2")
    assert world.refused("switch.look", name="s1").hint == "zoni-switch set s1 --agent AGENT"


def test_passwords_that_can_not_be_opened_are_told(world: World) -> None:
    snmp = {"version": "v2c", "community": "hush-hush"}
    world.ok("switch.add", name="s2", address="10.0.0.2", snmp=snmp)
    ident, secret = next(iter(world.cluster.state.secrets.items()))
    world.cluster.state.secrets[ident] = replace(secret, sealed=secret.sealed[:-8] + "AAAAAAAA")
    refused = world.refused("switch.look", name="s2")
    assert "can't be read" in refused.text and "hush" not in refused.text


@pytest.mark.attack(6)
def test_another_agent_can_not_answer(world: World) -> None:
    network(world).holding.add("look")
    job = world.ok("switch.look", name="s1").job
    other = wire_up(world, "net2")
    other.deliver(MetalTell(1, 90, "boot-1", shot=ShotDone(job, "done", result={"answer": "{}"})))  # type: ignore[arg-type]
    assert world.job(job)["state"] == "running"


def test_an_answer_has_its_limit(world: World) -> None:
    network(world).answers["macs s1"] = "x" * 300_000
    state, reason = ended(world, world.ok("switch.macs", name="s1").job)
    assert state == "failed" and "300002 characters" in reason
