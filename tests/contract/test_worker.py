"""The driver behind its worker and its event child: what a killed caller leaves, and what is heard without asking."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tashi.model.guest import Guest
from tashi.run.events import EventSource
from tashi.run.loop import Loop
from tashi.run.workers import Outcome, Pool
from tashid.driver.fake import Fault, World
from tashid.driver.settings import DriverSettings, dump_settings, load_settings
from tests.contract.driver_rigs import QemuRig

GUEST = msgspec.to_builtins(Guest("v-1", "web", 1, 2**30))
ROOT = Path(__file__).parents[2]


class Parent:
    """What an agent has: a loop, workers, and the hypervisor's events."""

    def __init__(self, settings: DriverSettings) -> None:
        line = dump_settings(settings).decode()
        self.loop = Loop()
        self.pool = Pool(self.loop, [sys.executable, "-m", "tashid.driver.worker", line], 2)
        self.heard: list[Any] = []
        argv = [sys.executable, "-m", "tashid.driver.events", line]
        self.events = EventSource(self.loop, argv, self.heard.append, lambda up, why: None)

    def ask(self, verb: str, seconds: float = 60.0, **args: Any) -> Outcome:
        outcomes: list[Outcome] = []
        self.pool.call(verb, args, seconds, outcomes.append)
        self.turn_until(lambda: outcomes)
        return outcomes[0]

    def turn_until(self, so: Callable[[], object], seconds: float = 60.0) -> None:
        end = time.monotonic() + seconds
        while not so():
            assert time.monotonic() < end, "it never came"
            self.loop.turn(0.05)

    def events_of(self, vm: str) -> list[str]:
        return [line["event"] for line in self.heard if line.get("vm") == vm]

    def close(self) -> None:
        self.events.close()
        self.pool.close()
        self.loop.close()


@pytest.fixture(autouse=True)
def from_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", f"{ROOT / 'lib'}:{ROOT / 'daemon'}")


@pytest.fixture
def settings(tmp_path: Path) -> DriverSettings:
    made = DriverSettings(driver="fake", host="h1", world=str(tmp_path / "world"), pool=str(tmp_path / "pool"))
    World(made.world).power_on("h2")
    return made


@pytest.fixture
def parent(settings: DriverSettings) -> Iterator[Parent]:
    parent = Parent(settings)
    yield parent
    parent.close()


def test_settings_travel_whole() -> None:
    settings = DriverSettings(driver="fake", networks={"default": "br0"}, cores=3, seconds_start=0.5, lab=True)
    assert load_settings(dump_settings(settings)) == settings
    for bad in ("", "[]", '{"driver": "other"}', '{"cores": "many"}'):
        with pytest.raises(ValueError, match="driver settings"):
            load_settings(bad)


def test_each_call_has_its_outcome(parent: Parent) -> None:
    facts = parent.ask("facts")
    assert facts.outcome == "ok" and facts.value["cores"] == 64
    started = parent.ask("start", guest=GUEST, generation=1)
    assert (started.outcome, started.value["state"], started.value["generation"]) == ("ok", "running", 1)
    assert [seen["vm"] for seen in parent.ask("inventory").value] == ["v-1"]
    assert parent.ask("moving", vm="v-1") == Outcome("ok", None, "")
    moved = parent.ask("migrate", guest=GUEST, peer="fake://h2", generation=2)
    assert moved.value.keys() == {"total_seconds", "downtime_seconds", "bytes"}
    assert parent.ask("look", vm="v-1").value == {"vm": "v-1", "state": "absent"}


@pytest.mark.parametrize(
    ("verb", "args"),
    [
        ("press_power_button", {"vm": "v-1"}),
        ("look", {}),
        ("look", {"vm": 7}),
        ("look", {"vm": "v-1", "more": 1}),
        ("start", {"guest": {}, "generation": 1}),
        ("__class__", {}),
        ("_pass", {"vm": "v-1"}),
        ("inspect_image", {"path": "../x", "format": "raw"}),
    ],
)
def test_a_refusal_is_definite(parent: Parent, verb: str, args: dict[str, Any]) -> None:
    answer = parent.ask(verb, **args)
    assert answer.outcome == "failed" and answer.text


def test_what_proves_nothing_is_unknown(parent: Parent, settings: DriverSettings) -> None:
    faults = [Fault(call="start", error="the line broke", times=1), Fault(call="stop", kill=True, times=1)]
    World(settings.world).set_faults(faults)
    assert parent.ask("start", guest=GUEST, generation=1).outcome == "unknown"
    assert parent.ask("look", vm="v-1").value["state"] == "running"
    assert parent.ask("stop", vm="v-1", generation=2).outcome == "unknown"
    assert parent.ask("look", vm="v-1").value["state"] == "stopped"


def test_a_migration_outlives_its_killed_caller(parent: Parent, settings: DriverSettings) -> None:
    World(settings.world).set_faults([Fault(call="copy", delay=3.0)])
    parent.ask("start", guest=GUEST, generation=1)
    call = parent.ask("migrate", 0.5, guest=GUEST, peer="fake://h2", generation=2)
    assert call.outcome == "unknown"
    assert parent.ask("look", vm="v-1").value["moving"]
    parent.turn_until(lambda: parent.ask("look", vm="v-1").value["state"] == "absent")
    there = World(settings.world).guest("h2", "v-1")
    assert there is not None and (there.state, there.generation) == ("running", 2)


