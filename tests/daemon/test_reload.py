"""SIGHUP: the controller reads its settings again; a bad file changes nothing."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon.processes import Asker, Controller, until

POLICY = '[placement]\npolicy = "{}"\n'


@pytest.fixture
def controller() -> Iterator[Controller]:
    made = Controller()
    yield made.start()
    made.close()


@pytest.fixture
def admin(controller: Controller) -> Asker:
    return controller.local()


def reload(controller: Controller, more: str) -> str:
    """Write settings, send the signal; the line of the log that tells what came of it."""
    plain = controller.config.read_text().partition("[placement")[0]
    controller.config.write_text(plain + more)
    before = controller.log.count("SIGHUP")
    assert controller.process is not None
    controller.process.send_signal(signal.SIGHUP)
    until(lambda: controller.log.count("SIGHUP") > before, "the signal is heard")
    return next(line for line in reversed(controller.log.splitlines()) if "SIGHUP" in line)


def policy(admin: Asker) -> tuple[Any, ...]:
    said = admin.ok("status")
    return said["policy"], said["policy_version"], said["settings_refused"]


def told(admin: Asker) -> list[dict[str, Any]]:
    return [
        json.loads(json.dumps(each))
        for each in admin.ok("changes", after=0, kinds=["policy"], wait_seconds=0)["entries"]
    ]


def test_another_policy_is_taken_told_and_kept_over_a_start(controller: Controller, admin: Asker) -> None:
    assert policy(admin) == ("pack", 1, None)
    assert "policy_version=2" in reload(controller, POLICY.format("spread"))
    assert policy(admin) == ("spread", 2, None)
    (entry,) = told(admin)
    assert (entry["state"], entry["reason"], entry["by"]) == ("version 2", "policy pack -> spread", "controller")
    assert "policy_version=2" in reload(controller, POLICY.format("spread")), "the same again is no change"
    controller.kill()
    controller.start()
    assert policy(controller.local()) == ("spread", 2, None)
    controller.stop()
    controller.config.write_text(controller.config.read_text().partition("[placement")[0])
    controller.start()
    assert policy(controller.local()) == ("pack", 3, None), "a start with another file is a change too"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ('[placement]\nfilters = ["colour"]\n', "[placement]: 'colour': no such filter"),
        ("[placement.weights]\ngravity = 1.0\n", "[placement.weights] gravity: no such key"),
        ('[placement]\npolicy = "stack"\n', "[placement] policy: 'stack' is not one of pack, spread"),
        ("[placement]\ncores_ratio = 0\n", "[placement] cores_ratio: 0.0 is out of range"),
        ("[placement.weights]\nbalance = 9.0\n", "weight balance is more than half of order"),
        ("[placement\n", "not TOML"),
    ],
)
def test_a_bad_file_changes_nothing_and_is_seen(controller: Controller, admin: Asker, more: str, why: str) -> None:
    reload(controller, POLICY.format("spread"))
    line = reload(controller, more)
    assert " error: " in line and str(controller.config) in line and "hint=" in line
    order, version, refused = policy(admin)
    assert (order, version) == ("spread", 2)
    assert str(controller.config) in refused and why in refused
    found = [json.loads(row) for row in admin.ask("list", noun="finding")["rows"].splitlines()]
    assert [(each["kind"], each["name"]) for each in found] == [("controller", "settings")]
    reload(controller, POLICY.format("spread"))
    assert policy(admin) == ("spread", 2, None), "a good file ends it"


def test_a_file_that_is_gone_changes_nothing(controller: Controller, admin: Asker) -> None:
    reload(controller, POLICY.format("spread"))
    before = controller.log.count("SIGHUP")
    controller.config.unlink()
    assert controller.process is not None
    controller.process.send_signal(signal.SIGHUP)
    until(lambda: controller.log.count("SIGHUP") > before, "the signal is heard")
    order, version, refused = policy(admin)
    assert (order, version) == ("spread", 2) and "No such file" in refused


def test_what_waits_for_a_start_is_named(controller: Controller, admin: Asker) -> None:
    line = reload(controller, "[quota]\nvms = 3\n")
    assert 'wait_for_a_start="[quota] vms"' in line and policy(admin) == ("pack", 1, None)


def test_many_signals_at_once_are_no_harm(controller: Controller, admin: Asker) -> None:
    reload(controller, POLICY.format("spread"))
    assert controller.process is not None
    for _ in range(50):
        controller.process.send_signal(signal.SIGHUP)
    until(lambda: controller.log.count("SIGHUP") > 1, "the signals are heard")
    assert policy(admin) == ("spread", 2, None)
