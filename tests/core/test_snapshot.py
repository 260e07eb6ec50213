"""The cluster as text: what is there, what it counts, and what can't be moved now; plans made of it are checked."""

from __future__ import annotations

import msgspec
import pytest

from tashi.core.cluster import Principal
from tashi.sched.plan.board import Board
from tashi.sched.plan.snapshot import Snapshot
from tashi.sched.plan.text import read
from tashi.sched.plan.whatif import ask
from tests.core.world import GIB, World


@pytest.fixture
def world() -> World:
    return World()


def lines(world: World, limit: int = 500) -> list[str]:
    found: list[str] = []
    cursor = ""
    while True:
        decision = world.decide("snapshot", cursor=cursor, limit=limit)
        assert decision.reply is not None and decision.reply.error is None
        found += (decision.rows or b"").decode().splitlines()
        cursor = msgspec.json.decode(decision.reply.ok).get("cursor", "")
        if not cursor:
            return found


def taken(world: World) -> Snapshot:
    return read(lines(world))


def test_it_is_the_cluster_as_placement_counts_it(world: World) -> None:
    world.create("web", 2, host="h1")
    world.create("db", 3, host="h2", asks={"group": "db", "apart": [""]})
    world.create("off", 1, host="h1")
    world.ok("vm.shutdown", name="off")
    world.ok("host.drain", name="h3")
    world.ok("vm.create", name="large", image="tiny", cores=7, memory_bytes=GIB, hold=True)
    snap = taken(world)
    assert [each.name for each in snap.hosts.values()] == ["h1", "h2", "h3"]
    assert snap.hosts["h-3"].supply.closed == "drained"
    assert {each.name: each.host for each in snap.guests.values()} == {"web": "h-1", "db": "h-2", "large": ""}
    db = next(each for each in snap.guests.values() if each.name == "db")
    assert db.demand.rules.apart == ("root/db",)
    assert (db.stays, db.generation) == ("", world.vm("db")["generation"])
    board, index = Board(snap), world.cluster.state.index
    assert {host: board.index.free(host) for host in snap.hosts} == {host: index.free(host) for host in snap.hosts}
    assert snap.policy == world.cluster.state.index.policy


def test_pages_are_the_same_lines(world: World) -> None:
    for name in ("a", "b", "c"):
        world.create(name)
    assert lines(world, 1) == lines(world, 2) == lines(world)
    told = world.refused("snapshot", cursor="moon:1:2:3")
    assert told.code == "bad-request"


def test_what_can_t_be_moved_says_why(world: World) -> None:
    world.create("web", host="h1")
    world.host("h1").holding.add("migrate")
    job = world.ok("vm.migrate", name="web", to="h2").job
    (web,) = taken(world).guests.values()
    assert (web.host, web.also, web.stays) == ("h-1", ("h-2",), f"locked by {job}")


def test_a_migration_leaves_its_rate_and_its_time(world: World) -> None:
    world.create("web", host="h1")
    assert taken(world).hosts["h-1"].link_bytes_per_second == 0
    world.ok("vm.migrate", name="web", to="h2")
    job = next(row for row in world.rows("job") if row["verb"] == "vm.migrate")
    snap = taken(world)
    assert snap.hosts["h-1"].link_bytes_per_second == int(job["bytes"] / job["total_seconds"])
    assert snap.hosts["h-2"].link_bytes_per_second == 0
    (web,) = snap.guests.values()
    assert 0 < web.moved_wall <= snap.wall


def test_a_move_planned_for_another_generation_is_refused(world: World) -> None:
    generation = world.create("web", host="h1")["generation"]
    world.ok("vm.migrate", name="web", to="h2", if_generation=generation)
    told = world.refused("vm.migrate", name="web", to="h1", if_generation=generation)
    assert told.code == "conflict"
    now = world.vm("web")["generation"]
    assert told.text == (
        f"web: it has changed since that was planned: generation {now}, not {generation}; it is running on h2 now"
    )
    world.ok("vm.migrate", name="web", to="h1", if_generation=now)


def test_those_that_wait_would_come_in_as_they_then_do(world: World) -> None:
    for name in ("ann", "bob"):
        world.ok("user.add", name=name, uid=len(name) + ord(name[0]))
    world.ok("host.drain", name="h2")
    world.ok("host.drain", name="h3")
    ann, bob = Principal("ann", "user"), Principal("bob", "user")
    world.create("full", 8, host="h1")
    for who, name, cores in ((ann, "large", 7), (ann, "small", 2), (bob, "mid", 4), (bob, "last", 4), (bob, "end", 1)):
        want = {"image": "tiny", "memory_bytes": GIB, "hold": True}
        world.ok("vm.create", who, name=name, cores=cores, **want)
    world.ok("vm.create", name="set", image="tiny", cores=1, memory_bytes=GIB, place=False)
    snap = taken(world)
    opened = snap.hosts["h-3"]._replace(supply=snap.hosts["h-3"].supply._replace(closed=""))
    board = Board(snap._replace(hosts={**snap.hosts, "h-3": opened}))
    told = ask(board, "nothing").worst
    assert told is not None
    would = {snap.guests[guest].name: host for guest, host in told.placed.items()}
    left = {snap.guests[guest].name for guest in told.left}
    world.ok("host.resume", name="h3")
    world.run(2)
    there = {row["name"]: row["host"] for row in world.rows() if row["name"] not in ("full", "set")}
    assert {name: f"h-{host[1:]}" for name, host in there.items() if host} == would
    assert {name for name, host in there.items() if not host} == left and would and left
