"""The agent's mind: what it obeys, what it does once, what it never forgets and never does."""

from __future__ import annotations

from typing import Any

import pytest

from tashi.agent import events
from tashi.agent.mind import Mind
from tashi.model.guest import Guest
from tashi.model.host import Facts
from tashi.wire.agents import (
    Acked,
    Beat,
    Hello,
    Inventory,
    Pulse,
    Row,
    Rows,
    Shot,
    Tell,
    Welcome,
)

NOW = events.Now(100.0, 1e9)
GUEST = Guest("v-1", "web", 1, 2**28)


def mind(journal: list[dict[str, Any]] | None = None, incarnation: int = 1) -> Mind:
    return Mind(journal or [], events.Identity("h1", "u", "boot", incarnation), Facts(8, 2**33))


def welcomed(
    journal: list[dict[str, Any]] | None = None, incarnation: int = 1, epoch: int = 5, guests: Any = ()
) -> Mind:
    """A mind that the controller has greeted and whose inventory is in."""
    agent = mind(journal, incarnation)
    steps = agent.step(events.Connected(), NOW)
    agent.step(events.Heard(Welcome(epoch, 1.0, 5)), NOW)
    for call in steps.calls:
        if call.verb == "inventory":
            agent.step(events.Called(call.id, "ok", list(guests)), NOW)
    return agent


def rows(agent: Mind, *several: Row, epoch: int = 5) -> events.Steps:
    return agent.step(events.Heard(Rows(epoch, list(several))), NOW)


def run(generation: int) -> Row:
    return Row("v-1", "run", generation, GUEST)


def tells(steps: events.Steps) -> list[Tell]:
    return [message for message in steps.messages if isinstance(message, Tell)]


def done(agent: Mind, steps: events.Steps, state: str, generation: int) -> events.Steps:
    seen = {"vm": "v-1", "state": state, "generation": generation}
    return agent.step(events.Called(steps.calls[-1].id, "ok", seen), NOW)


def test_a_row_is_written_down_before_it_is_carried_out_and_told_after() -> None:
    agent = welcomed()
    steps = rows(agent, run(1))
    assert steps.journal[0] == {"is": "row", "vm": "v-1", "generation": 1, "role": "run"}
    assert [call.verb for call in steps.calls] == ["start"]
    (tell,) = tells(done(agent, steps, "running", 1))
    assert tell.seen is not None
    assert (tell.seen.state, tell.seen.row_generation, tell.seen.outcome) == ("running", 1, "done")


@pytest.mark.fault(44)
@pytest.mark.attack(17)
def test_an_older_generation_is_refused_and_said_so() -> None:
    agent = welcomed()
    done(agent, rows(agent, Row("v-1", "stop", 2)), "stopped", 2)
    steps = rows(agent, run(1))
    assert not steps.calls
    (tell,) = tells(steps)
    assert tell.seen is not None and tell.seen.outcome == "refused" and "older than 2" in tell.seen.reason


def test_the_fence_outlives_the_agent() -> None:
    agent = welcomed()
    steps = rows(agent, Row("v-1", "stop", 7))
    journal = agent.memory.snapshot()
    again = welcomed(journal, incarnation=2)
    assert not rows(again, run(6)).calls
    assert steps.journal


@pytest.mark.attack(16)
def test_an_older_epoch_changes_nothing_and_the_newest_is_kept() -> None:
    agent = welcomed(epoch=9)
    steps = rows(agent, run(1), epoch=8)
    assert not steps.calls and not steps.journal
    assert mind(agent.memory.snapshot()).memory.epoch == 9
    hello = mind(agent.memory.snapshot()).step(events.Connected(), NOW).messages[0]
    assert isinstance(hello, Hello) and hello.epoch == 9


def test_the_same_row_again_is_looked_at_not_done_again() -> None:
    agent = welcomed()
    done(agent, rows(agent, run(1)), "running", 1)
    steps = rows(agent, run(1))
    assert [call.verb for call in steps.calls] == ["look"]
    assert tells(done(agent, steps, "running", 1))


def test_the_same_generation_in_another_role_is_refused() -> None:
    agent = welcomed()
    done(agent, rows(agent, run(1)), "running", 1)
    assert not rows(agent, Row("v-1", "stop", 1)).calls


def test_one_call_at_a_time_and_only_the_newest_row_waits() -> None:
    agent = welcomed()
    first = rows(agent, run(1))
    assert not rows(agent, Row("v-1", "stop", 2)).calls
    assert not rows(agent, Row("v-1", "absent", 3, GUEST)).calls
    after = done(agent, first, "running", 1)
    assert [call.verb for call in after.calls] == ["remove"]


