"""Names of uids while the directory of users answers, is late, fails or hangs: who it names waits, nobody else."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from tashi.run.log import Log
from tashi.run.loop import Loop
from tashi.wire.errors import Unavailable
from tashid import accounts as names
from tashid.accounts import Accounts
from tashid.incoming import Incoming
from tashid.passwd import look_up
from tashid.principal import Named, Peer
from tests.daemon.directory import Directed, needs_directory
from tests.daemon.processes import Host, Person, until

NOGROUP, NOBODY = 65534, 65534
ANN, BOB, CAROL = 5001, 5002, 5003  # uids that are in no file
ask = partial(Person, verb="status", group=NOGROUP, seconds=20.0)


@pytest.fixture
def directed() -> Iterator[Directed]:
    made = Directed("0 -", more="heartbeat_seconds = 0.3\nmissed = 8")  # silent sooner than a name is waited for
    try:
        made.start()
        yield made
    finally:
        made.close()


@needs_directory
@pytest.mark.fault(55)
def test_a_first_command_waits_for_a_slow_directory_and_a_second_does_not(directed: Directed) -> None:
    directed.say("1 ann")
    began = time.monotonic()
    assert ask(ANN, directed).you() == "ann"
    assert time.monotonic() - began >= 1.0
    directed.say("hang")
    assert ask(ANN, directed).you() == "ann"


@needs_directory
@pytest.mark.fault(55)
@pytest.mark.attack(28)
def test_a_directory_that_hangs_keeps_nobody_waiting_but_whom_it_should_name(directed: Directed) -> None:
    admin, host = directed.local(), Host(directed, "h1")
    assert host.enroll() == (0, "h1: enrolled\n")
    host.start()
    until(lambda: admin.ask("list", noun="host", where=["health=up"], format="name")["rows"], "the host is heard")
    assert admin.ok("user.add", name="carol", uid=CAROL)["done"]
    directed.say("0 ann")
    assert ask(ANN, directed).you() == "ann"
    directed.say("hang")
    bobs = [ask(BOB, directed), ask(BOB, directed)]
    until(lambda: hanging(directed), "the directory is asked")
    others = [(ask(ANN, directed), "ann"), (ask(NOBODY, directed), "nobody"), (ask(CAROL, directed), "carol")]
    slowest = 0.0
    while any(bob.process.poll() is None for bob in bobs):
        began = time.monotonic()
        admin.ok("status")
        (h1,) = map(json.loads, admin.ask("list", noun="host")["rows"].splitlines())
        assert h1["health"] == "up", h1["reason"]
        slowest = max(slowest, time.monotonic() - began)
        time.sleep(0.05)
    assert slowest < names.LOOK_SECONDS / 2
    for person, name in others:
        assert person.you() == name
    for bob in bobs:
        error = bob.answer()["error"]
        assert (error["code"], error["retry"]) == ("unavailable", True)
        assert error["text"] == "uid 5002: the directory of users does not answer"
        assert "getent passwd 5002" in error["hint"]
    assert directed.log.count("the directory of users does not answer") == 1
    directed.say("0 bob")
    assert ask(BOB, directed).you() == "bob"
    until(lambda: "the directory of users answers again" in directed.log, "that is told")
    host.close()


def hanging(controller: Directed) -> list[str]:
    """The controller's children that ask the directory."""
    assert controller.process is not None
    pid = controller.process.pid
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return file.read().split()


@needs_directory
@pytest.mark.attack(28)
def test_who_can_not_be_named_is_nobody_not_somebody_else(directed: Directed) -> None:
    """A directory that fails is not one that says that there is no such account."""
    assert ask(ANN, directed).you() == "uid:5001"
    directed.say("fail")
    assert ask(BOB, directed).answer()["error"]["code"] == "unavailable"
    assert ask(0, directed).you() == "root"


# -- one process, and a clock of our own ------------------------------------------------------------------------------
FAKE = """
import json, sys
from tashi.run.child import serve, take_channel
def name(args):
    order = open(sys.argv[1]).read()
    if order == "fail":
        raise OSError("no route to host")
    return order or None
serve(take_channel(), {"name": name}, (OSError,))
"""


