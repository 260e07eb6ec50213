"""The fake world: slow and wrong on demand, and what every cut and crash between two steps leaves behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest

from tashi.model.guest import Guest
from tashi.wire.agents import Seen
from tashid.driver.calls import SHAPES
from tashid.driver.fake import FakeDriver, Fault, Killed, World
from tashid.driver.interface import DriverError
from tashid.driver.settings import DriverSettings
from tashid.driver.worker import CALLS
from tests.contract.clocks import StillClock
from tests.contract.driver_rigs import MIB

GUEST = Guest("v-1", "web", 1, 1024 * MIB)
COPY_SECONDS = 8.0


class Two:
    """Two hosts in memory; a migration copies for 8 s."""

    def __init__(self) -> None:
        self.clock = StillClock()
        self.world = World.in_memory(self.clock)
        settings = DriverSettings(driver="fake", seconds_start=1.0, seconds_per_gib=COPY_SECONDS)
        self.h1, self.h2 = (FakeDriver(self.world, name, settings) for name in ("h1", "h2"))
        self.h1.start(GUEST, 1)

    def states(self) -> tuple[str, str]:
        return self.h1.look("v-1").state, self.h2.look("v-1").state

    def begin_move(self) -> Any:
        """The caller of a migration, stopped when it has begun."""
        args = {"guest": msgspec.to_builtins(GUEST), "peer": "fake://h2", "generation": 2}
        steps = self.h1.steps("migrate", args)
        assert next(steps) == 0.0
        next(steps)
        return steps

    def result(self, steps: Any) -> Any:
        try:
            while True:
                self.clock.sleep(next(steps))
        except StopIteration as end:
            return end.value


@pytest.fixture
def two() -> Two:
    return Two()


def test_a_migration_shows_every_step(two: Two) -> None:
    two.begin_move()
    seen = [two.states()]
    for _ in range(1000):
        two.clock.sleep(0.01)
        if seen[-1] != two.states():
            seen.append(two.states())
    assert seen == [("running", "paused"), ("paused", "paused"), ("paused", "running"), ("absent", "running")]
    assert two.h2.look("v-1").generation == 2


def test_what_was_begun_goes_on_without_its_caller(two: Two) -> None:
    two.begin_move().close()
    assert two.h1.look("v-1").moving
    two.clock.sleep(60)
    assert two.states() == ("absent", "running")
    start = two.h1.steps("start", {"guest": {**msgspec.to_builtins(GUEST), "id": "v-2"}, "generation": 1})
    next(start)
    next(start)
    start.close()
    assert two.h1.look("v-2").state == "paused"
    two.clock.sleep(1)
    assert two.h1.look("v-2").state == "running"


CUTS: dict[str, tuple[float, tuple[str, str], type[Exception]]] = {
    "while copying": (1.0, ("running", "paused"), DriverError),
    "at the switch-over": (COPY_SECONDS + 0.01, ("paused", "paused"), OSError),
    "before the confirmation": (COPY_SECONDS + 0.06, ("paused", "running"), OSError),
}


@pytest.mark.parametrize(("after", "left", "error"), CUTS.values(), ids=CUTS)
def test_a_cut_leaves_the_worst(two: Two, after: float, left: tuple[str, str], error: type[Exception]) -> None:
    steps = two.begin_move()
    two.clock.sleep(after)
    two.world.cut("h2", "h1")
    two.clock.sleep(60)
    assert two.states() == left
    with pytest.raises(error):
        two.result(steps)
    assert two.h1.moving("v-1") is None
    two.world.heal("h1", "h2")
    two.clock.sleep(60)
    assert two.states() == left, "nobody decides by himself"


@pytest.mark.parametrize("after", [1.0, COPY_SECONDS + 0.01, COPY_SECONDS + 0.06])
def test_never_in_two_places_after_a_power_cut(two: Two, after: float) -> None:
    for host, left in (("h1", "h2"), ("h2", "h1")):
        two = Two()
        two.begin_move()
        two.clock.sleep(after)
        two.world.power_cut(host)
        two.clock.sleep(60)
        assert [seen.state for seen in FakeDriver(two.world, host).inventory()] in ([], ["stopped"])
        assert two.world.running().get("v-1", []) in ([], [left])


def test_a_host_without_power_is_not_migrated_to(two: Two) -> None:
    two.world.power_cut("h2")
    with pytest.raises(DriverError, match="can't be reached"):
        two.h1.migrate(GUEST, "fake://h2", 2)
    two.world.power_on("h2")
    assert two.h1.migrate(GUEST, "fake://h2", 2).total_seconds > COPY_SECONDS


def test_an_abort_after_the_switch_over_is_too_late(two: Two) -> None:
    steps = two.begin_move()
    two.clock.sleep(COPY_SECONDS + 0.01)
    two.h1.abort_move("v-1")
    assert two.result(steps).downtime_seconds > 0
    assert two.states() == ("absent", "running")


def test_a_guest_that_ends_while_it_moves_does_not_run_there(two: Two) -> None:
    steps = two.begin_move()
    two.world.end_guest("h1", "v-1")
    with pytest.raises(DriverError):
        two.result(steps)
    assert two.states() == ("stopped", "absent")


def test_the_power_button_takes_a_moment_and_may_be_ignored(two: Two) -> None:
    two.h1.press_power_button("v-1")
    assert two.states()[0] == "running"
    two.clock.sleep(1)
    assert two.states()[0] == "stopped"
    two.h1.start(msgspec.structs.replace(GUEST, hints={"acpi": "ignore"}), 2)
    two.h1.press_power_button("v-1")
    two.clock.sleep(60)
    assert two.states()[0] == "running"


def test_a_stamp_does_not_save_a_guest_that_shuts_down(two: Two) -> None:
    two.h1.press_power_button("v-1")
    two.h1.stamp("v-1", 2)
    two.h1.start(GUEST, 3)
    two.clock.sleep(1)
    assert two.states()[0] == "stopped"


# -- faults ----------------------------------------------------------------------------------------------------------


def stopped(two: Two) -> Seen:
    return two.h1.stop("v-1", 2)


@pytest.mark.parametrize(
    ("fault", "error", "state"),
    [
        (Fault("h1", "stop", fail="v-1: the disk is full"), DriverError, "running"),
        (Fault("", "stop", error="the line broke"), OSError, "stopped"),
        (Fault("h1", kill=True), Killed, "stopped"),
        (Fault("h2", "stop", fail="elsewhere"), None, "stopped"),
        (Fault("h1", "stop", "v-2", fail="another"), None, "stopped"),
        (Fault("h1", "stop", fail="over", times=0), None, "stopped"),
    ],
)
def test_a_fault_is_for_the_calls_that_it_names(
    two: Two, fault: Fault, error: type[BaseException] | None, state: str
) -> None:
    two.world.set_faults([fault])
    if error is None:
        stopped(two)
    else:
        with pytest.raises(error):
            stopped(two)
    two.world.set_faults([])
    assert two.states()[0] == state


def test_a_fault_may_be_slow_lie_and_wear_out(two: Two) -> None:
    two.world.set_faults([Fault(call="look", delay=5.0, lie="stopped", times=1)])
    before = two.clock.now()
    assert two.h1.look("v-1").state == "stopped"
    assert two.clock.now() == before + 5.0
    assert two.h1.look("v-1").state == "running"


@pytest.mark.parametrize(("when", "state"), [("before", "running"), ("after", "stopped")])
def test_a_call_may_hang(two: Two, when: Literal["before", "after"], state: str) -> None:
    two.world.set_faults([Fault(call="stop", hang=when)])
    steps = two.h1.steps("stop", {"vm": "v-1", "generation": 2})
    for _ in range(100):
        two.clock.sleep(next(steps))
    assert two.states()[0] == state


def test_a_phase_of_a_migration_may_be_slow_or_fail(two: Two) -> None:
    two.world.set_faults([Fault(call="copy", delay=100.0), Fault(call="switch", fail="no memory", times=1)])
    steps = two.begin_move()
    two.clock.sleep(COPY_SECONDS + 99.0)
    assert two.h1.moving("v-1") is not None
    with pytest.raises(OSError, match="no memory"):
        two.result(steps)
    assert two.states() == ("paused", "paused")


def test_faults_are_a_file_in_a_folder(tmp_path: Path) -> None:
    world = World(tmp_path / "world")
    driver = FakeDriver(world, "h1", DriverSettings(driver="fake", seconds_start=0.0))
    faults = [{"host": "h1", "call": "start", "fail": "v-1: no", "times": 1}]
    (tmp_path / "world/faults.json").write_text(json.dumps({"faults": faults}))
    with pytest.raises(DriverError, match="v-1: no"):
        driver.start(GUEST, 1)
    assert FakeDriver(World(tmp_path / "world"), "h1").start(GUEST, 1).state == "running"


def test_a_world_in_a_folder_is_shared_and_outlives_its_users(tmp_path: Path) -> None:
    FakeDriver(World(tmp_path / "world"), "h1").start(GUEST, 3)
    assert json.loads((tmp_path / "world/hosts/h1/v-1.json").read_text())["generation"] == 3
    assert FakeDriver(World(tmp_path / "world"), "h1").look("v-1").state == "running"
    World(tmp_path / "world").power_cut("h1")
    assert FakeDriver(World(tmp_path / "world"), "h1").look("v-1").state == "stopped"


def test_a_call_that_travels_is_checked(two: Two) -> None:
    bad: list[Callable[[], Any]] = [
        lambda: two.h1.steps("look", {}),
        lambda: two.h1.steps("look", {"vm": 1}),
        lambda: two.h1.steps("look", {"vm": "v-1", "also": 1}),
        lambda: two.h1.steps("start", {"guest": {"id": "v-1"}, "generation": 1}),
    ]
    for call in bad:
        with pytest.raises(DriverError):
            call()
    assert SHAPES.keys() == CALLS.keys()