def test_a_newer_row_aborts_a_migration_under_way_but_its_own_confirm_waits() -> None:
    agent = welcomed()
    moving = rows(agent, Row("v-1", "source", 2, GUEST, peer="fake://h2"))
    assert moving.calls[0].verb == "migrate"
    assert not rows(agent, Row("v-1", "absent", 2, GUEST, only_if="paused")).calls
    assert [call.verb for call in rows(agent, run(3)).calls] == ["abort_move"]
    after = agent.step(events.Called(moving.calls[0].id, "failed", None, "aborted"), NOW)
    assert [call.verb for call in after.calls if call.verb != "inventory"] == ["start"]


def test_a_migration_that_was_called_back_is_told_as_such_though_its_call_hangs() -> None:
    agent = welcomed()
    moving = rows(agent, Row("v-1", "source", 2, GUEST, peer="fake://h2"))
    shot = agent.step(events.Heard(Shot(5, "j-1", "abort-move", "v-1", 2)), NOW).calls[0]
    (look,) = (call for call in agent.step(events.Called(shot.id, "ok", True), NOW).calls if call.verb == "look")
    seen = {"vm": "v-1", "state": "running", "generation": 1}
    assert not tells(agent.step(events.Called(look.id, "ok", seen | {"moving": True}), NOW)), "it may still go"
    shot = agent.step(events.Heard(Shot(5, "j-2", "abort-move", "v-1", 2)), NOW).calls[0]
    (look,) = (call for call in agent.step(events.Called(shot.id, "ok", True), NOW).calls if call.verb == "look")
    (tell,) = tells(agent.step(events.Called(look.id, "ok", seen), NOW))
    assert tell.seen is not None and (tell.seen.state, tell.seen.outcome) == ("running", "failed")
    assert not [call for call in rows(agent, run(3)).calls if call.verb == "start"], "the hanging call goes first"
    after = agent.step(events.Called(moving.calls[0].id, "failed", None, "aborted"), NOW)
    assert "start" in [call.verb for call in after.calls]


def test_what_is_called_back_before_it_began_is_called_back_again() -> None:
    agent = welcomed()
    moving = rows(agent, Row("v-1", "source", 2, GUEST, peer="fake://h2"))
    shot = agent.step(events.Heard(Shot(5, "j-1", "abort-move", "v-1", 2)), NOW).calls[0]
    assert not tells(agent.step(events.Called(shot.id, "ok", False), NOW)), "it may only be about to begin"
    later = events.Now(NOW.monotonic + 1.0, NOW.wall)
    (again,) = (call for call in agent.step(events.Tick(), later).calls if call.verb == "abort_move")
    after = agent.step(events.Called(again.id, "ok", True), later)
    assert [tell.shot.outcome for tell in tells(after) if tell.shot] == ["done"]
    assert "look" in [call.verb for call in after.calls]
    agent.step(events.Called(moving.calls[0].id, "failed", None, "aborted"), later)


def test_a_migration_is_never_started_twice() -> None:
    agent = welcomed()
    row = Row("v-1", "source", 2, GUEST, peer="fake://h2")
    rows(agent, row)
    seen = {"vm": "v-1", "state": "running", "generation": 1, "moving": True}
    again = welcomed(agent.memory.snapshot(), incarnation=2, guests=[seen])
    steps = rows(again, row)
    assert [call.verb for call in steps.calls] == ["look"]
    (tell,) = tells(again.step(events.Called(steps.calls[0].id, "ok", seen), NOW))
    assert tell.seen is not None and tell.seen.moving and tell.seen.outcome == ""
    steps = rows(again, row)
    (tell,) = tells(again.step(events.Called(steps.calls[0].id, "ok", seen | {"moving": False}), NOW))
    assert tell.seen is not None and tell.seen.outcome == "failed"


def test_a_migration_that_waits_for_a_look_is_not_told_to_have_failed_by_it() -> None:
    agent = welcomed()
    done(agent, rows(agent, run(1)), "running", 1)
    look = agent.step(events.DriverEvent("v-1", "resumed", ""), NOW)
    assert [call.verb for call in look.calls] == ["look"]
    assert not rows(agent, Row("v-1", "source", 2, GUEST, peer="fake://h2")).calls
    steps = done(agent, look, "running", 1)
    assert [call.verb for call in steps.calls] == ["migrate"]
    assert not [tell for tell in tells(steps) if tell.seen is not None and tell.seen.outcome == "failed"]


