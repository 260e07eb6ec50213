"""Those that wait for room: who is next, who may pass, and when they are tried."""

from __future__ import annotations

from typing import Any

import pytest

from tashi.core import queue
from tashi.core.cluster import Principal
from tashi.core.placement import PASSES
from tashi.core.settings import Settings
from tests.core.world import GIB, World
from tests.sched.test_scale import steps

ANN, BOB = Principal("ann", "user"), Principal("bob", "user")


@pytest.fixture
def world() -> World:
    return World(3)


def fill(world: World) -> None:
    for host in ("h1", "h2", "h3"):
        world.create(f"full-{host}", cores=8, host=host)


def held(world: World, who: Principal, name: str, cores: int, **more: Any) -> str:
    body = {"name": name, "image": "tiny", "cores": cores, "memory_bytes": GIB // 4, "hold": True} | more
    return world.ok("vm.create", who, **body).job


def states(world: World, *names: str) -> list[str]:
    return [world.vm(name)["state"] for name in names]


def test_users_take_turns(world: World) -> None:
    fill(world)
    for name in ("a1", "a2", "a3"):
        held(world, ANN, name, 4)
    held(world, BOB, "b1", 4)
    world.ok("vm.destroy", name="full-h1")
    assert states(world, "a1", "a2", "a3", "b1") == ["running", "held", "held", "running"]


def test_one_user_s_are_placed_in_order_and_others_may_pass(world: World) -> None:
    fill(world)
    held(world, ANN, "large", 8)
    held(world, ANN, "small", 1)
    held(world, BOB, "other", 1)
    world.ok("vm.destroy", name="full-h1")
    assert states(world, "large", "small", "other") == ["running", "held", "held"]
    world.ok("vm.destroy", name="large")
    assert states(world, "small", "other") == ["running", "running"]


def test_an_earlier_one_of_the_same_user_is_not_passed_but_by_others(world: World) -> None:
    world.create("half", cores=4, host="h1")
    for host in ("h2", "h3"):
        world.create(f"full-{host}", cores=8, host=host)
    held(world, ANN, "large", 8)
    held(world, ANN, "small", 1)
    assert states(world, "large", "small") == ["held", "running"], "what has room at once does not wait"
    world.create("rest", cores=3)
    held(world, ANN, "next", 1)
    held(world, BOB, "other", 1)
    world.ok("vm.destroy", name="rest")
    assert states(world, "large", "next", "other") == ["held", "held", "running"]
    assert world.vm("next")["reason"] == "ann has asked for others before"
    assert world.vm("large")["passed"] == 3


def pass_by(world: World, times: int, **more: Any) -> None:
    for number in range(times):
        world.create(f"quick-{number}", **more)
        world.ok("vm.destroy", name=f"quick-{number}")


def test_after_so_many_a_host_is_kept_for_it_and_the_others_are_open(world: World) -> None:
    """Neither does it wait for ever, nor does all else wait for it."""
    for host in ("h1", "h2", "h3"):
        world.create(f"on-{host}", cores=4 if host != "h2" else 2, host=host)
    held(world, ANN, "large", 8)
    pass_by(world, PASSES - 1)
    assert (world.vm("large")["passed"], world.vm("large")["kept"]) == (PASSES - 1, None)
    pass_by(world, 1)
    assert (world.vm("large")["passed"], world.vm("large")["kept"]) == (PASSES, "h2"), "least is missing there"
    world.create("elsewhere", cores=4, host="h3")
    refused = world.refused("vm.create", name="more", image="tiny", cores=5, memory_bytes=GIB // 4)
    assert "h2: kept for one that has waited long" in refused.text
    assert "kept for" in world.refused("vm.create", name="p", image="tiny", cores=1, memory_bytes=GIB, host="h2").text
    world.ok("vm.destroy", name="on-h2")
    assert (world.vm("large")["state"], world.vm("large")["host"]) == ("running", "h2")
    assert (world.vm("large")["passed"], world.vm("large")["kept"]) == (None, None)
    world.ok("vm.destroy", name="large")
    world.create("more", cores=5, host="h2")


def test_another_host_is_kept_when_the_first_can_t_be_used(world: World) -> None:
    for host in ("h1", "h2", "h3"):
        world.create(f"on-{host}", cores={"h1": 4, "h2": 3, "h3": 6}[host], host=host)
    held(world, ANN, "large", 8)
    pass_by(world, PASSES)
    assert world.vm("large")["kept"] == "h2"
    world.ok("host.drain", name="h2")
    world.run(3)
    assert world.vm("large")["kept"] in ("h1", "h3")
    world.ok("host.resume", name="h2")
    world.run(3)
    assert (world.vm("large")["state"], world.vm("large")["host"]) == ("running", "h2"), "it may go anywhere it fits"


def test_who_waits_for_a_certain_host_has_that_kept(world: World) -> None:
    fill(world)
    world.ok("vm.destroy", name="full-h2")
    held(world, ANN, "large", 8, host="h1")
    held(world, ANN, "small", 1)
    assert states(world, "large", "small") == ["held", "running"], "it keeps nobody back"
    pass_by(world, PASSES)
    assert world.vm("large")["kept"] == "h1"


def test_what_is_called_back_gives_its_host_back(world: World) -> None:
    world.create("on-h1", cores=4, host="h1")
    for host in ("h2", "h3"):
        world.create(f"full-{host}", cores=8, host=host)
    job = held(world, ANN, "large", 8)
    pass_by(world, PASSES)
    held(world, BOB, "waits", 2)
    assert states(world, "waits") == ["held"]
    world.ok("job.cancel", name=job)
    assert states(world, "waits") == ["running"]


@pytest.mark.parametrize("verb", ["job.cancel", "vm.destroy"])
def test_who_leaves_the_queue_keeps_nobody_back(world: World, verb: str) -> None:
    fill(world)
    world.ok("host.set", name="h2", labels={"disk": "fast"})
    first = held(world, ANN, "first", 1, asks={"labels": {"disk": "fast"}})
    held(world, ANN, "next", 1)
    world.ok("vm.destroy", name="full-h1")
    assert states(world, "first", "next") == ["held", "held"]
    world.ok(verb, name=first if verb == "job.cancel" else "first")
    assert states(world, "next") == ["running"]


def test_a_hold_ends_behind_others_too(world: World) -> None:
    fill(world)
    held(world, ANN, "first", 8)
    held(world, ANN, "next", 1, hold_seconds=20)
    world.run(30)
    assert states(world, "first", "next") == ["held", "failed"]
    assert world.vm("next")["reason"] == "the hold is over: ann has asked for others before"


def test_when_a_hold_ends_the_next_one_is_let_in(world: World) -> None:
    world.create("half", cores=4, host="h1")
    world.create("rest", cores=4, host="h1")
    for host in ("h2", "h3"):
        world.create(f"full-{host}", cores=8, host=host)
    held(world, ANN, "first", 8, hold_seconds=20)
    held(world, ANN, "next", 1)
    world.ok("vm.destroy", name="rest")
    assert states(world, "first", "next") == ["held", "held"]
    world.run(30)
    assert states(world, "first", "next") == ["failed", "running"]


def test_nothing_is_tried_while_nothing_changes(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(world)
    held(world, ANN, "w", 1)
    held(world, BOB, "later", 1, hold_seconds=20)
    world.run(3)
    tried: list[float] = []
    retry = queue.retry
    monkeypatch.setattr(queue, "retry", lambda turn: (tried.append(turn.now.monotonic), retry(turn)))
    began = world.seconds
    world.run(15)
    assert tried == []
    world.run(10)
    assert len(tried) == 1, "a hold has ended"
    assert began < tried[0]
    assert states(world, "w", "later") == ["held", "failed"]


def test_the_reason_is_the_one_of_now(world: World) -> None:
    fill(world)
    held(world, ANN, "w", 8)
    assert "h2: needs 8 cores, 0 free" in world.vm("w")["reason"]
    world.ok("vm.destroy", name="full-h2")
    world.ok("vm.destroy", name="w")
    world.create("small", cores=6, host="h2")
    held(world, ANN, "v", 8)
    world.ok("vm.destroy", name="small")
    assert states(world, "v") == ["running"]


def test_many_that_wait_for_the_same_are_asked_for_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(world)
    for number in range(30):
        held(world, Principal(f"user-{number}", "user"), f"w{number}", 4)
    tried: list[str] = []
    place = queue.place
    monkeypatch.setattr(queue, "place", lambda turn, vm: (tried.append(vm.name), place(turn, vm))[1])
    world.ok("vm.destroy", name="full-h1")
    assert tried[:3] == ["w0", "w1", "w2"]
    assert len(tried) == 3


def test_who_finds_room_costs_the_same_however_many_wait() -> None:
    def steps_with(requests: int) -> int:
        world = World(3, Settings(pool_bytes=1000 * GIB))
        for host, cores in (("h1", 8), ("h2", 8), ("h3", 7)):
            world.create(f"full-{host}", cores=cores, host=host)
        for number in range(requests):
            held(world, Principal(f"user-{number}", "user"), "w", 1, count=20)
        want = {"name": "one", "image": "tiny", "cores": 1, "memory_bytes": GIB // 4, "dry_run": True}
        world.decide("vm.create", **want)
        return steps(lambda: world.decide("vm.create", **want))

    assert 0 < steps_with(10) < 1.1 * steps_with(1)


def test_as_many_as_there_is_room_for_pass_those_that_wait_too(world: World) -> None:
    world.create("half", cores=4, host="h1")
    for host in ("h2", "h3"):
        world.create(f"full-{host}", cores=8, host=host)
    held(world, ANN, "large", 8)
    world.ok("vm.create", BOB, name="b", image="tiny", cores=1, memory_bytes=GIB // 4, count=8, partial=True)
    assert world.vm("large")["passed"] == 1


def test_who_waits_is_passed_by_those_that_come_later_alone(world: World) -> None:
    """However many were placed while others waited."""
    world.create("half", cores=4, host="h1")
    for host in ("h2", "h3"):
        world.create(f"full-{host}", cores=8, host=host)
    held(world, ANN, "first", 8)
    pass_by(world, 3)
    held(world, BOB, "second", 8)
    pass_by(world, 2)
    assert (world.vm("first")["passed"], world.vm("second")["passed"]) == (5, 2)


def test_for_parts_of_one_request_a_host_each_is_kept(world: World) -> None:
    for host in ("h1", "h2", "h3"):
        world.create(f"on-{host}", cores=4, host=host)
    held(world, ANN, "large", 8, count=2)
    entries = len(world.log)
    pass_by(world, PASSES - 1)
    assert not [entry for entry in world.log[entries:] if "large" in entry["name"]], "to be passed is no news"
    pass_by(world, 1)
    assert [(vm["passed"], vm["kept"]) for vm in world.rows(where=["name=~^large"])] == [(PASSES, "h1"), (PASSES, "h2")]
    world.ok("vm.destroy", name="on-h1")
    assert states(world, "large-00", "large-01") == ["held", "held"], "together or not at all"
    world.ok("vm.destroy", name="on-h2")
    assert states(world, "large-00", "large-01") == ["running", "running"]


def test_one_is_let_in_where_a_group_of_the_same_is_not(world: World) -> None:
    fill(world)
    held(world, ANN, "group", 4, count=3)
    held(world, BOB, "one", 4)
    world.ok("vm.destroy", name="full-h1")
    assert states(world, "group-00", "group-01", "group-02", "one") == ["held", "held", "held", "running"]


def test_room_on_a_kept_host_is_for_the_one_that_it_is_kept_for(world: World) -> None:
    """Though one that has waited longer for the same was tried before, and found none."""
    for host in ("h1", "h2", "h3"):
        world.create(f"on-{host}", cores=4, host=host)
    held(world, ANN, "a", 8)
    held(world, BOB, "b", 8)
    pass_by(world, PASSES)
    assert [world.vm(name)["kept"] for name in ("a", "b")] == ["h1", "h2"]
    world.ok("vm.destroy", name="on-h2")
    assert states(world, "a", "b") == ["held", "running"]


def test_a_part_s_reason_is_that_of_all_parts(world: World) -> None:
    world.create("some", cores=4, host="h1")
    held(world, ANN, "g", 8, count=3)
    said = "room for 2 of 3, and it is all or none; with those placed, "
    assert [said in vm["reason"] for vm in world.rows(where=["name=~^g"])] == [True] * 3
    world.create("more", cores=8, host="h2")
    world.ok("vm.destroy", name="some")
    assert [said in vm["reason"] for vm in world.rows(where=["name=~^g"])] == [True] * 3


def test_more_than_all_hosts_together_could_hold_is_impossible(world: World) -> None:
    """And so is what is to be apart on more hosts than there are."""
    body = {"name": "grp", "image": "tiny", "cores": 1, "memory_bytes": 2**20, "hold": True}
    refused = world.refused("vm.create", **body, count=25)
    assert (refused.code, refused.text) == ("impossible", "grp-24: all hosts together could ever hold 24 of 25")
    refused = world.refused("vm.create", **body, count=4, asks={"apart": ["g"], "group": "g"})
    assert (refused.code, refused.text) == ("impossible", "grp-03: all hosts together could ever hold 3 of 4")
    fill(world)
    assert world.ok("vm.create", **body, count=24).held
