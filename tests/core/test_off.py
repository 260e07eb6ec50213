"""An administrator's word that a host is off: what it is believed for, and what it is not."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tashi.core.cluster import Cluster
from tashi.core.observe import Order, observe
from tashi.core.settings import Settings
from tashi.core.turn import Turn
from tashi.wire.agents import Seen
from tests.core.test_moves import alive, start_and_hold
from tests.core.world import GIB, Hypervisor, World

WORD = "h1 was confirmed to be off by root"


@pytest.fixture
def world() -> World:
    world = World()
    world.create("web", host="h1")
    return world


def silence(world: World, name: str = "h1") -> Hypervisor:
    """The host loses power, and that is noticed."""
    host = world.host(name)
    host.power_cut()
    world.run(7)
    return host


def back(world: World, host: Hypervisor) -> None:
    host.up = True
    host.start()
    world.run(8)


@pytest.mark.fault(35)
def test_what_ran_there_is_stopped_with_a_reason_and_starts_elsewhere(world: World) -> None:
    silence(world)
    before = world.vm("web")
    answer = world.ok("host.confirm-off", name="h1")
    assert answer.done and answer.note == "stopped: web"
    after = world.vm("web")
    assert (after["state"], after["reason"], after.get("host")) == ("stopped", WORD, None)
    assert after["generation"] > before["generation"]
    assert world.job(answer.job)["reason"] == f"{WORD}; stopped: web"
    assert world.rows("host", names=["h1"])[0]["cores_used"] == 0
    world.ok("vm.start", name="web")
    assert (world.vm("web")["state"], world.vm("web")["host"]) == ("running", "h2")


def test_the_same_word_once_more_changes_nothing_and_says_so(world: World) -> None:
    silence(world)
    world.ok("host.confirm-off", name="h1")
    before = world.vm("web")["generation"]
    answer = world.ok("host.confirm-off", name="h1")
    assert answer.done and answer.note == f"{WORD} already"
    assert (world.job(answer.job)["state"], world.job(answer.job)["reason"]) == ("done", answer.note)
    assert world.vm("web")["generation"] == before
    assert [entry["kind"] for entry in world.log if entry.get("job") == answer.job] == ["job"]


def test_the_host_is_shown_as_confirmed_until_it_is_heard(world: World) -> None:
    host = silence(world)
    world.ok("host.confirm-off", name="h1")
    (shown,) = world.rows("host", names=["h1"], full=True)
    assert shown["health"] == "unknown" and shown["reason"].endswith("; confirmed to be off by root")
    assert shown["off"] == "root"
    back(world, host)
    (shown,) = world.rows("host", names=["h1"], full=True)
    assert (shown["health"], shown.get("reason"), shown.get("off")) == ("up", None, None)


def test_a_host_that_is_heard_is_not_off(world: World) -> None:
    problem = world.refused("host.confirm-off", name="h1")
    assert (problem.code, problem.text) == ("wrong-state", "h1: its agent is heard, so it is not off")
    assert "thost-drain h1" in problem.hint
    world.host("h1").up = False
    world.run(3)
    assert world.refused("host.confirm-off", name="h1").code == "wrong-state", "three seconds are no silence"


def test_one_whose_hypervisor_says_nothing_is_not_off(world: World) -> None:
    """Its agent's beats are heard; what runs there is not known for another reason."""
    host = world.host("h1")
    host.power_cut()
    world.run(7)
    host.up = True
    host.failing["inventory"] = "no connection"
    host.start()
    world.run(4)
    assert world.vm("web")["state"] == "unknown"
    assert world.refused("host.confirm-off", name="h1").code == "wrong-state"


def test_a_controller_that_has_just_started_waits(world: World) -> None:
    again = World(hosts=0)
    again.cluster = Cluster(Settings(pool_bytes=100 * GIB), lambda: b"")
    for (table, key), value in world.everything().items():
        again.cluster.load(table, [(key, value)])
    again.cluster.loaded(again.now(), 2, 0)
    problem = again.refused("host.confirm-off", name="h1")
    assert (problem.code, problem.retry) == ("unavailable", True)
    assert "may still be heard" in problem.text
    again.run(7)
    assert again.ok("host.confirm-off", name="h1").note == "stopped: web"


