"""Live migration: who owns the guest after everything that can happen to either end."""

from __future__ import annotations

import itertools

import pytest

from tashi.agent import events
from tashi.core.cluster import Decision
from tashi.core.move import VERDICTS, Verdict
from tashi.model.vm import Evidence
from tests.core.world import Hypervisor, World


@pytest.fixture
def world() -> World:
    world = World()
    world.create("web", host="h1")
    return world


def start_and_hold(world: World) -> tuple[str, str, Hypervisor, events.Call]:
    """A migration of web from h1 to h2 whose call has not come back."""
    source = world.host("h1")
    source.holding.add("migrate")
    answer = world.ok("vm.migrate", name="web", to="h2")
    (call,) = source.held
    return answer.job, world.vm("web")["id"], source, call


def end_call(host: Hypervisor, call: events.Call, outcome: str, text: str = "") -> None:
    host.held.remove(call)
    host.happen(events.Called(call.id, outcome, None, text))


def alive(world: World, vm: str) -> list[str]:
    return [each.name for each in world.hosts.values() if each.guests.get(vm, ("",))[0] == "running"]


@pytest.mark.fault(29, 30)
@pytest.mark.parametrize(("source", "destination"), list(itertools.product(Evidence, Evidence)))
def test_no_verdict_gives_the_guest_to_two(source: Evidence, destination: Evidence) -> None:
    verdict = VERDICTS.get((source, destination), Verdict.WAIT)
    if destination is Evidence.RUNNING:
        assert verdict is Verdict.ARRIVED
    if verdict is Verdict.STAYED and source is not Evidence.RUNNING:
        assert destination is Evidence.GONE, "a paused source is resumed only when nothing is at the destination"
    if source in (Evidence.NONE, Evidence.MOVING) and destination not in (Evidence.RUNNING, Evidence.ENDED):
        assert verdict is Verdict.WAIT
    if destination is Evidence.ENDED and source not in (Evidence.RUNNING, Evidence.ENDED):
        assert verdict is Verdict.ENDED, "what it wrote there must not meet the source's old memory"


def test_it_arrives_with_its_figures_and_leaves_nothing(world: World) -> None:
    answer = world.ok("vm.migrate", name="web", to="h2")
    vm, job = world.vm("web"), world.job(answer.job)
    assert (vm["state"], vm["host"]) == ("running", "h2")
    assert (job["state"], job["from"], job["to"]) == ("done", "h1", "h2")
    assert (job["total_seconds"], job["downtime_seconds"], job["bytes"]) == (1.5, 0.1, 1000)
    assert alive(world, vm["id"]) == ["h2"] and vm["id"] not in world.host("h1").guests
    assert [host["cores_used"] for host in world.rows("host")] == [0, 1, 0]


def test_both_ends_are_claimed_while_it_moves(world: World) -> None:
    start_and_hold(world)
    assert world.vm("web")["state"] == "migrating" and world.vm("web")["destination"] == "h2"
    assert [host["cores_used"] for host in world.rows("host")] == [1, 1, 0]


def test_a_failed_migration_stays_and_frees_the_destination(world: World) -> None:
    job, vm, source, call = start_and_hold(world)
    end_call(source, call, "failed", "destination is out of memory")
    world.run(2)
    assert world.job(job)["state"] == "failed" and world.job(job)["reason"] == "destination is out of memory"
    after = world.vm("web")
    assert (after["state"], after["host"]) == ("running", "h1")
    assert alive(world, vm) == ["h1"]
    assert source.guests[vm][1] == after["generation"], "the source runs under the newest generation"
    assert [host["cores_used"] for host in world.rows("host")] == [1, 0, 0]


def test_abort_calls_it_back(world: World) -> None:
    job, vm, source, call = start_and_hold(world)
    answer = world.ok("vm.migrate", name="web", abort=True)
    end_call(source, call, "failed", "aborted by client")
    world.run(2)
    assert world.job(job)["state"] == "cancelled"
    assert world.job(answer.job)["state"] == "done"
    assert alive(world, vm) == ["h1"]