def test_events_are_heard(parent: Parent) -> None:
    parent.turn_until(lambda: parent.heard)
    assert parent.heard == [{"connected": True}]
    parent.ask("start", guest=GUEST, generation=1)
    parent.turn_until(lambda: "started" in parent.events_of("v-1"))
    parent.ask("stop", vm="v-1", generation=2)
    parent.turn_until(lambda: "stopped" in parent.events_of("v-1"))
    parent.ask("remove", vm="v-1")
    parent.turn_until(lambda: "undefined" in parent.events_of("v-1"))


@pytest.mark.parametrize("program", ["worker", "events"])
def test_a_child_ends_with_its_parent(settings: DriverSettings, program: str) -> None:
    """The parent is another process, killed as an agent may be; its child must not go on."""
    code = (
        "import sys, time\nfrom tashi.run.workers import spawn\n"
        "process, channel = spawn(sys.argv[1:])\nprint(process.pid, flush=True)\ntime.sleep(60)\n"
    )
    child = [sys.executable, "-m", f"tashid.driver.{program}", dump_settings(settings).decode()]
    agent = subprocess.Popen([sys.executable, "-c", code, *child], stdout=subprocess.PIPE)
    assert agent.stdout is not None
    pidfd = os.pidfd_open(int(agent.stdout.readline()))
    agent.send_signal(signal.SIGKILL)
    agent.wait()
    agent.stdout.close()
    try:
        ended = _readable(pidfd, 20.0)
    finally:
        os.close(pidfd)
    assert ended


def _readable(descriptor: int, seconds: float) -> bool:
    import select

    return bool(select.select([descriptor], [], [], seconds)[0])


# -- the same with a real hypervisor ---------------------------------------------------------------------------------


@pytest.fixture
def agent(qemu: QemuRig) -> Iterator[Parent]:
    parent = Parent(qemu.settings())
    yield parent
    parent.close()


def lost_migration(agent: Parent, qemu: QemuRig) -> dict[str, Any]:
    """A migration under way whose caller was killed at its deadline; what is then seen of the guest."""
    guest = msgspec.to_builtins(qemu.guest())
    assert agent.ask("start", guest=guest, generation=1).outcome == "ok"
    qemu.hold_moves("v-1")
    call = agent.ask("migrate", 4.0, guest=guest, peer=qemu.peer, generation=2)
    assert call.outcome == "unknown"
    seen: dict[str, Any] = agent.ask("look", vm="v-1").value
    return seen


@pytest.mark.lab
@pytest.mark.soak
def test_a_lost_migration_is_followed_to_its_end(agent: Parent, qemu: QemuRig) -> None:
    seen = lost_migration(agent, qemu)
    assert (seen["state"], seen["generation"], seen["moving"]) == ("running", 1, True)
    assert agent.ask("moving", vm="v-1").value["total_bytes"] > 0
    assert agent.ask("stop", vm="v-1", generation=3).outcome == "failed"
    qemu.release_moves("v-1")
    agent.turn_until(lambda: agent.ask("look", vm="v-1").value["state"] == "absent")
    there = qemu.there.look("v-1")
    assert (there.state, there.generation) == ("running", 2)


@pytest.mark.lab
def test_a_lost_migration_is_aborted(agent: Parent, qemu: QemuRig) -> None:
    assert lost_migration(agent, qemu)["moving"]
    assert agent.ask("abort_move", vm="v-1").outcome == "ok"
    agent.turn_until(lambda: not agent.ask("look", vm="v-1").value.get("moving"))
    assert agent.ask("look", vm="v-1").value["state"] == "running"
    qemu.until(lambda: qemu.there.look("v-1").state == "absent")


@pytest.mark.fault(28)
@pytest.mark.lab
def test_a_killed_libvirtd_is_found_again_and_guests_live_on(agent: Parent, qemu: QemuRig) -> None:
    guest = msgspec.to_builtins(qemu.guest())
    agent.ask("start", guest=guest, generation=1)
    agent.turn_until(lambda: "started" in agent.events_of("v-1"))
    qemu.pair.hosts[0].kill_libvirtd()
    agent.turn_until(lambda: [line["connected"] for line in agent.heard if "connected" in line][-2:] == [False, True])
    agent.turn_until(lambda: agent.ask("look", vm="v-1").outcome == "ok")
    seen = agent.ask("look", vm="v-1").value
    assert (seen["state"], seen["generation"]) == ("running", 1)
    qemu.reconnect()


@pytest.mark.lab
def test_a_hypervisor_that_is_not_there_fails_calls_and_not_the_worker(qemu: QemuRig, tmp_path: Path) -> None:
    parent = Parent(replace(qemu.settings(), uri=f"qemu:///system?socket={tmp_path}/none"))
    try:
        answer = parent.ask("start", guest=msgspec.to_builtins(qemu.guest()), generation=1)
        assert answer.outcome == "failed" and "can't be reached" in answer.text
        parent.turn_until(lambda: parent.heard)
        assert parent.heard[0]["connected"] is False and json.dumps(parent.heard[0]["why"]).isprintable()
    finally:
        parent.close()