def test_a_dry_run_says_what_would_be_stopped(world: World) -> None:
    silence(world)
    before = world.everything()
    assert world.ok("host.confirm-off", name="h1", dry_run=True).note == "stopped: web"
    assert world.everything() == before


def test_what_was_at_work_there_ends(world: World) -> None:
    host = world.host("h1")
    host.holding.add("start")
    create = world.ok("vm.create", name="db", image="tiny", cores=1, memory_bytes=GIB, host="h1")
    drain = world.ok("host.drain", name="h1")
    silence(world)
    assert world.ok("host.confirm-off", name="h1").note == "stopped: db", "web had left already"
    assert [world.job(each.job)["state"] for each in (create, drain)] == ["failed", "failed"]
    assert world.job(create.job)["reason"] == world.job(drain.job)["reason"] == WORD
    assert world.vm("db")["state"] == "stopped"


def test_a_vm_that_waits_for_room_waits_on(world: World) -> None:
    for name in ("h2", "h3"):
        world.create(f"full-{name}", cores=8, host=name)
    world.ok("vm.shutdown", name="web")
    world.create("full-h1", cores=8, host="h1")
    world.ok("vm.start", name="web", hold=True)
    silence(world)
    assert world.ok("host.confirm-off", name="h1").note == "stopped: full-h1"
    assert world.vm("web")["state"] == "held"
    world.ok("vm.destroy", name="full-h2")
    assert world.vm("web")["host"] == "h2"


@pytest.mark.fault(51)
def test_back_after_all_it_clears_what_it_had(world: World) -> None:
    host, vm = silence(world), world.vm("web")["id"]
    world.ok("host.confirm-off", name="h1")
    world.ok("vm.start", name="web")
    back(world, host)
    assert vm not in host.guests and world.vm("web")["state"] == "running"
    assert not world.cluster.state.vms[vm].leftovers


def wrong(world: World, name: str = "h1") -> Hypervisor:
    """The host is only cut from the controller, and is said to be off all the same."""
    host = world.host(name)
    host.up = False
    world.run(7)
    world.ok("host.confirm-off", name=name)
    return host


def twice(world: World) -> Hypervisor:
    """web runs on h1, against an administrator's word, and on h2, where it was started on that word."""
    host = wrong(world)
    world.ok("vm.start", name="web", host="h2")
    back(world, host)
    return host


def used(world: World, host: str) -> int:
    return int(world.rows("host", names=[host])[0]["cores_used"])


def found(world: World) -> list[tuple[str, str]]:
    return [(row["name"], row["what"]) for row in world.rows("finding") if row["kind"] == "vm"]


@pytest.mark.fault(51)
def test_one_that_ran_all_the_while_is_taken_back(world: World) -> None:
    """The word was wrong, and nothing else of it runs: the record follows the guest."""
    host, vm = wrong(world), world.vm("web")["id"]
    assert world.vm("web")["state"] == "stopped"
    back(world, host)
    after = world.vm("web")
    assert (after["state"], after["host"], alive(world, vm)) == ("running", "h1", ["h1"])
    assert not world.cluster.state.vms[vm].leftovers and used(world, "h1") == 1
    assert world.refused("vm.start", name="web").code == "wrong-state"
    host.ends(vm)
    world.run(3)
    assert world.vm("web")["state"] == "stopped"


@pytest.mark.fault(51)
def test_one_that_waits_to_be_started_runs_already(world: World) -> None:
    for name in ("h2", "h3"):
        world.create(f"full-{name}", cores=8, host=name)
    host, vm = wrong(world), world.vm("web")["id"]
    start = world.ok("vm.start", name="web", hold=True)
    assert start.held
    back(world, host)
    assert (world.vm("web")["state"], world.vm("web")["host"], alive(world, vm)) == ("running", "h1", ["h1"])
    assert world.job(start.job)["state"] == "done"
    world.ok("vm.destroy", name="full-h2")
    assert alive(world, vm) == ["h1"]


