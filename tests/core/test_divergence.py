"""A store from yesterday against hosts of today: all is shown, nothing is ended, an administrator's word settles it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tashi.core.cluster import Cluster, Principal
from tashi.wire.agents import Row, Rows
from tests.core.world import GIB, SECRET, World

pytestmark = pytest.mark.fault(21)
Kept = dict[tuple[str, str], bytes]
BEFORE = 1000  # by how much restoring raises what is counted


def put_back(world: World, kept: Kept, marked: bool = True, epoch: int = 0) -> None:
    """Another controller, on a store as it was. All agents find it."""
    counters = {key: json.loads(value) for (table, key), value in kept.items() if table == "meta"}
    cluster = Cluster(world.cluster.settings, lambda: SECRET)
    for (table, key), value in kept.items():
        cluster.load(table, [(key, value)])
    if marked:
        for kind, number in counters.items():
            cluster.load("meta", [(kind, json.dumps(number + BEFORE).encode())])
        restored = {"at": "2026-01-01T00:00:00Z", "counters": counters}
        cluster.load("meta", [("restored", json.dumps(restored).encode())])
    cluster.loaded(world.now(), epoch or world.cluster.epoch + BEFORE, world.cluster.revision)
    world.cluster = cluster
    world.shown.clear()
    world.said.clear()
    world.orders.clear()


def reconnect(world: World, *names: str) -> None:
    """These hosts find the controller."""
    for name in names:
        world.host(name).start()
    world.settle()


def differing(world: World) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in world.rows("difference")}


def status(world: World) -> dict[str, Any]:
    reply = world.decide("status").reply
    assert reply is not None
    answer: dict[str, Any] = json.loads(bytes(reply.ok or b""))
    return answer


def guests(world: World) -> dict[str, dict[str, str]]:
    return {host.name: {vm: state for vm, (state, _) in host.guests.items()} for host in world.hosts.values()}


def rows_for(world: World, vm: str) -> list[Row]:
    return [row for _, message in world.orders if isinstance(message, Rows) for row in message.rows if row.vm == vm]


class Day(World):
    """What the fixture tells of it."""

    kept: Kept
    ids: dict[str, str]


@pytest.fixture
def world() -> Day:
    """A day: `kept` are the records of its morning, `ids` all VMs by name.

    Since then `new` was made, `over` was destroyed, `moved` went from h1 to h2, `again` was stopped and started;
    `same` runs as it did, `rest` was stopped all along.
    """
    world = Day()
    for name in ("same", "over", "moved", "again", "rest"):
        world.create(name, host="h1")
    world.ok("vm.shutdown", name="rest")
    world.run(2)
    world.kept = world.everything()
    world.create("new", host="h3", asks={"features": ["firmware=uefi"]})
    world.ids = {row["name"]: row["id"] for row in world.rows()}
    world.ok("vm.destroy", name="over")
    world.ok("vm.migrate", name="moved", to="h2")
    world.ok("vm.shutdown", name="again")
    world.run(2)
    world.ok("vm.start", name="again", host="h1")
    world.run(2)
    return world


def test_nothing_is_ended_and_all_is_shown(world: Day) -> None:
    before = guests(world)
    put_back(world, world.kept)
    reconnect(world, "h1", "h2", "h3")
    world.run(100)
    assert guests(world) == before
    found = differing(world)
    assert {name: row["difference"] for name, row in found.items()} == {
        "new": "stray", "over": "missing", "moved": "elsewhere", "again": "newer",
    }  # fmt: skip
    assert (found["moved"]["host"], found["moved"]["record"]) == ("h2", "running on h1, generation 1")
    assert status(world)["differences"] == 4 and status(world)["restored_at"]
    assert {name: world.vm(name)["state"] for name in ("same", "over", "moved", "again", "rest")} == {
        "same": "running", "over": "unknown", "moved": "unknown", "again": "unknown", "rest": "stopped",
    }  # fmt: skip
    assert "h2 says otherwise" in world.vm("moved")["reason"]
    for name in ("new", "over", "moved", "again"):
        assert not rows_for(world, world.ids[name]), name


@pytest.mark.parametrize("verb", ["vm.start", "vm.shutdown", "vm.destroy", "vm.migrate"])
def test_what_differs_is_refused_and_what_does_not_is_served(world: Day, verb: str) -> None:
    put_back(world, world.kept)
    reconnect(world, "h1", "h2", "h3")
    world.run(3)
    problem = world.refused(verb, name="moved")
    assert problem.code == "wrong-state" and "tashi-adopt" in problem.hint
    world.ok("vm.destroy", name="same")
    world.ok("vm.start", name="rest")
    assert world.vm("rest")["state"] == "running"


def test_adopting_takes_the_hosts_word(world: Day) -> None:
    put_back(world, world.kept)
    reconnect(world, "h1", "h2", "h3")
    world.run(3)
    before = guests(world)
    for name in ("new", "over", "moved", "again"):
        world.ok("adopt", name=name)
    world.run(3)
    assert guests(world) == before, "no guest was touched"
    assert differing(world) == {} and status(world)["restored_at"] is None
    assert {row["name"]: (row["state"], row["host"] or "") for row in world.rows()} == {
        "same": ("running", "h1"), "over": ("stopped", ""), "moved": ("running", "h2"), "again": ("running", "h1"),
        "rest": ("stopped", "h1"), "new": ("running", "h3"),
    }  # fmt: skip
    assert world.vm("new")["id"] == world.ids["new"] and world.vm("new")["owner"] == "root"
    assert world.vm("new")["rules"] == ["feature:firmware=uefi"], "it boots by the same"
    world.ok("vm.migrate", name="moved", to="h3")
    world.ok("vm.migrate", name="new", to="h1")
    world.ok("vm.destroy", name="again")
    world.run(3)
    assert world.vm("moved")["host"] == "h3" and world.vm("new")["host"] == "h1"
    assert world.missing("again")


def test_what_was_destroyed_since_gets_no_empty_disk_instead(world: Day) -> None:
    put_back(world, world.kept)
    reconnect(world, "h1", "h2", "h3")
    world.run(3)
    world.ok("adopt", name="over")
    before = set(world.disks)
    world.ok("vm.start", name="over")
    over = world.vm("over")
    assert over["state"] == "failed" and "is not there" in over["reason"]
    assert world.disks == before


def test_forgetting_drops_the_record_or_leaves_the_stray(world: Day) -> None:
    put_back(world, world.kept)
    reconnect(world, "h1", "h2", "h3")
    world.run(3)
    before = guests(world)
    for name in ("new", "over", "moved"):
        world.ok("forget", name=name)
    world.run(70)
    assert guests(world) == before
    assert list(differing(world)) == ["again"]
    assert world.missing("over") and world.missing("moved") and world.missing("new")
    host = world.rows("host", names=["h2"])[0]
    assert host["strays"] == [world.ids["moved"]] and not host["reason"]


def test_what_is_asked_with_dry_run_changes_nothing(world: Day) -> None:
    put_back(world, world.kept)
    reconnect(world, "h1", "h2", "h3")
    world.run(3)
    before, listed = world.everything(), differing(world)
    for name in listed:
        world.ok("adopt", name=name, dry_run=True)
        world.ok("forget", name=name, dry_run=True)
    assert world.everything() == before and differing(world) == listed


def test_until_all_have_reported_nothing_old_is_started(world: Day) -> None:
    put_back(world, world.kept)
    reconnect(world, "h1", "h3")
    world.host("h2").up = False
    world.run(10)
    problem = world.refused("vm.start", name="rest")
    assert problem.code == "locked" and "h2 has not been compared" in problem.text
    world.create("fresh")
    assert world.vm("fresh")["state"] == "running", "made since: it is nowhere else"
    assert differing(world)["h2"]["difference"] == "silent"
    assert world.refused("adopt", name="h2").code == "wrong-state"
    world.ok("forget", name="h2")
    world.ok("vm.start", name="rest")
    assert world.vm("rest")["state"] == "running"


def test_what_it_asks_is_remembered_by_the_next_controller(world: Day) -> None:
    put_back(world, world.kept)
    reconnect(world, "h1", "h2", "h3")
    world.run(3)
    world.ok("forget", name="new")
    before = guests(world)
    put_back(world, world.everything(), marked=False)
    reconnect(world, "h1", "h2", "h3")
    world.run(3)
    assert sorted(differing(world)) == ["again", "moved", "over"] and guests(world) == before


def test_an_id_that_a_guest_has_is_not_given_again(world: Day) -> None:
    put_back(world, world.kept, marked=False)
    reconnect(world, "h1", "h2", "h3")
    world.run(3)
    assert differing(world)["new"]["difference"] == "stray"
    assert world.create("fresh")["id"] not in world.ids.values()


def test_a_store_behind_the_agents_epoch_waits_for_an_administrators_word(world: Day) -> None:
    world.cluster.epoch = 9
    world.run(3)  # all agents obey it
    put_back(world, world.kept, marked=False, epoch=3)
    before = guests(world)
    reconnect(world, "h1", "h2", "h3")
    world.run(10)
    assert {row["difference"] for row in differing(world).values()} == {"epoch"}
    assert world.rows("host", names=["h1"])[0]["reason"].startswith("its agent has obeyed a newer store")
    assert world.refused("forget", name="h1").code == "wrong-state"
    world.ok("adopt", name="h1")
    reconnect(world, "h1", "h2", "h3")
    world.run(3)
    assert world.cluster.epoch == 10
    assert sorted(differing(world)) == ["again", "moved", "new", "over"] and guests(world) == before


def test_strays_count_where_room_is_looked_for(world: Day) -> None:
    put_back(world, world.kept)
    reconnect(world, "h1", "h2", "h3")
    world.run(3)
    assert world.rows("host", names=["h3"])[0]["cores_used"] == 1
    world.ok("adopt", name="new")
    assert world.rows("host", names=["h3"])[0]["cores_used"] == 1
    assert (
        world.refused("vm.create", name="large", image="tiny", cores=8, memory_bytes=GIB, host="h3").code == "no-room"
    )


def test_one_that_runs_twice_is_adopted_from_neither(world: Day) -> None:
    put_back(world, world.kept)
    world.host("h3").guests[world.ids["same"]] = ("running", 7)
    reconnect(world, "h1", "h2", "h3")
    world.run(3)
    assert differing(world)["same"]["difference"] == "twice"
    assert "runs on h1, h3" in world.refused("adopt", name="same").text
    world.host("h3").guests.pop(world.ids["same"])
    world.run(70)
    assert "same" not in differing(world) and world.vm("same")["state"] == "running"


def test_a_stray_whose_image_has_no_record_says_so(world: Day) -> None:
    kept = {key: value for key, value in world.kept.items() if key[0] != "image"}
    put_back(world, kept)
    reconnect(world, "h1", "h2", "h3")
    world.run(3)
    problem = world.refused("adopt", name="new")
    assert "images/tiny.raw" in problem.text and "timg-add" in problem.hint
    world.ok("image.add", name="tiny", path="images/tiny.raw", format="raw")
    world.ok("adopt", name="new")
    assert world.vm("new")["image"] == "tiny"


def test_differences_are_for_operators(world: Day) -> None:
    decision = world.decide("list", Principal("ann", "user"), noun="difference")
    assert decision.reply is not None and decision.reply.error is not None
    assert decision.reply.error.code == "denied"
