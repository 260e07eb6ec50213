"""What an agent's mind has decided: written down before it is done, that of one turn of the loop together."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from math import inf
from pathlib import Path
from typing import Any

import pytest

from tashi.agent.events import Call, Called, Event, Now, Steps
from tashi.agent.journal import Memory
from tashi.agent.lines import Line
from tashi.run.agent import Agent, Own
from tashi.run.enroll import Enrolled, Place
from tashi.run.keys import new_pair
from tashi.run.log import Log
from tashi.run.loop import Loop
from tashi.run.outbox import Outbox
from tashi.wire.agents import ShotDone
from tashi.wire.bounds import Alive
from tashi.wire.errors import Unavailable


class Disk(Outbox):
    """An outbox that may be full; ``took`` are the lines of each append."""

    full = False

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.took: list[list[dict[str, Any]]] = []

    def append(self, records: Iterable[dict[str, Any]]) -> None:
        if self.full:
            raise Unavailable("the disk is full")
        self.took.append(list(records))
        super().append(self.took[-1])


class Mind:
    """Of each call that has ended it writes down the number, begins the next one, tells of it, and says that it is
    alive. Of call 0 it has never heard.
    """

    memory, welcomed = Memory("vm"), False

    def step(self, event: Event, now: Now) -> Steps:
        if not isinstance(event, Called):
            return Steps([], [], [])
        assert event.id, "a bug"
        said: list[Any] = [Alive(), ShotDone(f"j-{event.id}", "done")]
        return Steps([{"n": event.id}], [Call(event.id + 100, "look", {}, 1.0)], said)

    def next_tick(self) -> float:
        return inf

    def deaf(self, now: Now) -> bool:
        return False


class Bench:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loop, self.disk, self.begun = Loop(), Disk(str(folder / "journal")), list[int]()
        self.beats, self.told = 0, list[int]()
        pair = new_pair()
        me = Enrolled("h1", (Line(pair.public, ("tcp://127.0.0.1:9",)),), pair)
        own = Own(lambda frame: frame, self.begin, lambda: "")
        place = Place("host", "", "", "", "")
        self.agent = Agent(self.loop, Log("agent"), self.disk, str(folder), place, me, own)
        monkeypatch.setattr(self.agent, "send", self.send)
        self.agent.start(Mind())
        self.loop.turn(0)

    def begin(self, call: Call) -> None:
        self.begun.append(self.written(call.id - 100))

    def send(self, message: Any) -> None:
        if isinstance(message, Alive):
            self.beats += 1
        else:
            self.told.append(self.written(int(message.job.removeprefix("j-"))))

    def written(self, number: int) -> int:
        assert {"n": number} in [each for lines in self.disk.took for each in lines], "it is written down first"
        return number

    def turn(self, *ended: int) -> None:
        """Of a turn of the loop in which these calls end."""
        for number in ended:
            self.agent.step(Called(number, "ok"))
        assert not self.begun or self.begun[-1] not in ended
        self.loop.turn(0)

    def close(self) -> None:
        self.agent.close()
        self.disk.close()
        self.loop.close()


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    made = Bench(tmp_path, monkeypatch)
    yield made
    made.close()
    for each, how in before.items():
        signal.signal(each, how)  # a loop that was closed heeds them no more, and nor would what we start


def test_what_follows_from_a_turn_is_written_down_at_once_and_then_done_in_order(bench: Bench) -> None:
    bench.turn(1, 2, 3)
    assert (bench.disk.took, bench.begun, bench.beats) == ([[{"n": 1}, {"n": 2}, {"n": 3}]], [1, 2, 3], 3)
    bench.turn(4)
    assert (bench.disk.took[1:], bench.begun, bench.beats) == ([[{"n": 4}]], [1, 2, 3, 4], 4)
    assert bench.told == bench.begun


def test_nothing_is_done_or_said_of_a_turn_that_ends_in_the_middle(bench: Bench) -> None:
    bench.agent.step(Called(1, "ok"))
    with pytest.raises(AssertionError, match="a bug"):
        bench.agent.step(Called(0, "ok"))
    bench.agent.close()
    assert (bench.disk.took, bench.begun, bench.told, bench.beats) == ([], [], [], 0)


def test_what_a_full_disk_does_not_take_waits_but_for_its_being_alive(bench: Bench) -> None:
    bench.disk.full = True
    bench.turn(1, 2)
    assert (bench.begun, bench.told, bench.beats) == ([], [], 2)
    bench.turn(3)
    assert (bench.begun, bench.disk.took) == ([], [])
    bench.disk.full = False
    while len(bench.begun) < 3:
        bench.loop.turn(1)
    assert (bench.disk.took, bench.begun, bench.beats) == ([[{"n": 1}, {"n": 2}, {"n": 3}]], [1, 2, 3], 3)
    assert bench.told == bench.begun
