"""Power drivers behind their workers: what is told, what never is, and what a device that hangs costs the others."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest
from pyghmi.ipmi.private import session

from tashi.lab.relay import CLIENTS
from tashi.run.loop import Loop
from tashi.run.workers import Outcome, Pool
from tests.contract import power_peers as peers
from tests.house.tree import HERE
from zoni.access import Login, Snmp
from zoni.caller import Caller
from zoni.calls import bind
from zoni.outcome import Unproven
from zoni.power import ipmi_doors, paths
from zoni.power.calls import CALLS, WORKER
from zoni.power.fake import FakeMachine, Fault, World
from zoni.power.interface import PowerError
from zoni.power.open import open_driver
from zoni.queue import Limits

SECRET = "correct horse"


@pytest.fixture(autouse=True)
def from_the_checkout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", HERE["PYTHONPATH"])


@pytest.fixture
def loop() -> Iterator[Loop]:
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def pool(loop: Loop) -> Iterator[Pool]:
    pool = Pool(loop, WORKER, 2)
    yield pool
    pool.close()


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World(tmp_path / "world")
    world.put("m1", FakeMachine(user="admin", password=SECRET))
    return world


@pytest.fixture
def path(world: World, tmp_path: Path) -> paths.Fake:
    return paths.Fake(world=str(tmp_path / "world"), machine="m1", login=Login(user="admin", password=SECRET))


def turn_until(loop: Loop, so: Callable[[], object], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < end, "it never came"
        loop.turn(0.05)


def ask(loop: Loop, pool: Pool, verb: str, path: paths.AnyPath, deadline: float = 60.0, **args: Any) -> Outcome:
    outcomes: list[Outcome] = []
    pool.call(verb, {"path": msgspec.to_builtins(path)} | args, deadline, outcomes.append)
    turn_until(loop, lambda: outcomes)
    return outcomes[0]


def test_a_call_has_its_outcome(loop: Loop, pool: Pool, path: paths.Fake, world: World) -> None:
    assert ask(loop, pool, "on", path) == Outcome("ok", {"before": "off", "power": "on", "proven": True})
    enrolled = ask(loop, pool, "enroll", path).value
    assert (enrolled["power"], "soft" in enrolled["capabilities"]) == ("on", True)
    world.set_faults([Fault(call="press", ignore=True)])
    unproven = ask(loop, pool, "off", path, seconds=0.3)
    assert (unproven.outcome, unproven.code) == ("unknown", "unavailable")


@pytest.mark.parametrize(
    ("verb", "args", "code"),
    [
        ("on", {"more": 1}, "bad-request"),
        ("set_boot", {}, "bad-request"),
        ("set_boot", {"device": "floppy"}, "bad-request"),
        ("on", {"seconds": -1}, "bad-request"),
        ("reset", {}, "wrong-state"),
        ("__class__", {}, ""),
        ("press", {"action": "off"}, ""),
    ],
)
def test_a_refusal_is_definite(
    loop: Loop, pool: Pool, path: paths.Fake, verb: str, args: dict[str, Any], code: str
) -> None:
    answer = ask(loop, pool, verb, path, **args)
    assert (answer.outcome, answer.code) == ("failed", code)
    assert answer.text and SECRET not in answer.text


def test_secrets_go_over_the_channel_alone(
    loop: Loop, pool: Pool, path: paths.Fake, world: World, capfd: pytest.CaptureFixture[str]
) -> None:
    world.set_faults([Fault(delay=0.3)])
    outcomes: list[Outcome] = []
    wrong = msgspec.structs.replace(path, login=Login(user="admin", password="battery staple"))
    for each in (path, wrong):
        pool.call("power", {"path": msgspec.to_builtins(each)}, 60.0, outcomes.append)
    turn_until(loop, lambda: len(outcomes) == 2)
    children = [child._process.pid for child in pool._children]
    assert len(children) == 2
    for pid in children:
        for file in ("cmdline", "environ"):
            seen = Path(f"/proc/{pid}/{file}").read_bytes()
            assert seen and b"horse" not in seen and b"staple" not in seen
    told = repr(outcomes) + "".join(capfd.readouterr())
    assert "denied" in told and "horse" not in told and "staple" not in told


def test_a_picture_of_a_path_has_no_secret() -> None:
    snmp = Snmp(user="zoni", auth_password=SECRET, privacy_password=SECRET)
    for path in (
        paths.Ipmi(address="10.0.0.7", login=Login(user="admin", password=SECRET, kg=SECRET)),
        paths.Pdu(address="10.0.0.8", model="apc-rpdu", outlet=3, access=snmp),
        paths.Pdu(address="p", model="m", outlet=3, access=Snmp(version="v2c", community=SECRET)),
    ):
        for picture in (repr(path), str(path), f"{path}", repr([path]), path.where):
            assert SECRET not in picture
        assert set(path.accesses()[0].secrets()) == {SECRET}


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (lambda text: OSError(text), RuntimeError),
        (lambda text: PowerError("denied", text), PowerError),  # type: ignore[arg-type]
        (lambda text: Unproven("unavailable", text), Unproven),  # type: ignore[arg-type]
    ],
)
def test_a_library_that_tells_a_secret_is_not_repeated(
    path: paths.Fake, raised: Callable[[str], Exception], kind: type[Exception]
) -> None:
    def open_path(path: paths.AnyPath, seconds: float) -> Any:
        raise raised(f"401 for https://admin:{SECRET}@10.0.0.7/")

    with pytest.raises(kind) as caught:
        bind(CALLS, open_path)["on"]({"path": msgspec.to_builtins(path)})
    assert SECRET not in str(caught.value) and "admin:***@" in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    [
        {"driver": "ipmi", "address": "10.0.0.7", "login": {"user": "admin", "password": SECRET * 3}},
        {"driver": "ipmi", "address": "-oProxy=x", "login": {"password": SECRET}},
        {"driver": "redfish", "url": "http://10.0.0.7", "login": {"password": SECRET}},
        {"driver": "redfish", "url": f"https://admin:{SECRET}@10.0.0.7", "login": {}},
        {"driver": "redfish", "url": "https://10.0.0.7:99999", "login": {"password": SECRET}},
        {"driver": "redfish", "url": "https://[::7", "login": {"password": SECRET}},
        {"driver": "pdu", "address": "p", "model": "m", "outlet": 0, "access": {"user": "u"}},
        {"driver": "pdu", "address": "p", "model": "m", "outlet": 1, "access": {"community": SECRET}},
        {"driver": "pdu", "address": "p", "model": "m", "outlet": 1, "access": {"user": "u", "auth_password": SECRET}},
        {"driver": "pdu", "address": "p", "model": "m", "outlet": 1, "access": {"version": "v2c", "user": "u"}},
        {"driver": "other", "address": "p"},
        {"driver": "fake", "world": "w", "machine": "../m"},
        [],
    ],
)
def test_a_path_that_is_none_is_refused_without_its_secrets(raw: object) -> None:
    with pytest.raises(ValueError, match="power path: ") as caught:
        paths.read_path(raw)
    assert SECRET not in str(caught.value)


@pytest.fixture(scope="module")
def bmcs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Peer]:
    machines = {f"b{number}": {"power": "on"} for number in range(10)}
    peer = peers.Peer("bmc", tmp_path_factory.mktemp("bmcs"), {"bmcs": machines})
    yield peer
    peer.close()


def bmc_path(peer: peers.Peer, name: str) -> paths.Ipmi:
    port = peer.ask(bmc=name)["port"]
    return paths.Ipmi(address=peers.ADDRESS, port=port, login=Login(user="admin", password="secret"))


@pytest.mark.fault(38)
def test_a_login_that_never_ends_is_killed(loop: Loop, pool: Pool, bmcs: peers.Peer) -> None:
    """RAKP messages that are dropped, and a user whom a BMC answers nothing: pyghmi tries again for ever."""
    stranger = msgspec.structs.replace(bmc_path(bmcs, "b1"), login=Login(user="nobody", password="secret"))
    bmcs.ask(bmc="b1", machine={"mute_strangers": True})
    assert ask(loop, pool, "power", bmc_path(bmcs, "b0")).value == "on"
    began = time.monotonic()
    killed = ask(loop, pool, "power", stranger, deadline=1.0)
    assert killed == Outcome("unknown", None, "no answer within 1 s, killed")
    assert time.monotonic() - began < 10.0
    assert ask(loop, pool, "power", bmc_path(bmcs, "b0")).value == "on"


def test_of_a_call_that_was_killed_it_is_told_where(loop: Loop, bmcs: peers.Peer) -> None:
    """Its worker could not: a machine has several paths, and what is said of one has to name it."""
    bmcs.ask(bmc="b7", machine={"drop_rakp": True})
    path, told = bmc_path(bmcs, "b7"), list[Outcome]()
    caller = Caller(loop, WORKER, CALLS, Limits(answer_least=0.5, answer_most=0.5))
    try:
        caller.queue.add("b7")
        caller.ask("b7", "power", path, told.append)
        turn_until(loop, lambda: told)
    finally:
        caller.close()
    assert told == [Outcome("unknown", None, f"{path.where}: no answer within 0.5 s, killed")]


def test_an_answer_that_came_before_it_was_waited_for_is_not_overlooked(bmcs: peers.Peer) -> None:
    """It wakes nobody, so nobody may wait for long without looking what is there."""
    assert bind(CALLS, open_driver)["power"]({"path": msgspec.to_builtins(bmc_path(bmcs, "b0"))}) == "on"
    waiting = Thread(target=session._io_wait, args=(600.0,), daemon=True)
    waiting.start()
    waiting.join(60.0)
    assert not waiting.is_alive()


def test_a_peer_has_room_for_client_after_client(bmcs: peers.Peer) -> None:
    """Each comes from a port of its own."""
    port = bmcs.ask(bmc="b0")["port"]
    before = descriptors(bmcs)
    for _ in range(2 * CLIENTS):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect((peers.ADDRESS, port))
            client.settimeout(60.0)
            client.send(ipmi_doors._capabilities())
            assert client.recv(100)
    assert descriptors(bmcs) <= before + CLIENTS


def descriptors(program: peers.Program) -> int:
    return len(os.listdir(f"/proc/{program.process.pid}/fd"))


@pytest.mark.fault(38)
def test_one_dead_one_lying_one_slow_and_the_others_are_answered(loop: Loop, bmcs: peers.Peer) -> None:
    """There are two workers for all but the late: the dead one's call goes on in one of the others."""
    bmcs.ask(bmc="b7", machine={"drop_rakp": True})
    bmcs.ask(bmc="b8", machine={"lie": "off"})
    bmcs.ask(bmc="b9", weather={"delay": 0.2})
    caller, told = Caller(loop, WORKER, CALLS, Limits(in_flight=2, late=2)), dict[str, Outcome]()
    try:
        for name in [f"b{number}" for number in reversed(range(10))]:  # the bad ones first
            caller.queue.add(name)
            caller.ask(name, "power", bmc_path(bmcs, name), partial(told.__setitem__, name))
        turn_until(loop, lambda: len(told) == 9)
    finally:
        caller.close()
    assert "b7" not in told, "nobody waited for the dead one"
    assert {name: outcome.value for name, outcome in told.items()} == {
        **{f"b{number}": "on" for number in range(7)},
        "b8": "off",
        "b9": "on",
    }


def test_a_device_that_does_not_answer_is_left_alone(loop: Loop, path: paths.Fake, world: World) -> None:
    caller, told = Caller(loop, WORKER, CALLS, Limits(in_flight=1, late=1, failures=2)), list[Outcome]()
    try:
        caller.queue.add("m1")
        caller.ask("m1", "on", path, told.append)
        turn_until(loop, lambda: told)
        world.set_faults([Fault(drop=True)])
        for _ in range(4):
            caller.ask("m1", "power", path, told.append)
        turn_until(loop, lambda: len(told) == 5)
        caller.ask("m1", "power", path, told.append)
        turn_until(loop, lambda: len(told) == 6)
    finally:
        caller.close()
    assert told[0].value["power"] == "on"
    assert [outcome.code for outcome in told[1:]] == ["unavailable"] * 5
    assert ["left alone" in outcome.text for outcome in told[1:]] == [False, False, True, True, True]