@pytest.mark.fault(51)
def test_one_that_was_started_elsewhere_is_spared_and_told_of_while_it_is_so(world: World) -> None:
    """Two run. Neither is ended by a guess; the record stays with what was ordered, and everybody is told."""
    vm = world.vm("web")["id"]
    host = twice(world)
    after = world.vm("web")
    assert (after["state"], after["host"], alive(world, vm)) == ("running", "h2", ["h1", "h2"])
    assert after["reason"] == "a copy of it runs on h1"
    assert not world.cluster.state.hosts[host.id].off, "that word is worth nothing any more"
    assert used(world, "h1") == used(world, "h2") == 1
    assert found(world) == [("web", "a copy of it runs on h1")]
    for problem in (
        world.refused("vm.migrate", name="web", to="h1"),
        world.refused("host.remove", name="h1"),
    ):
        assert problem.code == "wrong-state" and "runs" in problem.text and "tvm-destroy web" in problem.hint
    host.ends(vm)
    world.run(40)
    assert vm not in host.guests, "once it has ended there, its definition goes"
    assert not world.vm("web").get("reason") and not found(world) and used(world, "h1") == 0


@pytest.mark.fault(51)
def test_when_the_other_one_ends_the_record_follows_the_one_that_runs(world: World) -> None:
    vm = world.vm("web")["id"]
    twice(world)
    world.host("h2").ends(vm)
    world.run(3)
    assert (world.vm("web")["state"], world.vm("web")["host"], alive(world, vm)) == ("running", "h1", ["h1"])
    world.run(40)
    assert vm not in world.host("h2").guests and used(world, "h2") == 0, "its definition there goes"
    assert not world.cluster.state.vms[vm].leftovers


@pytest.mark.fault(51)
def test_one_that_runs_on_a_host_that_is_silent_again_needs_the_word_again(world: World) -> None:
    vm = world.vm("web")["id"]
    host = twice(world)
    host.up = False
    world.run(7)
    world.host("h2").ends(vm)
    world.run(3)
    assert (world.vm("web")["state"], used(world, "h1")) == ("stopped", 1)
    assert "a copy of it runs on h1" in world.vm("web")["reason"]
    problem = world.refused("vm.start", name="web")
    assert problem.code == "wrong-state" and "a copy of it runs on h1" in problem.text
    assert "thost-confirm-off h1" in problem.hint and "tvm-destroy web" in problem.hint
    again = World(hosts=0)
    again.cluster = Cluster(Settings(pool_bytes=100 * GIB), lambda: b"")
    for (table, key), value in world.everything().items():
        again.cluster.load(table, [(key, value)])
    again.cluster.loaded(again.now(), 2, 0)
    assert "a copy of it runs on h1" in again.refused("vm.start", name="web").text, "a new controller knows it too"
    host.power_cut()
    world.ok("host.confirm-off", name="h1")
    world.ok("vm.start", name="web")
    assert alive(world, vm) == ["h2"] and used(world, "h1") == 0
    assert found(world) == [("web", "h1 still has to clear what it had of it")]


@pytest.mark.fault(51)
def test_a_start_that_has_not_been_seen_to_succeed_is_called_back(world: World) -> None:
    """h2 was told to start it, and has not heard so; then h1 is heard."""
    host, vm = wrong(world), world.vm("web")["id"]
    world.host("h2").up = False
    start = world.ok("vm.start", name="web", host="h2")
    host.up = True
    host.start()
    world.settle()
    world.host("h2").up = True
    world.run(30)
    assert (world.vm("web")["state"], world.vm("web")["host"], alive(world, vm)) == ("running", "h1", ["h1"])
    assert world.job(start.job)["state"] == "failed"