def test_an_abort_that_comes_too_late_says_so(world: World) -> None:
    job, vm, source, call = start_and_hold(world)
    answer = world.ok("job.cancel", name=job)
    source.held.remove(call)
    source.happen(events.Called(call.id, "ok", source.do(call)))
    world.run(2)
    assert world.job(job)["state"] == "done" and alive(world, vm) == ["h2"]
    assert world.job(answer.job)["state"] == "failed" and "too late" in world.job(answer.job)["reason"]


def test_a_lost_caller_is_followed_until_the_guest_is_found(world: World) -> None:
    job, vm, source, call = start_and_hold(world)
    end_call(source, call, "unknown", "the worker was killed")
    del source.guests[vm]
    world.host("h2").guests[vm] = ("running", world.vm("web")["generation"])
    world.run(10)
    assert world.vm("web")["host"] == "h2" and world.job(job)["state"] == "done"
    assert alive(world, vm) == ["h2"]


def test_paused_at_both_ends_the_destination_is_cleared_before_the_source_goes_on(world: World) -> None:
    job, vm, source, call = start_and_hold(world)
    generation = world.vm("web")["generation"]
    source.guests[vm] = ("paused", generation - 1)
    world.host("h2").guests[vm] = ("paused", generation)
    world.host("h2").incoming.add(vm)
    end_call(source, call, "unknown", "connection lost")
    world.run(10)
    assert vm not in world.host("h2").guests
    assert alive(world, vm) == ["h1"] and world.vm("web")["state"] == "running"
    assert world.job(job)["state"] == "failed"


def test_with_the_destination_silent_a_paused_source_waits(world: World) -> None:
    job, vm, source, call = start_and_hold(world)
    world.host("h2").up = False
    source.guests[vm] = ("paused", 1)
    end_call(source, call, "unknown", "connection lost")
    world.run(60)
    assert alive(world, vm) == [] and world.vm("web")["state"] == "migrating"
    assert world.job(job)["state"] == "running"
    world.host("h2").guests[vm] = ("running", world.vm("web")["generation"])
    world.host("h2").up = True
    world.host("h2").happen(events.Connected())
    world.run(40)
    assert alive(world, vm) == ["h2"] and vm not in source.guests
    assert world.vm("web")["host"] == "h2"


def test_the_source_cut_off_after_the_switch_over_changes_nothing(world: World) -> None:
    job, vm, source, call = start_and_hold(world)
    source.up = False
    world.host("h2").guests[vm] = ("running", world.vm("web")["generation"])
    world.host("h2").happen(events.DriverEvent(vm))
    world.run(10)
    assert world.vm("web")["host"] == "h2" and world.vm("web")["state"] == "running"
    assert world.job(job)["state"] == "done" and "no figures" in world.job(job)["reason"]
    assert world.rows("host", names=["h1"])[0]["cores_used"] == 1, "claimed until it is proven gone"
    source.guests[vm] = ("paused", 1)
    source.up = True
    end_call(source, call, "unknown", "connection lost")
    source.happen(events.Connected())
    world.run(40)
    assert vm not in source.guests and alive(world, vm) == ["h2"]
    assert world.rows("host", names=["h1"])[0]["cores_used"] == 0


def test_the_agent_restarted_in_mid_migration_follows_it(world: World) -> None:
    job, vm, source, _ = start_and_hold(world)
    source.start()
    world.run(10)
    assert world.job(job)["state"] == "failed" and "interrupted" in world.job(job)["reason"]
    assert alive(world, vm) == ["h1"] and world.vm("web")["state"] == "running"


@pytest.mark.fault(59)
def test_destroy_in_mid_migration_ends_both_copies(world: World) -> None:
    job, vm, source, call = start_and_hold(world)
    world.host("h2").guests[vm] = ("paused", world.vm("web")["generation"])
    world.host("h2").incoming.add(vm)
    destroy = world.ok("vm.destroy", name="web")
    end_call(source, call, "failed", "aborted")
    world.run(5)
    assert world.missing("web") and world.job(destroy.job)["state"] == "done"
    assert vm not in source.guests and vm not in world.host("h2").guests
    assert world.job(job)["state"] == "cancelled"