def test_the_figures_survive_a_confirm_that_came_first() -> None:
    agent = welcomed()
    moving = rows(agent, Row("v-1", "source", 2, GUEST, peer="fake://h2"))
    rows(agent, Row("v-1", "absent", 2, GUEST, only_if="paused"))
    stats = {"total_seconds": 1.0, "downtime_seconds": 0.1, "bytes": 5.0}
    after = agent.step(events.Called(moving.calls[0].id, "ok", stats), NOW)
    (tell,) = tells(done(agent, after, "absent", 0))
    assert tell.seen is not None and tell.seen.stats == stats and tell.seen.outcome == "done"


def test_a_one_shot_is_done_at_most_once_across_restarts() -> None:
    agent = welcomed()
    shot = Shot(5, "j-1", "power-button", "v-1", 1)
    steps = agent.step(events.Heard(shot), NOW)
    assert [call.verb for call in steps.calls] == ["press_power_button"] and steps.journal[0]["is"] == "shot"
    assert not agent.step(events.Heard(shot), NOW).calls
    again = mind(agent.memory.snapshot(), incarnation=2)
    again.step(events.Connected(), NOW)
    after = again.step(events.Heard(Welcome(5, 1.0, 5)), NOW)
    assert not [call for call in after.calls if call.verb == "press_power_button"]
    (tell,) = [message for message in tells(after) if message.shot is not None][:1]
    assert tell.shot is not None and tell.shot.outcome == "unknown"
    assert not again.step(events.Heard(shot), NOW).calls


@pytest.mark.fault(44, 57)
def test_what_is_called_back_before_its_order_comes_is_not_begun() -> None:
    agent = welcomed()
    done(agent, rows(agent, run(1)), "running", 1)
    steps = agent.step(events.Heard(Shot(5, "j-1", "abort-move", "v-1", 2)), NOW)
    (tell,) = tells(steps)
    assert not steps.calls and tell.shot is not None and tell.shot.outcome == "done"
    for each in (agent, welcomed(agent.memory.snapshot(), incarnation=2)):
        looks = rows(each, Row("v-1", "source", 2, GUEST, peer="h2"))
        assert [call.verb for call in looks.calls] == ["look"]
        (tell,) = tells(done(each, looks, "running", 1))
        assert tell.seen is not None and (tell.seen.outcome, tell.seen.row_generation) == ("failed", 2)


@pytest.mark.fault(45)
def test_an_inventory_that_was_not_heard_is_made_again_soon() -> None:
    agent = welcomed()
    assert agent.next_tick() <= NOW.monotonic + 15.0
    agent.step(events.Heard(Acked(1, [1])), NOW)
    steps = [agent.step(events.Tick(), events.Now(NOW.monotonic + after, 1e9)) for after in (16.0, 61.0)]
    assert [[call.verb for call in each.calls] for each in steps] == [[], ["inventory"]]


def test_a_stale_one_shot_is_not_done() -> None:
    agent = welcomed()
    done(agent, rows(agent, run(3)), "running", 3)
    steps = agent.step(events.Heard(Shot(5, "j-1", "power-button", "v-1", 2)), NOW)
    assert not steps.calls
    assert tells(steps)[0].shot is not None and tells(steps)[0].shot.outcome == "failed"  # type: ignore[union-attr]


def test_what_is_not_acked_is_told_again_and_what_is_acked_is_forgotten() -> None:
    agent = welcomed()
    (tell,) = tells(done(agent, rows(agent, run(1)), "running", 1))
    later = events.Now(NOW.monotonic + 60, 0)
    assert tell in tells(agent.step(events.Tick(), later))
    agent.step(events.Heard(Acked(tell.incarnation, [tell.seq])), later)
    assert not tells(agent.step(events.Tick(), events.Now(NOW.monotonic + 120, 0)))
    assert not mind(agent.memory.snapshot()).memory.outbox


def test_the_outbox_keeps_the_latest_word_but_every_exit() -> None:
    agent = welcomed()
    done(agent, rows(agent, run(1)), "running", 1)
    for state in ("stopped", "running", "stopped"):
        steps = agent.step(events.DriverEvent("v-1"), NOW)
        done(agent, steps, state, 1)
    kept = [message["seen"] for message in agent.memory.outbox.values()]
    assert [seen.get("exited", False) for seen in kept] == [True, True]