@pytest.mark.fault(51)
def test_once_the_other_host_is_off_the_record_follows_the_copy(world: World) -> None:
    host, vm = wrong(world), world.vm("web")["id"]
    world.host("h2").up = False
    world.ok("vm.start", name="web", host="h2")
    host.up = True
    host.start()
    world.run(8)
    assert world.vm("web")["state"] == "unknown", "h2 may have started it"
    host.holding.add("remove")  # h1 has nothing new to say
    world.ok("host.confirm-off", name="h2")
    assert (world.vm("web")["state"], world.vm("web")["host"], alive(world, vm)) == ("running", "h1", ["h1"])


@pytest.mark.fault(51)
def test_the_end_of_one_that_runs_twice_is_the_end_of_both(world: World) -> None:
    vm = world.vm("web")["id"]
    twice(world)
    world.ok("vm.destroy", name="web")
    world.run(5)
    assert world.missing("web") and alive(world, vm) == [] and used(world, "h1") == 0


@pytest.mark.fault(51)
def test_its_end_is_not_told_as_a_copy_where_the_host_is_silent(world: World) -> None:
    host = twice(world)
    host.up = False
    world.run(7)
    world.ok("vm.destroy", name="web")
    assert found(world) == [("web", "h1 still has to clear what it had of it")] and used(world, "h1") == 1


@pytest.mark.fault(51)
def test_of_two_copies_none_is_taken_back_until_one_has_ended(world: World) -> None:
    first, vm = wrong(world), world.vm("web")["id"]
    world.ok("vm.start", name="web", host="h2")
    second = wrong(world, "h2")
    world.ok("vm.start", name="web", host="h3")
    back(world, first)
    back(world, second)
    world.host("h3").ends(vm)
    world.run(40)
    assert (world.vm("web")["state"], alive(world, vm)) == ("stopped", ["h1", "h2"])
    assert "a copy of it runs on h1, h2" in world.refused("vm.start", name="web").text
    first.ends(vm)
    world.run(40)
    assert (world.vm("web")["state"], world.vm("web")["host"], alive(world, vm)) == ("running", "h2", ["h2"])


@pytest.mark.fault(51)
@pytest.mark.parametrize("old", ["an outbox", "a migration's source"])
def test_a_word_that_may_be_old_proves_no_copy(world: World, old: str) -> None:
    """It is told before the host's inventory; or by a source that may not yet have come to its end."""
    host, vm = wrong(world), world.vm("web")["id"]
    state, seen, order = world.cluster.state, Seen(vm, "running", generation=1), Order(9, 9, host.boot)
    if old == "a migration's source":
        state.unknown_hosts.pop(host.id)
        record = state.vms[vm]
        claimed = replace(record.leftovers[host.id], claim=True)
        state.put("vm", vm, replace(record, leftovers={host.id: claimed}))
    observe(Turn(state, world.cluster.settings, world.now()), host.id, seen, order)
    assert state.vms[vm].desired == "stopped" and not state.vms[vm].leftovers[host.id].runs
    obeyed = replace(seen, row_generation=state.vms[vm].generation, outcome="done")
    state.unknown_hosts.pop(host.id, None)
    observe(Turn(state, world.cluster.settings, world.now()), host.id, obeyed, order)
    assert state.vms[vm].desired == "running", "it has obeyed, and runs"


@pytest.mark.fault(51)
def test_a_drain_waits_for_the_copy_that_runs_there_and_says_so(world: World) -> None:
    host, vm = twice(world), world.vm("web")["id"]
    drain = world.ok("host.drain", name="h1")
    assert world.job(drain.job)["reason"] == "waits for web: a copy of it runs on h1"
    host.ends(vm)
    world.run(40)
    assert world.job(drain.job)["state"] == "done"


def test_a_destroyed_one_ends_without_the_host_that_had_it(world: World) -> None:
    waits = silence(world) and world.ok("vm.destroy", name="web")
    assert world.vm("web")["state"] == "destroying"
    world.ok("host.confirm-off", name="h1")
    world.run(2)
    assert world.missing("web") and world.job(waits.job)["state"] == "done"