def test_a_migration_beyond_its_time_is_called_back(world: World) -> None:
    job, vm, source, call = start_and_hold(world)
    world.run(601)
    assert "its time is up" in world.job(job)["reason"]
    end_call(source, call, "failed", "aborted")
    world.run(3)
    assert world.job(job)["state"] == "cancelled" and alive(world, vm) == ["h1"]


def test_to_be_where_it_is_wanted_is_success(world: World) -> None:
    before = world.vm("web")
    job = world.job(world.ok("vm.migrate", name="web", to="h1").job)
    assert (job["state"], job["from"], job["to"]) == ("done", "h1", "h1")
    assert world.vm("web") == before


def test_only_a_running_vm_migrates(world: World) -> None:
    world.ok("vm.shutdown", name="web")
    problem = world.refused("vm.migrate", name="web", to="h2")
    assert problem.code == "wrong-state" and "stopped" in problem.text
    assert world.refused("vm.migrate", name="web", abort=True).code == "wrong-state"


def test_drain_moves_what_runs_and_detaches_what_is_stopped(world: World) -> None:
    for at in range(4):
        world.create(f"n{at}", host="h1")
    world.create("off", host="h1")
    world.ok("vm.shutdown", name="off")
    answer = world.ok("host.drain", name="h1")
    world.run(3)
    assert world.job(answer.job)["state"] == "done"
    assert world.rows(where=["host=h1"]) == []
    assert world.rows("host", names=["h1"])[0]["state"] == "drained"
    assert not world.host("h1").guests
    assert {vm["state"] for vm in world.rows()} == {"running", "stopped"}
    world.ok("vm.start", name="off")
    assert world.vm("off")["host"] in ("h2", "h3")


def test_a_drain_knows_all_its_parts_from_the_start(world: World) -> None:
    for at in range(4):
        world.create(f"n{at}", host="h1")
    world.host("h1").holding.add("migrate")
    answer = world.ok("host.drain", name="h1")
    counts = []
    while world.job(answer.job)["state"] == "running":
        counts.append((world.job(answer.job)["children"], world.job(answer.job)["open_children"]))
        call = world.host("h1").held.pop(0)
        world.host("h1").happen(events.Called(call.id, "ok", world.host("h1").do(call)))
        world.run(1)
    assert counts == [(5, 5), (5, 4), (5, 3), (5, 2), (5, 1)]
    assert (world.job(answer.job)["state"], world.job(answer.job)["open_children"]) == ("done", 0)


def test_a_drain_moves_a_few_at_a_time(world: World) -> None:
    for at in range(6):
        world.create(f"n{at}", host="h1")
    world.host("h1").holding.add("migrate")
    world.ok("host.drain", name="h1")
    world.run(5)
    moving = [vm["name"] for vm in world.rows() if vm["state"] == "migrating"]
    assert len(moving) == world.cluster.settings.moves_per_host


def test_a_drain_with_too_little_room_names_who_stays(world: World) -> None:
    for host in ("h2", "h3"):
        world.create(f"full-{host}", cores=8, host=host)
    answer = world.ok("host.drain", name="h1")
    world.run(2)
    job = world.job(answer.job)
    assert job["state"] == "failed" and "web: no host has room" in job["reason"]
    row = world.rows("host", names=["h1"])[0]
    assert (row["state"], row["reason"]) == ("draining", "1 VM stayed; tjob-list verb=host.drain name=h1 tells why")
    assert world.vm("web")["state"] == "running"
    world.ok("host.resume", name="h1")
    assert (row := world.rows("host", names=["h1"])[0])["state"] == "normal" and not row["reason"]


def test_a_host_with_vms_is_not_removed(world: World) -> None:
    assert "web" in world.refused("host.remove", name="h1").text
    world.ok("host.drain", name="h1")
    world.run(2)
    world.ok("host.remove", name="h1")
    assert [host["name"] for host in world.rows("host")] == ["h2", "h3"]


def test_a_host_that_still_clears_a_copy_is_no_destination(world: World) -> None:
    _, vm, source, call = start_and_hold(world)
    world.host("h2").holding.add("remove")
    world.host("h2").guests[vm] = ("paused", 2)
    world.host("h2").incoming.add(vm)
    end_call(source, call, "failed", "no route")
    source.holding.clear()
    world.run(2)
    assert world.refused("vm.migrate", name="web", to="h2").code == "locked"
    world.ok("vm.migrate", name="web")
    assert world.vm("web")["host"] == "h3"


