"""Decisions of placement are remembered: who chose what for whom, from what, and why."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tashi.core.choices import keys_of
from tashi.core.cluster import Principal
from tashi.core.demands import demand_of
from tashi.core.policy import adopt
from tashi.core.rate import AT_ONCE
from tashi.core.turn import done_key
from tashi.model.choice import Choice
from tashi.sched import survey
from tashi.sched.demand import Demand
from tashi.sched.index import Index
from tashi.sched.plan.board import Board
from tashi.sched.policy import parse_policy
from tashi.wire.messages import Problem
from tests.core.test_snapshot import taken
from tests.core.world import GIB, ROOT, World

ROOM = Path(__file__).parents[2]
ANN, BOB = Principal("ann", "user"), Principal("bob", "user")


@pytest.fixture
def world() -> World:
    return World(3)


def ask(world: World, ref: str, who: Principal = ROOT) -> Any:
    """What tashi-explain --decision gets; a refusal as its text and hint."""
    reply = world.decide("decision", who, name=ref).reply
    assert reply is not None
    if reply.error is not None:
        return reply.error
    return {"before": "", "reason": "", "pin": "", "host": ""} | json.loads(bytes(reply.ok))


def words(told: dict[str, Any]) -> dict[str, str]:
    return {each["host"]: each["verdict"] for each in told["verdicts"]}


def entries(world: World, kind: str) -> list[dict[str, Any]]:
    return [entry for entry in world.log if entry["kind"] == kind and "decision" in entry]


def fill(world: World) -> None:
    for host in ("h1", "h2", "h3"):
        world.create(f"full-{host}", cores=8, host=host)


# -- what is remembered ----------------------------------------------------------------------------------------------
def test_parts_of_one_request_that_get_one_host_are_looked_at_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Demand] = []

    def counted(index: Index, demand: Demand, wall: float = 0.0) -> survey.Survey:
        seen.append(demand)
        return found(index, demand, wall)

    found = survey.survey
    monkeypatch.setattr(survey, "survey", counted)
    asks = {"labels": {"host": "h2"}}
    world.ok("vm.create", name="n", image="tiny", cores=2, memory_bytes=GIB, asks=asks, count=4)
    assert [ask(world, row["decision"])["host"] for row in world.rows(fields="decision")] == ["h2"] * 4
    assert len(seen) == 1


def test_a_placement_tells_what_was_chosen_from_what_and_why(world: World) -> None:
    world.create("first", host="h2")
    revision = world.cluster.revision
    vm = world.create("web", cores=2, who=ANN, asks={"labels": {}, "group": "x", "apart": ["y"]})
    told = ask(world, vm["decision"])
    assert (told["outcome"], told["name"], told["vm"], told["owner"]) == ("placed", "web", vm["id"], "ann")
    assert (told["by"], told["verb"], told["host"]) == ("ann", "vm.create", vm["host"] == "h2" and "h2")
    assert (told["revision"], told["policy_version"], told["seed"]) == (revision, 1, 0)
    assert told["demand"] == "2 cores and 256M of memory, apart from ann/y"
    assert words(told) == {"h2": "chosen", "h1": "fits", "h3": "fits"}
    chosen = told["verdicts"][0]
    assert chosen["score"] == pytest.approx(sum(chosen["terms"].values())) and chosen["terms"]["order"] > 0
    assert [each["score"] for each in told["verdicts"]] == sorted((e["score"] for e in told["verdicts"]), reverse=True)
    assert (told["hosts"], told["open"], told["kept_out"]) == (3, 3, {})


def test_hosts_that_were_kept_out_are_counted_by_reason(world: World) -> None:
    world.create("big", cores=7, host="h1")
    world.ok("host.drain", name="h2")
    told = ask(world, world.create("web", cores=2)["decision"])
    assert (told["host"], told["hosts"], told["open"]) == ("h3", 3, 2)
    assert told["kept_out"] == {"state": 1, "cores": 1}


def test_it_is_known_by_its_id_its_operation_and_its_vm(world: World) -> None:
    accepted = world.ok("vm.create", name="web", image="tiny", cores=1, memory_bytes=GIB)
    vm = world.vm("web")
    assert vm["decision"] == "c-1" and world.job(accepted.job)["decision"] == "c-1"
    assert ask(world, "c-1") == ask(world, accepted.job) == ask(world, "web") == ask(world, vm["id"])
    assert ask(world, "c-1")["job"] == accepted.job
    state = world.cluster.state
    assert [keys_of(state, each) for each in ("c-1", accepted.job, "web", "nix", "j-999")] == [
        *[[done_key("c-1")]] * 3,
        [],
        [],
    ]


def test_each_part_of_many_has_its_own(world: World) -> None:
    accepted = world.ok("vm.create", name="w", image="tiny", cores=1, memory_bytes=GIB, count=3)
    assert [world.vm(name)["decision"] for name in ("w-00", "w-01", "w-02")] == ["c-1", "c-2", "c-3"]
    refused = ask(world, accepted.job)
    assert "3 parts" in refused.text and f"parent={accepted.job}" in refused.hint
    asks = {"parent": accepted.job}
    rows = world.rows("job", where=[f"{key}={value}" for key, value in asks.items()])
    assert [row["decision"] for row in rows] == ["c-1", "c-2", "c-3"]


def test_a_start_a_move_and_a_placement_by_hand_are_decisions(world: World) -> None:
    world.create("web")
    world.ok("vm.migrate", name="web")
    moved = ask(world, "web")
    assert (moved["verb"], moved["outcome"], moved["before"]) == ("vm.migrate", "placed", "c-1")
    assert moved["host"] == world.vm("web")["host"] and moved["without"] == [ask(world, "c-1")["host"]]
    assert moved["kept_out"] == {"leftover": 1}
    world.ok("vm.shutdown", name="web", force=True)
    world.ok("vm.start", name="web", host="h3")
    started = ask(world, "web")
    assert (started["verb"], started["host"], started["pin"]) == ("vm.start", "h3", "h3")
    assert started["kept_out"] == {"pin": 2} and words(started) == {"h3": "chosen"}
    world.ok("vm.create", name="hand", image="tiny", cores=1, memory_bytes=GIB, place=False)
    assert "no host was chosen" in ask(world, "hand").text
    world.ok("vm.place", name="hand", host="h2")
    assert (ask(world, "hand")["verb"], ask(world, "hand")["host"]) == ("vm.place", "h2")


def test_the_moves_of_a_drain_are_decisions_and_so_are_those_that_it_can_not_make(world: World) -> None:
    for name in ("a", "b"):
        world.create(name, cores=5, host="h1" if name == "a" else "h2")
    world.create("c", cores=3, host="h1")
    world.create("d", cores=6, host="h3")
    job = world.ok("host.drain", name="h1").job
    world.run(5)
    assert (ask(world, "c")["verb"], ask(world, "c")["host"]) == ("vm.migrate", "h2")
    (entry,) = entries(world, "decision")
    told = ask(world, entry["decision"])
    assert (told["name"], told["outcome"], told["job"], told["verb"]) == ("a", "refused", job, "host.drain")
    assert told["kept_out"] == {"state": 1, "cores": 2} | {"leftover": 0} or "cores" in told["kept_out"]


# -- what found no room ----------------------------------------------------------------------------------------------
def test_a_refusal_is_a_decision_that_its_hint_names(world: World) -> None:
    fill(world)
    refused = world.refused("vm.create", ANN, name="web", image="tiny", cores=4, memory_bytes=GIB)
    ident = refused.hint.partition("--decision ")[2].partition(" ")[0]
    told = ask(world, ident, ANN)
    assert (told["outcome"], told["name"], told["owner"], told["vm"]) == ("refused", "web", "ann", "")
    assert words(told) == {"h1": "no", "h2": "no", "h3": "no"} and told["kept_out"] == {"cores": 3}
    assert told["verdicts"][0]["filter"] == "cores" and "needs 4 cores, 0 free" in told["verdicts"][0]["reason"]
    (entry,) = entries(world, "decision")
    assert (entry["state"], entry["name"], entry["owner"], entry["decision"]) == ("refused", "web", "ann", ident)


def test_what_is_refused_again_and_again_can_not_flood_the_log(world: World) -> None:
    fill(world)
    for _ in range(3 * AT_ONCE):
        refused = world.refused("vm.create", ANN, name="web", image="tiny", cores=4, memory_bytes=GIB)
    assert "--decision" not in refused.hint and len(entries(world, "decision")) == AT_ONCE
    assert "--decision" in world.refused("vm.create", BOB, name="x", image="tiny", cores=4, memory_bytes=GIB).hint


@pytest.mark.parametrize("body", [{"dry_run": True}, {"disk_bytes": 200 * GIB}, {"name": "full-h1"}])
def test_a_dry_run_and_what_is_refused_for_something_else_are_none(world: World, body: dict[str, Any]) -> None:
    fill(world)
    before = world.cluster.state.counted("decision")
    asked = {"name": "web", "image": "tiny", "cores": 4, "memory_bytes": GIB} | body
    assert "--decision" not in world.refused("vm.create", **asked).hint
    assert world.cluster.state.counted("decision") == before and not entries(world, "decision")


def test_a_hold_is_a_decision_and_still_no_is_no_new_one(world: World) -> None:
    for host in ("h1", "h2", "h3"):
        world.create(f"half-{host}", cores=4, host=host)
        world.create(f"rest-{host}", cores=4, host=host)
    accepted = world.ok("vm.create", ANN, name="web", image="tiny", cores=6, memory_bytes=GIB, hold=True)
    held = world.vm("web")["decision"]
    told = ask(world, held)
    assert (told["outcome"], told["job"], told["kept_out"]) == ("held", accepted.job, {"cores": 3})
    assert told["reason"] == world.vm("web")["reason"]
    world.ok("host.set", name="h1", labels={"rack": "r1"})
    world.run(3)
    assert world.vm("web")["decision"] == held, "still the same reason"
    world.ok("vm.destroy", name="half-h1")
    again = ask(world, "web")
    assert world.vm("web")["state"] == "held" and "h1: needs 6 cores, 4 free" in again["reason"]
    assert (again["outcome"], again["before"]) == ("held", held) and again["id"] != held


def test_held_then_placed(world: World) -> None:
    fill(world)
    accepted = world.ok("vm.create", ANN, name="web", image="tiny", cores=4, memory_bytes=GIB, hold=True)
    held = world.vm("web")["decision"]
    world.ok("vm.destroy", name="full-h2")
    placed = ask(world, "web")
    assert (placed["outcome"], placed["host"], placed["before"]) == ("placed", "h2", held)
    assert (placed["by"], placed["verb"], placed["job"]) == ("ann", "vm.create", accepted.job), (
        "who asked, not who let in"
    )
    assert ask(world, accepted.job)["id"] == placed["id"]


def test_the_end_of_a_hold_is_a_refusal(world: World) -> None:
    fill(world)
    world.ok("vm.create", ANN, name="web", image="tiny", cores=4, memory_bytes=GIB, hold=True, hold_seconds=5)
    world.run(10)
    assert world.vm("web")["state"] == "failed"
    told = ask(world, "web")
    assert told["outcome"] == "refused" and "the hold is over" in told["reason"] and told["kept_out"] == {"cores": 3}


def test_a_group_that_waits_is_one_decision(world: World) -> None:
    world.create("big", cores=8, host="h1")
    body = {"image": "tiny", "cores": 5, "memory_bytes": GIB, "count": 3, "hold": True}
    world.ok("vm.create", ANN, name="w", **body)
    idents = {world.vm(name)["decision"] for name in ("w-00", "w-01", "w-02")}
    assert len(idents) == 1
    told = ask(world, idents.pop())
    assert "room for 2 of 3" in told["reason"] and words(told) == {"h2": "fits", "h3": "fits", "h1": "no"}


# -- who may see, and what is gone -----------------------------------------------------------------------------------
def test_somebody_elses_is_not_found(world: World) -> None:
    ident = world.create("web", who=ANN)["decision"]
    assert ask(world, ident, ANN)["id"] == ident
    assert ask(world, ident, BOB).text == f"{ident}: no such decision"
    assert ask(world, ident, ROOT)["id"] == ident


def test_unknown_and_pruned_ones_are_told_apart(world: World) -> None:
    world.create("web")
    assert ask(world, "c-999").text == "c-999: no such decision"
    world.cluster.state.decisions.clear()  # as after a commit: the store has them, and may have pruned them
    gone = ask(world, "c-1")
    assert "older than the change log" in gone.text and "log_days" in gone.hint
    assert isinstance(ask(world, "nix"), Problem) and ask(world, "nix").code == "not-found"


def test_it_is_stored_with_the_claim_and_goes_with_the_entry_that_tells_it(world: World) -> None:
    mark = world.cluster.mark()
    decision = world.decide("vm.create", name="web", image="tiny", cores=1, memory_bytes=GIB)
    puts = {(table, key): value for table, key, value in world.cluster.puts_since(mark)}
    stored = puts["decision", done_key("c-1")]
    assert stored is not None and msgspec.json.decode(stored, type=Choice).host == world.cluster.state.vms["v-1"].host
    assert len(stored) < 400, "one for each placement: it has to be short"
    assert [entry.refers for entry in decision.log if entry.kind == "vm"] == [(("decision", done_key("c-1")),)]
    world.cluster.rollback(mark)
    assert not world.cluster.state.decisions and world.cluster.state.counted("decision") == 0


def test_a_refusal_is_told_and_goes_by_itself(world: World) -> None:
    fill(world)
    decision = world.decide("vm.create", name="web", image="tiny", cores=4, memory_bytes=GIB)
    (entry,) = decision.log
    assert entry.kind == "decision" and entry.refers[0][0] == "decision"


def test_it_names_the_policy_that_it_was_made_by(world: World) -> None:
    world.take(
        world.cluster.happened(lambda turn: adopt(turn, parse_policy(), world.cluster.state.ratios), world.now())
    )
    world.take(
        world.cluster.happened(
            lambda turn: adopt(turn, parse_policy("spread"), world.cluster.state.ratios), world.now()
        )
    )
    assert ask(world, world.create("web")["decision"])["policy_version"] == 2


# -- the same again --------------------------------------------------------------------------------------------------
STORY = """
import sys
sys.path[:0] = [{room!r}, {room!r} + "/lib"]
from tests.core.test_choices import story
print(story())
"""


def story() -> str:
    """A day in the life of a cluster, and all decisions that were made in it, as they are stored."""
    world = World(5)
    for number, host in enumerate(("h1", "h2", "h3", "h4", "h5")):
        world.ok("host.set", name=host, labels={"rack": f"r{number % 2}", "row": "a"})
    for number in range(6):
        asks = {"group": "web", "away": ["db"], "spread": "rack"} if number % 2 else {"group": "db", "near": ["web"]}
        world.create(f"w{number}", cores=1 + number % 3, asks=asks)
    world.ok("vm.migrate", name="w0")
    world.ok("host.drain", name="h2")
    for name in ("late", "later", "latest"):
        world.ok("vm.create", name=name, image="tiny", cores=8, memory_bytes=8 * GIB, hold=True)
    world.refused("vm.create", name="huge", image="tiny", cores=8, memory_bytes=9 * GIB)
    decisions = world.cluster.state.decisions
    return "\n".join(msgspec.json.encode(decisions[key]).decode() for key in sorted(decisions))


def test_the_same_input_gives_the_same_decisions_on_every_machine() -> None:
    here = story()
    assert here.count("placed") >= 7 and "held" in here and "refused" in here
    for seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-c", STORY.format(room=str(ROOM))],
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": os.environ["PATH"], "PYTHONHASHSEED": seed},
        )
        assert told.stdout.strip() == here


def test_a_decision_made_again_from_a_snapshot_of_its_input_is_the_same(world: World) -> None:
    for name, cores in (("a", 3), ("b", 5), ("c", 2)):
        world.create(name, cores=cores, asks={"group": name, "away": ["a"]})
    snapshot = taken(world)
    vm = world.cluster.state.vms[world.create("web", cores=2, asks={"near": ["b"], "apart": ["c"]})["id"]]
    choice = world.cluster.state.decisions[done_key(vm.decision)]
    assert choice.revision == snapshot.revision
    index = Board(snapshot).index
    again = index.pick(demand_of(vm, (), choice.pin, frozenset(choice.exclude)), choice.wall)
    assert again == choice.host