def test_why_a_guest_ends_is_remembered_from_the_hypervisors_word_until_its_next_start() -> None:
    agent = welcomed()
    done(agent, rows(agent, run(1)), "running", 1)
    steps = agent.step(events.DriverEvent("v-1", "shutdown", "a signal ended its QEMU"), NOW)
    assert tells(done(agent, steps, "running", 1))[0].seen.reason == ""
    steps = agent.step(events.DriverEvent("v-1", "stopped"), NOW)
    assert tells(done(agent, steps, "stopped", 1))[0].seen.reason == "a signal ended its QEMU"
    done(agent, rows(agent, run(2)), "running", 2)
    steps = agent.step(events.DriverEvent("v-1", "stopped"), NOW)
    assert tells(done(agent, steps, "stopped", 2))[0].seen.reason == ""


def test_without_a_controller_guests_are_left_alone() -> None:
    agent = welcomed()
    done(agent, rows(agent, run(1)), "running", 1)
    agent.step(events.Disconnected(), NOW)
    for seconds in range(0, 10_000, 100):
        steps = agent.step(events.Tick(), events.Now(NOW.monotonic + seconds, 0))
        assert {call.verb for call in steps.calls} <= {"inventory"}
        assert not steps.messages
        for call in steps.calls:
            agent.step(events.Called(call.id, "ok", [{"vm": "v-1", "state": "running", "generation": 1}]), NOW)


def test_a_guest_that_no_row_names_is_only_reported() -> None:
    agent = mind()
    steps = agent.step(events.Connected(), NOW)
    agent.step(events.Heard(Welcome(5, 1.0, 5)), NOW)
    guests = [
        {"vm": "v-9", "state": "running", "generation": 4},
        {"vm": "", "state": "running", "foreign": True, "name": "old", "cores": 2, "memory_bytes": 5},
    ]
    inventory = agent.step(events.Called(steps.calls[0].id, "ok", guests), NOW)
    assert {call.verb for call in inventory.calls} <= {"inventory"}
    (message,) = [each for each in inventory.messages if isinstance(each, Inventory)]
    assert [(seen.vm, seen.foreign) for seen in message.guests] == [("v-9", False), ("", True)]


def test_an_inventory_that_was_begun_before_a_call_does_not_undo_what_the_call_showed() -> None:
    agent = mind()
    steps = agent.step(events.Connected(), NOW)
    agent.step(events.Heard(Welcome(5, 1.0, 5)), NOW)
    started = rows(agent, run(1))
    done(agent, started, "running", 1)
    inventory = agent.step(events.Called(steps.calls[0].id, "ok", []), NOW)
    (message,) = [each for each in inventory.messages if isinstance(each, Inventory)]
    assert [(seen.vm, seen.state) for seen in message.guests] == [("v-1", "running")]


def test_it_notices_a_controller_that_fell_silent() -> None:
    agent = welcomed()
    assert not agent.deaf(events.Now(NOW.monotonic + 4, 0))
    assert agent.deaf(events.Now(NOW.monotonic + 6, 0))
    agent.step(events.Heard(Pulse(5)), events.Now(NOW.monotonic + 6, 0))
    assert not agent.deaf(events.Now(NOW.monotonic + 7, 0))


def test_a_hypervisor_out_of_reach_is_said_with_the_heartbeat() -> None:
    agent = welcomed()
    agent.step(events.DriverUp(False, "connection refused"), NOW)
    steps = agent.step(events.Tick(), events.Now(NOW.monotonic + 2, 0))
    (beat,) = [message for message in steps.messages if isinstance(message, Beat)]
    assert "connection refused" in beat.degraded


def test_an_inventory_that_hangs_or_fails_does_not_keep_it_busy() -> None:
    agent = mind()
    call = agent.step(events.Connected(), NOW).calls[0]
    agent.step(events.Heard(Welcome(5, 1.0, 5)), NOW)
    assert agent.next_tick() > NOW.monotonic
    agent.step(events.Called(call.id, "unknown", None, "deadline"), NOW)
    assert NOW.monotonic < agent.next_tick() <= NOW.monotonic + 2
    agent.step(events.Disconnected(), NOW)
    assert agent.next_tick() == NOW.monotonic + 2


def test_what_is_not_acknowledged_is_told_again_at_growing_intervals() -> None:
    agent = welcomed()
    told = tells(done(agent, rows(agent, run(1)), "running", 1))
    again = []
    for half in range(1, 200):
        now = events.Now(NOW.monotonic + half / 2, NOW.wall)
        again += [half / 2 for message in tells(agent.step(events.Tick(), now)) if message.seq == told[0].seq]
    assert again == [1, 2, 4, 8, 16, 32, 62, 92]
    agent.step(events.Heard(Acked(told[0].incarnation, [each.seq for each in told])), NOW)
    assert not tells(agent.step(events.Tick(), events.Now(NOW.monotonic + 500, NOW.wall)))