def test_one_destroyed_after_it_is_no_stray_when_the_host_is_back(world: World) -> None:
    host, vm = silence(world), world.vm("web")["id"]
    world.ok("host.confirm-off", name="h1")
    world.ok("vm.destroy", name="web")
    assert world.missing("web")
    back(world, host)
    assert vm not in host.guests
    (shown,) = world.rows("host", names=["h1"], full=True)
    assert not shown.get("strays") and shown["health"] == "up"
    world.run(90)
    assert not world.cluster.state.hosts[host.id].buried


def test_one_destroyed_that_runs_there_all_the_same_is_ended(world: World) -> None:
    """Its end was asked for; only the word that nothing runs there was wrong."""
    host, vm = world.host("h1"), world.vm("web")["id"]
    host.up = False
    world.run(7)
    world.ok("host.confirm-off", name="h1")
    world.ok("vm.destroy", name="web")
    host.up = True
    world.run(8)
    assert vm not in host.guests and not world.rows("host", names=["h1"], full=True)[0].get("strays")


@pytest.mark.fault(52)
def test_a_dead_host_is_removed_and_its_name_inherits_nothing(world: World) -> None:
    silence(world)
    problem = world.refused("host.remove", name="h1")
    assert "it still has web" in problem.text and "thost-confirm-off h1" in problem.hint
    world.ok("host.confirm-off", name="h1")
    world.ok("host.remove", name="h1")
    assert [host["name"] for host in world.rows("host")] == ["h2", "h3"]
    anew = world.add_host("h1")
    world.run(3)
    assert not anew.guests and world.rows("host", names=["h1"])[0]["vms"] == 0
    world.ok("vm.start", name="web", host="h1")
    assert anew.guests[world.vm("web")["id"]][0] == "running"


def test_one_that_never_enrolled_has_nothing(world: World) -> None:
    world.ok("host.add", name="h9")
    assert "never enrolled" in world.refused("host.confirm-off", name="h9").text


# -- in a migration ----------------------------------------------------------------------------------------------------
def moves_on(world: World, state: str) -> tuple[str, str, Hypervisor]:
    """web's migration from h1 to h2 has come so far that the source has it ``state``, and its call has come back."""
    job, vm, source, call = start_and_hold(world)
    source.holding.clear()
    source.guests[vm] = (state, source.guests[vm][1])
    source.held.remove(call)
    return job, vm, source


def ended(source: Hypervisor, world: World) -> None:
    """The source's agent was restarted: it looks at what became of the migration."""
    source.start()
    world.run(3)


@pytest.mark.fault(29)
def test_a_source_that_runs_goes_on_when_its_destination_is_off(world: World) -> None:
    job, vm, source = moves_on(world, "running")
    silence(world, "h2")
    world.ok("host.confirm-off", name="h2")
    ended(source, world)
    assert alive(world, vm) == ["h1"] and world.vm("web")["state"] == "running"
    assert (world.job(job)["state"], world.job(job)["reason"]) == ("failed", "h2 was confirmed to be off by root")


@pytest.mark.fault(29)
def test_a_paused_source_is_not_resumed_for_a_destination_that_may_have_run_it(world: World) -> None:
    """Off says that nothing runs there now; that it never ran, and never wrote to the disk, it does not say."""
    job, vm, source = moves_on(world, "paused")
    silence(world, "h2")
    ended(source, world)
    assert world.vm("web")["state"] == "migrating"
    assert world.ok("host.confirm-off", name="h2").note == "stopped: web"
    world.run(3)
    assert alive(world, vm) == [] and vm not in source.guests, "the paused copy is cleared"
    assert (world.vm("web")["state"], world.vm("web")["reason"]) == ("stopped", "h2 was confirmed to be off by root")
    world.ok("vm.start", name="web", host="h1")
    assert alive(world, vm) == ["h1"] and world.job(job)["state"] == "failed"