def test_a_cancel_after_the_arrival_is_too_late(world: World) -> None:
    job, vm, source, _ = start_and_hold(world)
    world.host("h2").guests[vm] = ("running", world.vm("web")["generation"])
    world.host("h2").happen(events.DriverEvent(vm))
    world.settle()
    assert world.job(job)["phase"] == "confirm"
    assert world.refused("job.cancel", name=job).code == "too-late"
    assert source.name == "h1"


def test_a_budget_that_was_spent_in_vain_is_spent_again(world: World) -> None:
    job, _, _, _ = start_and_hold(world)
    world.seconds += 700
    mark = world.cluster.mark()
    world.cluster.tick(world.now())
    world.cluster.rollback(mark)
    assert world.job(job)["reason"] is None
    world.seconds += 2
    world.take(world.cluster.tick(world.now()))
    assert "its time is up" in world.job(job)["reason"]


def test_an_old_word_of_the_destination_is_no_proof(world: World) -> None:
    """What it saw before the copy came is told later, from its outbox: the guest must not be ended for it."""
    destination = world.host("h2")
    source = world.host("h1")
    source.holding.add("migrate")
    agent_said = world.cluster.agent_said
    world.cluster.agent_said = lambda host, *rest: (  # type: ignore[method-assign]
        Decision() if host == destination.id else agent_said(host, *rest)
    )
    job = world.ok("vm.migrate", name="web", to="h2").job
    world.cluster.agent_said = agent_said  # type: ignore[method-assign]
    assert destination.mind.memory.outbox, "it has told that nothing is there, and nobody heard it"
    destination.up = False
    (call,) = source.held
    vm = world.vm("web")["id"]
    del source.guests[vm]
    destination.guests[vm] = ("running", world.vm("web")["generation"])
    end_call(source, call, "unknown", "the worker was killed")
    world.run(3)
    destination.up = True
    destination.happen(events.Connected())
    world.run(40)
    assert alive(world, vm) == ["h2"]
    assert world.vm("web")["state"] == "running" and world.job(job)["state"] == "done"


def test_a_dry_drain_tells_of_every_vm_where_it_goes_or_why_it_stays(world: World) -> None:
    for at in range(5):
        world.create(f"n{at}", host="h1")
    world.create("full", cores=6, host="h2")
    world.ok("host.drain", name="h3")
    answer = world.ok("host.drain", name="h1", dry_run=True)
    assert len(answer.placement) == 2 and set(answer.placement.values()) == {"h2"}
    assert len(answer.extra) == 4 and all("no host has room" in reason for reason in answer.extra.values())
    assert world.rows("host", names=["h1"])[0]["state"] == "normal"


def test_a_dry_drain_of_a_silent_host_names_whom_it_would_wait_for(world: World) -> None:
    """It waits as long as nothing is known of them; with the host heard again they go."""
    world.create("off", host="h1")
    world.ok("vm.shutdown", name="off")
    world.host("h1").up = False
    world.run(10)
    told = world.ok("host.drain", name="h1", dry_run=True)
    ((name, why),) = told.extra.items()
    assert name == "web" and why.startswith("it is waited for: unknown: h1 is silent since")
    job = world.ok("host.drain", name="h1").job
    world.run(5)
    assert world.job(job)["state"] == "running"
    assert world.job(job)["reason"].startswith("waits for web: unknown: h1 is silent since")
    world.host("h1").up = True
    world.host("h1").happen(events.Connected())
    world.run(5)
    assert world.job(job)["state"] == "done"


