"""Switch drivers behind a worker: a child that can be killed in the middle of a change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tashi.run.loop import Loop
from tashi.run.workers import Outcome, Pool
from tests.contract.switch_rigs import NAMES, PORTS
from tests.contract.test_power_worker import turn_until
from tests.house.tree import HERE
from zoni.access import Login, Snmp
from zoni.switch import paths
from zoni.switch.calls import WORKER
from zoni.switch.fake import FakeSwitch, Fault, World
from zoni.switch.interface import State

SECRET = "correct horse"
MOVE: dict[str, Any] = {"goal": {"ports": {"p1": {"native": 200, "on": True}}}}


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def pool(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pool]:
    monkeypatch.setenv("PYTHONPATH", HERE["PYTHONPATH"])
    pool = Pool(loop, WORKER, 1)
    yield pool
    pool.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    world, state = World(tmp_path / "world"), State(dict(NAMES), dict(PORTS))
    world.put("sw1", FakeSwitch(state, state, user="admin", password=SECRET))
    return world


@pytest.fixture
def path(tmp_path: Path) -> paths.Fake:
    return paths.Fake(world=str(tmp_path / "world"), switch="sw1", login=Login(user="admin", password=SECRET))


def ask(loop: Loop, pool: Pool, verb: str, path: paths.AnyPath, deadline: float = 60.0, **args: Any) -> Outcome:
    outcomes: list[Outcome] = []
    pool.call(verb, {"path": msgspec.to_builtins(path)} | args, deadline, outcomes.append)
    turn_until(loop, lambda: outcomes)
    return outcomes[0]


def test_calls_have_their_outcomes(loop: Loop, pool: Pool, path: paths.Fake, world: World) -> None:
    assert ask(loop, pool, "look", path).value["vlans"] == {str(vlan): name for vlan, name in NAMES.items()}
    moved = ask(loop, pool, "change", path, **MOVE)
    port = moved.value["ports"]["p1"]
    assert (moved.outcome, port["untagged"], port["mode"]) == ("ok", [200], "access")
    refused = ask(loop, pool, "change", path, goal={"ports": {"p1": {"native": 4095}}})
    assert (refused.outcome, refused.code) == ("failed", "bad-request")
    lacking = ask(loop, pool, "change", path, goal={"ports": {"p1": {"join": [400]}}})
    assert lacking.text.endswith("p1: there is no VLAN 400; create it first"), "the way out comes with the reason"
    world.set_faults([Fault(call="join", ignore=True)])
    unknown = ask(loop, pool, "change", path, seconds=0.2, goal={"ports": {"p2": {"native": 200}}})
    assert (unknown.outcome, unknown.code) == ("unknown", "unavailable") and unknown.text.endswith("; closed: p2")


@pytest.mark.parametrize("args", [{}, {"goal": {"ports": {"p1": {"mode": "trunk"}}}}, {"goal": {"vlans": {"x": ""}}}])
def test_what_is_no_goal_is_refused(loop: Loop, pool: Pool, path: paths.Fake, args: dict[str, Any]) -> None:
    answer = ask(loop, pool, "change", path, **args)
    assert (answer.outcome, answer.code) == ("failed", "bad-request") and SECRET not in answer.text
    assert ask(loop, pool, "do", path, step={"do": "open", "port": "p1"}).text == "'do' is not a verb of this worker"


def test_killed_in_the_middle_a_port_is_closed_and_goes_on_from_there(
    loop: Loop, pool: Pool, path: paths.Fake, world: World
) -> None:
    assert ask(loop, pool, "look", path).outcome == "ok"
    world.set_faults([Fault(call="join", delay=60.0)])
    killed = ask(loop, pool, "change", path, deadline=0.7, **MOVE)
    assert (killed.outcome, killed.text) == ("unknown", "no answer within 0.7 s, killed")
    world.set_faults([])
    left = world.device("sw1")
    assert left is not None and not left.running.ports["p1"].on and left.running.ports["p1"].untagged == ()
    assert ask(loop, pool, "change", path, **MOVE).outcome == "ok"
    done = world.device("sw1")
    assert done is not None and done.running.ports["p1"] == replace(PORTS["p1"], native=200, untagged=(200,))
    assert done.startup == done.running


@pytest.mark.parametrize(
    "raw",
    [
        {"driver": "snmp", "address": "-oProxy", "model": "lab", "access": {"version": "v2c", "community": SECRET}},
        {"driver": "snmp", "address": "s", "model": "lab", "access": {"community": SECRET}},
        {"driver": "snmp", "address": "s", "model": "lab", "access": {"user": "u", "auth_password": SECRET}},
        {"driver": "ovs", "bridge": "--help"},
        {"driver": "ovs", "bridge": "br0", "run": "run"},
        {"driver": "other"},
        [],
    ],
)
def test_a_path_that_is_none_is_refused_without_its_secrets(raw: object) -> None:
    with pytest.raises(ValueError, match="switch: ") as caught:
        paths.read_path(raw)
    assert SECRET not in str(caught.value)


def test_a_picture_of_a_path_has_no_secret() -> None:
    path = paths.Snmp(address="s", model="lab", access=Snmp(version="v2c", community=SECRET))
    assert SECRET not in f"{path!r}{path}{path.where}" and path.accesses()[0].secrets() == [SECRET]