@pytest.mark.fault(34)
@pytest.mark.parametrize("arrived", [True, False])
def test_a_source_that_is_off_leaves_it_to_the_destination(world: World, arrived: bool) -> None:
    job, vm, source, _ = start_and_hold(world)
    target = world.host("h2")
    target.up = not arrived  # it runs there, and nobody has heard so yet
    if arrived:
        target.guests[vm] = ("running", source.guests[vm][1] + 1)
    silence(world)
    world.ok("host.confirm-off", name="h1")
    target.up = True
    world.run(8)
    if arrived:
        assert (world.vm("web")["state"], world.vm("web")["host"]) == ("running", "h2")
        assert (world.job(job)["state"], alive(world, vm)) == ("done", ["h2"])
    else:
        assert (world.vm("web")["state"], world.vm("web")["reason"]) == ("stopped", WORD)
        assert (world.job(job)["state"], world.job(job)["reason"]) == ("failed", WORD)


def test_a_copy_that_never_ran_is_cleared_when_its_source_is_off(world: World) -> None:
    _, vm, source, _ = start_and_hold(world)
    target = world.host("h2")
    target.guests[vm], target.incoming = ("paused", source.guests[vm][1] + 1), {vm}
    silence(world)
    world.ok("host.confirm-off", name="h1")
    world.run(5)
    assert vm not in target.guests and world.vm("web")["state"] == "stopped"


def test_with_both_ends_off_it_is_stopped(world: World) -> None:
    job, _, _, _ = start_and_hold(world)
    silence(world)
    silence(world, "h2")
    assert "still migrating" in world.ok("host.confirm-off", name="h2").note, "the source may have it"
    assert "still migrating" in world.ok("host.confirm-off", name="h1").note, "h2 may have been back since"
    assert world.vm("web")["state"] == "migrating"
    assert world.ok("host.confirm-off", name="h2").note == "stopped: web"
    assert world.vm("web")["reason"] == f"{WORD} and h2 was confirmed to be off by root"
    assert world.job(job)["state"] == "failed"
    world.ok("vm.start", name="web")
    assert world.vm("web")["host"] == "h3"


@pytest.mark.fault(29)
def test_what_a_source_sends_to_a_destination_that_is_back_is_not_lost(world: World) -> None:
    """Off is a word about that moment: neither end was heard, and both were mended before the controller heard them."""
    _, vm, source, call = start_and_hold(world)
    source.up = False
    silence(world, "h2")
    world.ok("host.confirm-off", name="h2")
    source.held.remove(call)
    source.holding.clear()
    source.do(call)  # the migration ends well, while nobody hears of it
    source.up = True
    source.start()
    world.run(5)
    assert world.vm("web")["state"] == "migrating", "it is not at its source, and h2 has not said"
    back(world, world.host("h2"))
    assert (world.vm("web")["state"], world.vm("web")["host"], alive(world, vm)) == ("running", "h2", ["h2"])


def test_a_migrating_one_is_destroyed_although_its_ends_are_off(world: World) -> None:
    start_and_hold(world)
    silence(world)
    silence(world, "h2")
    world.ok("host.confirm-off", name="h1")
    destroy = world.ok("vm.destroy", name="web")
    assert world.vm("web")["state"] == "destroying", "h2 may still have it"
    world.ok("host.confirm-off", name="h2")
    world.run(2)
    assert world.missing("web") and world.job(destroy.job)["state"] == "done"


def test_without_another_host_the_one_that_is_off_deletes_the_disk_when_it_is_back() -> None:
    world = World(hosts=1)
    world.create("web")
    host = silence(world)
    world.ok("host.confirm-off", name="h1")
    world.ok("vm.destroy", name="web")
    world.run(2)
    assert world.vm("web")["state"] == "destroying"
    back(world, host)
    assert world.missing("web")
    rows = [row for _, told in world.orders if hasattr(told, "rows") for row in told.rows if row.role == "absent"]
    assert rows and not [row for row in rows if row.keep_disk]