def test_a_drain_that_ended_has_no_open_parts(world: World) -> None:
    for host in ("h2", "h3"):
        world.create(f"full-{host}", cores=8, host=host)
    job = world.ok("host.drain", name="h1").job
    told = world.job(job)
    assert (told["state"], told["open_children"], told["failed_children"]) == ("failed", 0, 1)
    assert told["children"] == 1
    world.ok("host.resume", name="h1")
    for host in ("h2", "h3"):
        world.ok("vm.destroy", name=f"full-{host}")
    for at in range(3):
        world.create(f"n{at}", host="h1")
    world.host("h1").holding.add("migrate")
    job = world.ok("host.drain", name="h1").job
    world.ok("job.cancel", name=job)
    told = world.job(job)
    assert (told["state"], told["children"], told["open_children"]) == ("cancelled", 2, 2), "those under way go on"
    assert len([each for each in world.rows("job") if each["parent"] == job]) == 2


def test_hosts_that_are_drained_together_get_nothing_from_one_another() -> None:
    world = World(4)
    for at in range(3):
        world.create(f"n{at}", cores=2, host="h1")
        world.create(f"m{at}", cores=2, host="h2")
    wave = ["h1", "h2", "h3"]
    told = world.ok("host.drain", name="h1", together=wave, dry_run=True)
    assert set(told.placement.values()) == {"h4"}
    assert {row["state"] for row in world.rows("host")} == {"normal"}
    world.create("full", cores=1, host="h4")
    for name in wave:
        world.ok("host.drain", name=name, together=wave)
    world.run(10)
    moved = {entry["result"].get("to") for entry in world.log if entry.get("verb") == "vm.migrate"} - {None}
    assert moved == {"h4"}, "none of them took a detour"
    assert world.rows("host", names=["h3"])[0]["state"] == "drained"


def test_a_dry_drain_counts_what_the_others_before_it_would_move() -> None:
    world = World(3)
    for host in ("h1", "h2"):
        world.create(f"on-{host}", cores=5, host=host)
    wave = ["h9", "h1", "h2"]
    told = [world.ok("host.drain", name=name, together=wave, dry_run=True) for name in wave[1:]]
    assert (told[0].placement, told[0].extra) == ({"on-h1": "h3"}, {})
    assert told[1].placement == {} and "h3: needs 5 cores, 3 free" in told[1].extra["on-h2"]
    assert {row["state"] for row in world.rows("host")} == {"normal"}


def test_a_drain_leaves_those_alone_that_can_not_be_drained_with_it() -> None:
    world = World(3)
    world.create("web", host="h1")
    world.ok("host.drain", name="h2")
    world.ok("host.drain", name="h1", together=["h1", "h2", "h9"])
    world.run(5)
    assert [row["state"] for row in world.rows("host")] == ["drained", "drained", "normal"]


@pytest.mark.fault(33)
def test_a_guest_that_ended_where_it_arrived_is_not_resumed_where_it_was(world: World) -> None:
    job, vm, source, call = start_and_hold(world)
    source.guests[vm] = ("paused", 1)
    world.host("h2").guests[vm] = ("running", world.vm("web")["generation"])
    world.host("h2").power_cut()
    end_call(source, call, "unknown", "connection lost")
    world.run(8)
    assert alive(world, vm) == [] and world.vm("web")["state"] == "migrating"
    world.host("h2").up = True
    world.host("h2").start()
    world.run(20)
    assert alive(world, vm) == [] and vm not in source.guests
    assert (world.vm("web")["state"], world.vm("web")["host"]) == ("stopped", "h2")
    assert world.job(job)["state"] == "failed" and "just arrived" in world.job(job)["reason"]


def test_who_migrates_does_not_mind_itself() -> None:
    """Alone in its group and with it, or alone in a rack while the other rack is full, it may go to the host beside."""
    world = World()
    for name, rack in (("h1", "r1"), ("h2", "r1"), ("h3", "r2")):
        world.ok("host.set", name=name, labels={"rack": rack})
    world.create("full", 8, host="h3")
    world.create("one", host="h1", asks={"spread": "rack"})
    world.ok("vm.migrate", name="one", to="h2")
    world.create("two", host="h1", asks={"group": "pair", "together": [""]})
    world.ok("vm.migrate", name="two", to="h2")
    assert (world.vm("one")["host"], world.vm("two")["host"]) == ("h2", "h2")
    index = world.cluster.state.index
    assert index.used("h-1") == (0, 0) and index.used("h-2")[0] == 2
