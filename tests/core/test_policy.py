"""The policy of placement, changed while everything runs."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from tashi.core import policy
from tashi.core.cluster import Cluster, Principal
from tashi.core.demands import Ratios
from tashi.sched.policy import OPTIONAL, Policy, parse_policy
from tests.core.world import GIB, SECRET, World

ANN = Principal("ann", "user")
NONE = Ratios()


@pytest.fixture
def world() -> World:
    made = World(3)
    decide_by(made, Policy())
    return made


def decide_by(world: World, chosen: Policy, ratios: Ratios = NONE) -> None:
    world.take(world.cluster.happened(partial(policy.adopt, policy=chosen, ratios=ratios), world.now()))
    world.settle()


def told(world: World) -> list[dict[str, Any]]:
    return [entry for entry in world.log if entry["kind"] == "policy"]


def status(world: World) -> dict[str, Any]:
    decision = world.decide("status")
    assert decision.reply is not None
    answer: dict[str, Any] = json.loads(bytes(decision.reply.ok))
    return answer


def test_the_first_is_version_1_and_no_news(world: World) -> None:
    assert (status(world)["policy"], status(world)["policy_version"]) == ("pack", 1)
    assert told(world) == []


def test_another_one_decides_from_now_on_and_moves_nothing(world: World) -> None:
    before = [world.create(name)["host"] for name in ("a", "b")]
    assert before[0] == before[1], "packed"
    decide_by(world, parse_policy("spread"))
    assert [world.vm(name)["host"] for name in ("a", "b")] == before
    assert world.create("c")["host"] != before[0], "spread"
    assert (status(world)["policy"], status(world)["policy_version"]) == ("spread", 2)


def test_the_log_tells_what_has_changed(world: World) -> None:
    filters = ("version", "features", "networks", "labels", "reservation", "affinity", "anti-affinity")
    decide_by(world, parse_policy("spread", filters, {"data": 2.5}), Ratios(2.0, 1.0))
    (entry,) = told(world)
    assert (entry["name"], entry["state"], entry["verb"]) == ("placement", "version 2", "policy.set")
    assert entry["reason"] == (
        "policy pack -> spread; without the filter spread; weight data 1 -> 2.5; cores_ratio 1 -> 2"
    )
    decide_by(world, parse_policy("spread", weights={"data": 2.5}), Ratios(2.0, 1.0))
    assert told(world)[1]["reason"] == "with the filter spread"


def test_the_same_again_is_no_change(world: World) -> None:
    decide_by(world, parse_policy("spread"))
    before = world.everything()
    decide_by(world, parse_policy("spread"))
    assert world.everything() == before and len(told(world)) == 1


def test_what_waits_is_tried_again(world: World) -> None:
    for name in ("h1", "h2", "h3"):
        world.create(f"full-{name}", cores=8, host=name)
    world.ok("vm.create", name="late", image="tiny", cores=4, memory_bytes=GIB // 4, hold=True)
    assert world.vm("late")["state"] == "held"
    decide_by(world, Policy(), Ratios(1.5, 1.0))
    assert world.vm("late")["state"] == "running"
    assert world.rows("host")[0]["cores_ratio"] == 1.5


def test_a_filter_that_asks_no_more_lets_in_those_that_it_kept_out(world: World) -> None:
    for name in ("a", "b", "c"):
        world.create(name, asks={"group": "web", "apart": ["web"]})
    asks = {"group": "web", "apart": ["web"]}
    world.ok("vm.create", name="d", image="tiny", cores=1, memory_bytes=GIB // 4, hold=True, asks=asks)
    assert world.vm("d")["state"] == "held"
    decide_by(world, parse_policy(filters=tuple(name for name in OPTIONAL if name != "anti-affinity")))
    assert world.vm("d")["state"] == "running"


def test_less_may_be_promised_and_what_runs_goes_on(world: World) -> None:
    decide_by(world, Policy(), Ratios(2.0, 1.0))
    for name in ("h1", "h2", "h3"):
        world.create(f"full-{name}", cores=16, host=name)
    decide_by(world, Policy(), Ratios(1.0, 1.0))
    assert [row["state"] for row in world.rows()] == ["running"] * 3
    assert "0 free" in world.refused("vm.create", name="more", image="tiny", cores=1, memory_bytes=GIB).text


def test_a_failed_commit_takes_it_back(world: World) -> None:
    mark = world.cluster.mark()
    world.cluster.happened(partial(policy.adopt, policy=parse_policy("spread"), ratios=Ratios(3.0, 1.0)), world.now())
    world.cluster.rollback(mark)
    assert (status(world)["policy"], status(world)["policy_version"]) == ("pack", 1)
    assert world.rows("host")[0]["cores_ratio"] == 1.0


def test_it_is_stored_and_a_start_with_the_same_file_is_no_change(world: World) -> None:
    decide_by(world, parse_policy("spread"), Ratios(1.5, 1.0))
    stored = [(key, json.dumps(value).encode()) for key, value in _meta(world).items()]
    again = Cluster(world.cluster.settings, lambda: SECRET)
    again.load("meta", stored)
    assert (again.state.index.policy.order, again.state.index.policy.version) == ("spread", 2)
    assert again.state.ratios == Ratios(1.5, 1.0)
    same = again.happened(partial(policy.adopt, policy=parse_policy("spread"), ratios=Ratios(1.5, 1.0)), world.now())
    assert not same.log and again.state.index.policy.version == 2
    other = again.happened(partial(policy.adopt, policy=Policy(), ratios=Ratios(1.5, 1.0)), world.now())
    assert len(other.log) == 1 and again.state.index.policy.version == 3


def _meta(world: World) -> dict[str, Any]:
    return {key[1]: json.loads(value) for key, value in world.everything().items() if key[0] == "meta"}


def test_everybody_may_know(world: World) -> None:
    decide_by(world, parse_policy("spread"))
    assert "owner" not in told(world)[0]
    decision = world.decide("status", ANN)
    assert decision.reply is not None and json.loads(bytes(decision.reply.ok))["policy_version"] == 2
