"""What the rules make of a VM's life, seen by who asked for it."""

from __future__ import annotations

import pytest

from tashi.agent import events
from tashi.core.cluster import Found, Principal
from tashi.core.settings import Settings
from tests.core.world import GIB, ROOT, World

ALICE, BOB = Principal("alice", "operator"), Principal("bob", "operator")


@pytest.fixture
def world() -> World:
    return World()


def test_created_vm_runs_and_holds_its_capacity(world: World) -> None:
    vm = world.create("web", cores=2)
    assert (vm["state"], vm["host"], vm["owner"]) == ("running", "h1", "root")
    assert world.rows("host", names=["h1"])[0]["cores_used"] == 2
    assert world.rows("job", where=["verb=vm.create"])[0]["state"] == "done"


def test_many_are_numbered_and_placed_all_or_none(world: World) -> None:
    answer = world.ok("vm.create", name="n", image="tiny", cores=2, memory_bytes=GIB // 4, count=12)
    assert sorted(answer.objects.values()) == [f"n-{at:02d}" for at in range(12)]
    assert {vm["state"] for vm in world.rows()} == {"running"}
    assert world.job(answer.job)["state"] == "done"
    problem = world.refused("vm.create", name="m", image="tiny", cores=1, memory_bytes=GIB // 4, count=1)
    assert problem.code == "no-room"


def test_a_refusal_names_each_host_and_its_reason(world: World) -> None:
    world.create("a", cores=6, host="h1")
    world.ok("host.drain", name="h2")
    world.host("h3").up = False
    world.run(7)
    problem = world.refused("vm.create", name="b", image="tiny", cores=4, memory_bytes=GIB)
    assert problem.code == "no-room" and problem.retry
    assert "h1: needs 4 cores, 2 free" in problem.text
    assert "h2: drained" in problem.text
    assert "h3: silent since" in problem.text


def test_what_no_host_could_ever_hold_is_impossible_and_never_held(world: World) -> None:
    problem = world.refused("vm.create", name="b", image="tiny", cores=9, memory_bytes=GIB, hold=True)
    assert problem.code == "impossible"
    problem = world.refused("vm.create", name="b", image="tiny", cores=1, memory_bytes=8193 * 2**20)
    assert "8193M" in problem.text
    problem = world.refused("vm.create", name="b", image="tiny", cores=1, memory_bytes=GIB, disk_bytes=101 * GIB)
    assert problem.code == "impossible"


def test_the_pools_disk_is_counted_once(world: World) -> None:
    world.create("a", disk_bytes=60 * GIB)
    problem = world.refused("vm.create", name="b", image="tiny", cores=1, memory_bytes=GIB, disk_bytes=60 * GIB)
    assert problem.code == "no-room" and "pool" in problem.text
    world.ok("vm.destroy", name="a")
    world.create("b", disk_bytes=60 * GIB)


def test_held_vms_start_first_come_first_served(world: World) -> None:
    for host in ("h1", "h2", "h3"):
        world.create(f"full-{host}", cores=8, host=host)
    first = world.create("first", cores=8, hold=True)
    second = world.create("second", cores=1, hold=True)
    assert (first["state"], second["state"]) == ("held", "held")
    assert "needs 8 cores" in first["reason"]
    world.ok("vm.destroy", name="full-h2")
    assert world.vm("first")["state"] == "running"
    assert world.vm("second")["state"] == "held", "a later one must not pass the first"
    world.ok("vm.destroy", name="full-h1")
    assert world.vm("second")["state"] == "running"


def test_a_hold_ends_when_its_time_is_over(world: World) -> None:
    for host in ("h1", "h2", "h3"):
        world.create(f"full-{host}", cores=8, host=host)
    answer = world.ok("vm.create", name="w", image="tiny", cores=1, memory_bytes=GIB, hold=True, hold_seconds=5)
    world.run(7)
    assert world.vm("w")["state"] == "failed"
    assert world.job(answer.job)["state"] == "failed"
    assert "needs 1 core" in world.vm("w")["reason"]


def test_the_time_that_a_start_may_take_begins_when_it_has_a_place(world: World) -> None:
    """However long it waited for one: what was spent by then was not the host's to spend."""
    for name in ("a", "b", "c"):
        world.create(name, cores=8)
    asked = world.ok("vm.create", name="w", image="tiny", cores=8, memory_bytes=GIB, hold=True)
    world.run(Settings().start_seconds + 20)
    for host in ("h1", "h2", "h3"):
        world.host(host).holding.add("start")
    world.ok("vm.destroy", name="a")
    assert world.vm("w")["state"] == "starting"
    world.run(Settings().start_seconds - 10)
    assert world.job(asked.job)["state"] == "running"
    world.run(20)
    assert (world.job(asked.job)["state"], "in time" in world.job(asked.job)["reason"]) == ("failed", True)


def unplaced(world: World, name: str, **more: object) -> None:
    asked = world.ok("vm.create", name=name, image="tiny", cores=1, memory_bytes=GIB, place=False, **more)
    assert asked.done


def test_each_of_many_is_told_of_with_its_own_operation(world: World) -> None:
    unplaced(world, "w", count=2)
    world.ok("vm.create", name="x", image="tiny", cores=1, memory_bytes=GIB, count=2)
    world.settle()
    own = {job["target"]: job["id"] for job in world.rows("job") if job["target"] and job["verb"] == "vm.create"}
    told = {(entry["id"], entry["job"]) for entry in world.log if entry["kind"] == "vm"}
    assert told == set(own.items()) and len(own) == 4


def test_what_others_place_waits_until_they_do(world: World) -> None:
    """However much room there is, and whatever comes of it: no queue takes it."""
    unplaced(world, "w", count=2)
    world.run(10)
    assert [(vm["state"], vm["host"], vm["reason"]) for vm in world.rows()] == [
        ("held", None, "waits for tvm-place")
    ] * 2
    placed = world.ok("vm.place", name="w-01", host="h3")
    assert placed.placement == {"w-01": "h3"}
    assert [(vm["name"], vm["state"], vm["host"]) for vm in world.rows()] == [
        ("w-00", "held", None),
        ("w-01", "running", "h3"),
    ]
    assert world.job(placed.job)["state"] == "done"
    world.create("other", cores=8, hold=True)
    assert world.vm("w-00")["state"] == "held"


def test_a_place_is_checked_and_claimed(world: World) -> None:
    unplaced(world, "w")
    world.create("full", cores=8, host="h1")
    refused = world.refused("vm.place", name="w", host="h1")
    assert (refused.code, refused.text) == ("no-room", "w: h1: needs 1 core, 0 free")
    assert world.refused("vm.place", name="w", host="h9").code == "not-found"
    assert "it is running" in world.refused("vm.place", name="full", host="h2").text
    world.host("h2").holding.add("start")
    world.ok("vm.place", name="w", host="h2")
    assert world.refused("vm.place", name="w", host="h3").code == "locked"
    assert world.rows("host", names=["h2"])[0]["cores_used"] == 1


def test_a_place_that_comes_to_nothing(world: World) -> None:
    """Called back, or not begun in time: the VM is there to be started, its place is free."""
    for name in ("back", "late"):
        unplaced(world, name)
    world.host("h2").holding.add("start")
    world.ok("job.cancel", name=world.ok("vm.place", name="back", host="h2").job)
    late = world.ok("vm.place", name="late", host="h2")
    world.run(Settings().start_seconds + 5)
    assert (world.job(late.job)["state"], "in time" in world.job(late.job)["reason"]) == ("failed", True)
    assert world.vm("back")["desired"] == "stopped"


def test_what_waits_for_a_place_is_in_no_queue_and_on_no_host(world: World) -> None:
    for more in ({"hold": True}, {"host": "h1"}):
        body = {"name": "w", "image": "tiny", "cores": 1, "memory_bytes": GIB, "place": False} | more
        assert world.refused("vm.create", **body).code == "bad-request"
    unplaced(world, "w")
    world.ok("vm.destroy", name="w")
    assert world.rows() == []


def test_parts_of_one_held_request_start_together(world: World) -> None:
    for host in ("h1", "h2", "h3"):
        world.create(f"full-{host}", cores=8, host=host)
    world.ok("vm.create", name="g", image="tiny", cores=8, memory_bytes=GIB, count=2, hold=True)
    world.ok("vm.destroy", name="full-h1")
    assert [vm["state"] for vm in world.rows(where=["name=~^g-"])] == ["held", "held"]
    world.ok("vm.destroy", name="full-h2")
    assert [vm["state"] for vm in world.rows(where=["name=~^g-"])] == ["running", "running"]


def test_shutdown_stops_and_start_runs_elsewhere_with_nothing_left_behind(world: World) -> None:
    world.create("web", host="h1")
    answer = world.ok("vm.shutdown", name="web")
    assert world.vm("web")["state"] == "stopped"
    assert world.job(answer.job)["state"] == "done"
    world.ok("vm.start", name="web", host="h2")
    vm = world.vm("web")
    assert (vm["state"], vm["host"]) == ("running", "h2")
    assert vm["id"] not in world.host("h1").guests


def test_a_guest_that_ignores_the_button_goes_on_and_the_operation_says_so(world: World) -> None:
    world.create("deaf")
    world.host("h1").holding.add("press_power_button")
    answer = world.ok("vm.shutdown", name="deaf", timeout_seconds=3)
    assert world.vm("deaf")["state"] == "shutting-down"
    world.run(4)
    assert world.job(answer.job)["state"] == "failed"
    assert "tvm-shutdown --force" in world.job(answer.job)["reason"]
    assert world.vm("deaf")["state"] == "running"


def test_power_is_cut_where_the_guest_does_not_answer(world: World) -> None:
    """While a shutdown still waits for it, too: that one is taken over. The disk and the record stay."""
    world.create("web", host="h1")
    world.host("h1").holding.add("press_power_button")
    asked = world.ok("vm.shutdown", name="web")
    assert world.refused("vm.shutdown", name="web").code == "locked"
    cut = world.ok("vm.shutdown", name="web", force=True)
    assert (world.job(asked.job)["state"], world.job(cut.job)["state"]) == ("cancelled", "done")
    assert (world.vm("web")["state"], world.vm("web")["reason"]) == ("stopped", "its power was cut, as asked")
    assert "it is stopped" in world.refused("vm.shutdown", name="web", force=True).text
    world.ok("vm.start", name="web")
    assert world.vm("web")["state"] == "running"


def test_a_host_that_does_not_cut_the_power_is_asked_again_and_said_to_be(world: World) -> None:
    world.create("web", host="h1")
    world.host("h1").holding.add("stop")
    cut = world.ok("vm.shutdown", name="web", force=True)
    assert world.vm("web")["state"] == "shutting-down"
    world.run(Settings().stop_seconds + 5)
    assert (world.job(cut.job)["state"], "did not end it in time" in world.job(cut.job)["reason"]) == ("failed", True)
    world.host("h1").holding.clear()
    world.run(40)
    assert world.vm("web")["state"] == "shutting-down", "the call that does not come back is the host's one"


def test_a_guest_that_ends_by_itself_is_stopped_and_not_started_again(world: World) -> None:
    vm = world.create("web")
    world.host("h1").ends(vm["id"])
    world.run(3)
    after = world.vm("web")
    assert after["state"] == "stopped" and after["desired"] == "stopped"
    assert after["generation"] > vm["generation"]
    assert world.host("h1").guests[vm["id"]][0] == "stopped"
    assert after["reason"] == "the guest ended by itself"


def test_a_guest_that_was_ended_is_said_to_be(world: World) -> None:
    host = world.host("h1")
    host.ends(world.create("shot", host="h1")["id"], "its QEMU crashed or was killed")
    host.guests.pop(world.create("lost", host="h1")["id"])
    shot_down = world.create("asked", host="h1")
    host.holding.add("press_power_button")
    answer = world.ok("vm.shutdown", name="asked")
    host.ends(shot_down["id"], "its power was cut on its host")
    world.run(70)
    assert world.vm("shot")["reason"] == "its QEMU crashed or was killed"
    assert world.vm("lost")["reason"] == "it vanished from its host"
    assert world.vm("asked")["reason"] == "its power was cut on its host"
    assert (world.job(answer.job)["state"], world.job(answer.job)["reason"]) == (
        "done",
        "its power was cut on its host",
    )


def test_a_start_that_fails_is_told_and_frees_its_capacity(world: World) -> None:
    world.host("h1").failing["start"] = "no such machine type"
    answer = world.ok("vm.create", name="web", image="tiny", cores=8, memory_bytes=GIB, host="h1")
    assert world.vm("web")["state"] == "failed"
    assert world.vm("web")["reason"] == "no such machine type"
    assert world.job(answer.job)["reason"] == "no such machine type"
    assert world.rows("host", names=["h1"])[0]["cores_used"] == 0
    del world.host("h1").failing["start"]
    world.ok("vm.start", name="web")
    assert world.vm("web")["state"] == "running" and not world.vm("web")["reason"]


@pytest.mark.parametrize("host", ["h1", "h2"])
def test_a_disk_that_is_gone_is_not_replaced(world: World, host: str) -> None:
    world.create("web", host="h1")
    world.ok("vm.shutdown", name="web")
    world.run(2)
    kept, world.disks = world.disks, set()
    job = world.ok("vm.start", name="web", host=host).job
    shown = world.vm("web")
    assert (shown["state"], shown["reason"]) == ("failed", f"its disk disks/{shown['id']}.qcow2 is not there")
    assert world.job(job)["reason"] == shown["reason"]
    assert not world.disks
    world.disks = kept
    world.ok("vm.start", name="web")
    assert world.vm("web")["state"] == "running"


def test_a_first_start_that_failed_or_broke_off_is_made_up_for(world: World) -> None:
    """It may have made the disk or not: nothing was ever written to it."""
    host = world.host("h1")
    host.failing["start"] = "no such machine type"
    world.ok("vm.create", name="failed", image="tiny", cores=1, memory_bytes=GIB, host="h1")
    del host.failing["start"]
    world.ok("vm.start", name="failed")
    host.holding.add("start")
    world.ok("vm.create", name="broken-off", image="tiny", cores=1, memory_bytes=GIB, host="h1")
    host.holding.clear()
    host.guests[world.vm("broken-off")["id"]] = ("stopped", 1)  # defined, not run
    host.start()
    world.run(100)
    assert {row["name"]: row["state"] for row in world.rows()} == {"failed": "running", "broken-off": "running"}
    assert world.disks == {f"disks/{row['id']}.qcow2" for row in world.rows()}


def test_a_guest_that_ended_at_once_had_its_disk(world: World) -> None:
    vm = world.create("web", host="h1")
    world.host("h1").ends(vm["id"])
    world.run(2)
    assert world.vm("web")["state"] == "stopped"
    world.disks.clear()
    world.ok("vm.start", name="web")
    assert world.vm("web")["state"] == "failed" and not world.disks


def test_destroy_removes_guest_and_record_and_the_name_is_free(world: World) -> None:
    vm = world.create("web")
    world.ok("vm.destroy", name="web")
    assert world.missing("web") and vm["id"] not in world.host("h1").guests
    assert world.create("web")["id"] != vm["id"]


def test_destroy_takes_over_from_a_start(world: World) -> None:
    world.host("h1").holding.add("start")
    start = world.ok("vm.create", name="web", image="tiny", cores=1, memory_bytes=GIB, host="h1")
    assert world.refused("vm.shutdown", name="web").code == "locked"
    world.ok("vm.destroy", name="web")
    assert world.job(start.job)["state"] == "cancelled"
    assert world.vm("web")["state"] == "destroying", "its record stays until it is proven gone"
    host = world.host("h1")
    host.holding.clear()
    for call in host.held:
        host.happen(events.Called(call.id, "ok", host.do(call)))
    world.run(3)
    assert world.missing("web") and not host.guests


def test_locked_names_the_operation(world: World) -> None:
    world.host("h1").holding.add("start")
    answer = world.ok("vm.create", name="web", image="tiny", cores=1, memory_bytes=GIB, host="h1")
    problem = world.refused("vm.shutdown", name="web")
    assert problem.code == "locked" and answer.job in problem.text and problem.retry
    assert problem.hint == f"tjob-wait {answer.job}"


def test_who_is_refused_is_told_the_way_out(world: World) -> None:
    web = world.create("web", cores=8, host="h1")
    assert web["id"] in world.refused("vm.create", name="web", image="tiny", cores=1, memory_bytes=GIB).hint
    unplaced(world, "aside")
    assert world.refused("vm.start", name="aside").hint == "tvm-place aside HOST"
    held = world.ok("vm.create", name="held", image="tiny", cores=8, memory_bytes=GIB, host="h1", hold=True)
    assert world.refused("vm.start", name="held").hint == f"tjob-wait {held.job}, or tjob-cancel {held.job}"


def test_a_silent_host_makes_its_vms_unknown_and_starts_nothing_elsewhere(world: World) -> None:
    vm = world.create("web", host="h2")
    world.host("h2").up = False
    world.run(8)
    assert world.vm("web")["state"] == "unknown"
    assert "h2 is silent" in world.vm("web")["reason"]
    assert all(vm["id"] not in world.host(other).guests for other in ("h1", "h3"))
    assert world.refused("vm.start", name="web").code == "wrong-state"
    assert any(entry["id"] == vm["id"] and entry["state"] == "unknown" for entry in world.log)
    world.host("h2").up = True
    world.host("h2").happen(events.Connected())
    world.run(2)
    assert world.vm("web")["state"] == "running"


def test_after_a_power_cut_its_vms_are_stopped_and_can_be_started(world: World) -> None:
    world.create("web", host="h2")
    world.host("h2").power_cut()
    world.run(8)
    assert world.vm("web")["state"] == "unknown"
    world.host("h2").up = True
    world.host("h2").start()
    world.run(2)
    vm = world.vm("web")
    assert vm["state"] == "stopped" and "booted anew" in vm["reason"]
    assert world.host("h2").guests[vm["id"]][0] == "stopped", "nothing starts by itself"
    world.ok("vm.start", name="web")
    assert world.vm("web")["state"] == "running"


@pytest.mark.fault(60)
def test_requests_in_the_grace_after_a_start_wait_for_hosts() -> None:
    world = World(0)
    world.cluster.loaded(world.now(), 2, world.cluster.revision)
    world.add_host("h1")
    world.settle()
    world.ok("image.add", name="tiny", path="t.raw", format="raw")
    world.host("h1").up = False
    world.cluster.loaded(world.now(), 3, world.cluster.revision)
    world.ok("vm.create", name="early", image="tiny", cores=1, memory_bytes=GIB)
    assert world.vm("early")["state"] == "pending"
    world.host("h1").up = True
    world.host("h1").happen(events.Connected())
    world.run(1)
    assert world.vm("early")["state"] == "running"
    world.ok("vm.create", name="big", image="tiny", cores=7, memory_bytes=GIB)
    late = world.refused("vm.create", name="late", image="tiny", cores=7, memory_bytes=GIB)
    assert late.code == "no-room", "every host has reported: there is nothing to wait for"


def test_the_same_request_id_twice_has_one_effect(world: World) -> None:
    body = {"name": "web", "image": "tiny", "cores": 1, "memory_bytes": GIB}
    first = world.decide("vm.create", request_id="same-request", **body)
    key = "root\nsame-request"
    answered = world.cluster.state.requests[key]
    found = Found(answered.hash, bytes(answered.ok), answered.revision)
    again = world.decide("vm.create", request_id="same-request", found=found, **body)
    assert again.reply == first.reply and len(world.rows()) == 1
    other = world.decide("vm.create", request_id="same-request", found=found, **(body | {"cores": 2}))
    assert other.reply is not None and other.reply.error is not None and other.reply.error.code == "conflict"


def test_a_dry_run_takes_the_same_path_and_changes_nothing(world: World) -> None:
    before = world.everything()
    answer = world.ok("vm.create", name="web", image="tiny", cores=1, memory_bytes=GIB, dry_run=True)
    assert answer.placement == {"web": "h1"} and answer.dry_run
    assert world.everything() == before
    assert world.refused("vm.create", name="web", image="tiny", cores=99, memory_bytes=GIB, dry_run=True)


@pytest.mark.attack(12, 13)
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"name": "-rf"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"name": "x\n"}, "name"),
        ({"name": "x" * 64}, "63"),
        ({"name": "v-17"}, "id"),
        ({"cores": 0}, "cores"),
        ({"cores": -1}, "cores"),
        ({"cores": 2**63}, "cores"),
        ({"cores": 1.5}, "cores: a whole number"),
        ({"cores": True}, "cores: a whole number"),
        ({"memory_bytes": 1}, "memory: at least 1M"),
        ({"count": 0}, "count"),
        ({"disk_bytes": 1024}, "smaller than"),
        ({"image": "nix"}, "no such image"),
        ({"nics": ["nix"]}, "no such network"),
        ({"host": "nix"}, "no such host"),
        ({"surprise": 1}, "surprise"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(world: World, body: dict[str, object], said: str) -> None:
    good = {"name": "web", "image": "tiny", "cores": 1, "memory_bytes": GIB}
    assert said in world.refused("vm.create", **(good | body)).text


def test_users_see_and_touch_only_their_own(world: World) -> None:
    world.create("web", who=ALICE)
    world.create("web", who=BOB)
    assert [vm["owner"] for vm in world.rows(who=ALICE)] == ["alice"]
    world.ok("vm.destroy", who=BOB, name="web")
    assert world.rows(who=ALICE)[0]["state"] == "running"
    problem = world.refused("vm.destroy", who=BOB, name=world.rows(who=ALICE)[0]["id"])
    assert problem.code == "not-found"
    world.create("web", who=BOB)
    assert world.refused("vm.destroy", name="web").code == "conflict", "two of that name: root must say which"


def test_a_hundred_creates_for_ten_places(world: World) -> None:
    small = World(1, Settings(pool_bytes=1000 * GIB))
    small.create("two", cores=3)
    answers = [small.ask("vm.create", name=f"r{at}", image="tiny", cores=1, memory_bytes=GIB // 4) for at in range(100)]
    refused = [answer for answer in answers if hasattr(answer, "code")]
    assert len(answers) - len(refused) == 5
    assert {answer.code for answer in refused} == {"no-room"}
    assert all("needs 1 core, 0 free" in answer.text for answer in refused)


def test_root_sees_everything(world: World) -> None:
    world.create("a", who=ALICE)
    world.create("b", who=BOB)
    assert {vm["name"] for vm in world.rows(who=ROOT)} == {"a", "b"}


def test_a_vm_that_is_on_no_host_is_destroyed_with_its_disk(world: World) -> None:
    world.create("web", host="h1")
    world.ok("vm.shutdown", name="web")
    world.ok("host.drain", name="h1")
    assert world.vm("web")["host"] is None
    removed: list[str] = []
    for host in world.hosts.values():
        do = host.do
        host.do = lambda call, do=do: (removed.extend(call.args.get("disks", [])), do(call))[1]  # type: ignore[method-assign]
    world.ok("vm.destroy", name="web")
    assert world.missing("web") and removed == ["disks/v-1.qcow2"]


def test_orders_are_repeated_once_a_period_however_often_a_host_came_back(world: World) -> None:
    world.host("h1").holding.add("start")
    world.ok("vm.create", name="web", image="tiny", cores=1, memory_bytes=GIB, host="h1")
    for _ in range(5):
        world.host("h1").start()
        world.run(1)
    heard: list[object] = []
    happen = world.host("h1").happen
    world.host("h1").happen = lambda event: (heard.append(event), happen(event))[1]  # type: ignore[method-assign]
    world.run(60)
    orders = [event for event in heard if isinstance(event, events.Heard) and "Rows" in type(event.message).__name__]
    assert 1 <= len(orders) <= 6


def test_cancelling_many_cancels_each_and_the_whole(world: World) -> None:
    for host in ("h1", "h2", "h3"):
        world.host(host).holding.add("start")
    answer = world.ok("vm.create", name="n", image="tiny", cores=1, memory_bytes=GIB // 4, count=3)
    cancel = world.ok("job.cancel", name=answer.job)
    assert world.job(answer.job)["state"] == "cancelled"
    assert world.job(cancel.job)["state"] == "done"
    assert {job["state"] for job in world.rows("job", where=[f"parent={answer.job}"])} == {"cancelled"}


def test_a_refused_batch_says_how_many_would_fit(world: World) -> None:
    world.create("some", cores=4, host="h1")
    problem = world.refused("vm.create", name="b", image="tiny", cores=2, memory_bytes=GIB // 4, count=12)
    assert "room for 10 of 12, and it is all or none" in problem.text


def test_an_inventory_without_news_is_no_news(world: World) -> None:
    world.create("web")
    entries = len(world.log)
    world.run(200)
    assert len(world.log) == entries


def test_stopped_is_not_believed_while_a_start_is_under_way(world: World) -> None:
    host = world.host("h1")
    host.holding.add("start")
    create = world.ok("vm.create", name="web", image="tiny", cores=8, memory_bytes=GIB, host="h1")
    world.ok("job.cancel", name=create.job)
    vm = world.vm("web")["id"]
    host.guests[vm] = ("stopped", 1)
    world.run(70)
    assert world.rows("host", names=["h1"])[0]["cores_used"] == 8, "the start may still come to its end"
    assert world.refused("vm.start", name="web").code == "wrong-state"
    host.holding.clear()
    (call,) = host.held
    host.happen(events.Called(call.id, "ok", host.do(call)))
    world.run(3)
    assert world.vm("web")["state"] == "stopped" and host.guests[vm][0] == "stopped"
    assert world.rows("host", names=["h1"])[0]["cores_used"] == 0


def test_what_waits_can_be_cancelled(world: World) -> None:
    for host in ("h1", "h2", "h3"):
        world.create(f"full-{host}", cores=8, host=host)
    asked = world.ok("vm.create", name="new", image="tiny", cores=1, memory_bytes=GIB, hold=True)
    world.ok("job.cancel", name=asked.job)
    assert world.missing("new"), "as if it had never been asked"
    world.ok("vm.shutdown", name="full-h1")
    world.create("other", cores=8, host="h1")
    started = world.ok("vm.start", name="full-h1", hold=True)
    assert world.vm("full-h1")["state"] == "held"
    world.ok("job.cancel", name=started.job)
    assert world.vm("full-h1")["state"] == "stopped"
    world.ok("vm.create", name="gone", image="tiny", cores=1, memory_bytes=GIB, hold=True)
    world.ok("vm.destroy", name="gone")
    assert world.missing("gone")


def test_what_is_proven_to_rest_stays_stopped_while_its_order_is_carried_out(world: World) -> None:
    vm = world.create("web", host="h1")["id"]
    host = world.host("h1")
    host.holding.add("stop")
    host.ends(vm)
    world.settle()
    assert world.vm("web")["state"] == "stopped"
    world.run(70)
    assert world.vm("web")["state"] == "stopped", "an inventory while the stop is under way"