class Bench:
    """Accounts on a loop whose clock jumps when it is told to."""

    def __init__(self, folder: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        self.loop, self.file, self.skipped, self.woken = Loop(), folder / "order", 0.0, 0
        self.loop.now = lambda: time.monotonic() + self.skipped
        worker = [sys.executable, "-c", FAKE, str(self.file)]
        self.accounts = Accounts(self.loop, Log("test"), self.wake, worker)

    def wake(self) -> None:
        self.woken += 1

    def turn_until(self, true: Callable[[], Any]) -> None:
        end = time.monotonic() + 20
        while not true():
            assert time.monotonic() < end, "it never came"
            self.loop.turn(0.05)

    def released(self) -> list[Incoming]:
        """What was released; nothing was refused."""
        refused: list[str] = []
        found = list(self.accounts.released(lambda _, error: refused.append(error.text)))
        assert refused == []
        return found

    def ask(self, order: str, uid: int = ANN) -> list[Incoming]:
        """Hold a message for a name that is asked for; what is released with it."""
        self.file.write_text(order)
        assert self.accounts.named(uid) is None
        self.accounts.hold(message(uid))
        self.turn_until(lambda: self.accounts.news)
        return self.released()

    def later(self, seconds: float, order: str) -> Named | None:
        self.skipped += seconds
        self.file.write_text(order)
        return self.accounts.named(ANN)


@pytest.fixture
def bench(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench(tmp_path, monkeypatch)
    yield made
    made.accounts.close()
    made.loop.close()


def message(uid: int, size: int = 10) -> Incoming:
    return Incoming(("user.sock", b"x"), Peer("operator", uid=uid), bytes(size))


def test_a_name_is_asked_for_again_in_the_background(bench: Bench) -> None:
    assert bench.ask("ann") == [message(ANN)]
    assert bench.later(names.FRESH_SECONDS - 1, "eve") == Named("ann")
    assert not bench.accounts._asking
    assert bench.later(2, "eve") == Named("ann")
    bench.turn_until(lambda: bench.accounts.named(ANN) == Named("eve"))
    assert bench.later(names.FRESH_SECONDS + 1, "") == Named("eve")
    bench.turn_until(lambda: bench.accounts.named(ANN) == Named("uid:5001"))


@pytest.mark.fault(55)
@pytest.mark.attack(28)
def test_an_old_name_that_is_not_confirmed_stands_with_a_doubt(bench: Bench) -> None:
    bench.ask("ann")
    assert bench.later(names.FRESH_SECONDS + 1, "fail") == Named("ann")
    bench.turn_until(lambda: not bench.accounts._asking)
    assert bench.later(names.FRESH_SECONDS, "fail") is None
    bench.accounts.hold(message(ANN))
    bench.turn_until(lambda: bench.accounts.news)
    assert bench.released() == [message(ANN)]
    named = bench.accounts.named(ANN)
    assert named is not None and named.name == "ann"
    assert named.doubt == "the directory of users does not answer; it was last asked who you are 30m01s ago"
    assert bench.later(names.AGAIN_SECONDS + 1, "ann") is None
    bench.turn_until(lambda: bench.accounts.named(ANN) == Named("ann"))


@pytest.mark.attack(28, 33)
def test_what_waits_for_a_name_is_bounded(bench: Bench) -> None:
    assert bench.accounts.named(ANN) is None
    bench.accounts.hold(message(ANN, names.HELD_BYTES))
    with pytest.raises(Unavailable, match="too much waits"):
        bench.accounts.hold(message(ANN, 1))
    bench.accounts.hold(message(BOB, 1))
    for _ in range(names.HELD_EACH - 1):
        bench.accounts.hold(message(BOB, 1))
    with pytest.raises(Unavailable, match="too much waits"):
        bench.accounts.hold(message(BOB, 1))


def test_root_and_whoever_is_in_the_file_are_known_at_once(bench: Bench) -> None:
    assert bench.accounts.named(0) == Named("root")
    assert bench.accounts.named(os.geteuid()) == Named(look_up(os.geteuid()) or f"uid:{os.geteuid()}")
    assert bench.accounts.named(NOBODY) == Named("nobody")
    assert look_up(ANN) is None
