"""The queue of device calls: what it promises of limits, turns and dead devices, for any devices and any luck."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tashi.wire.errors import Code
from zoni.queue import Call, End, Limits, Queue, Refusal, Start

LIMITS = Limits(in_flight=4, late=3, rack_changes=2, rack_stagger=0.5, stagger=0.1)


class Room:
    """Devices that take their time, and a clock that jumps from one event to the next."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self.queue, self.limits, self.now = Queue(limits), limits, 0.0
        self.takes: dict[str, Callable[[Call], tuple[float, End]]] = {}
        self.racks: dict[str, str] = {}
        self.calls: dict[str, Call] = {}
        self.running: dict[str, tuple[float, Start, End]] = {}
        self.began: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.refused: dict[str, Refusal] = {}
        self.watch: Callable[[], None] = lambda: None

    def add(self, name: str, seconds: float, how: End = End.ANSWERED, rack: str = "r1", sessions: int = 2) -> None:
        self.queue.add(name, rack, sessions)
        self.takes[name], self.racks[name] = (lambda _: (seconds, how)), rack

    def ask(self, device: str, id: str = "", **fields: float) -> Refusal | None:
        call = Call(id or f"{device}-{len(self.calls)}", device, **fields)  # type: ignore[arg-type]
        self.calls[call.id] = call
        refusal = self.queue.ask(call, self.now)
        if refusal is not None:
            self.refused[call.id] = refusal
        return refusal

    def begin(self) -> None:
        for start in self.queue.due(self.now):
            assert start.id not in self.began, "begun once"
            self.began[start.id] = self.now
            seconds, how = self.takes[start.device](self.calls[start.id])
            if seconds > start.seconds:
                seconds, how = start.seconds, End.KILLED
            self.running[start.id] = (self.now + seconds, start, how)
        self.watch()

    def step(self, until: float) -> bool:
        """Go to the next event; whether there was one before ``until``."""
        wake = self.queue.wake(self.now)
        instants = [when for when, _, _ in self.running.values()] + ([wake] if wake is not None else [])
        if not instants or min(instants) > until:
            return False
        assert min(instants) >= self.now
        self.now = min(instants)
        for id in [id for id, (when, _, _) in self.running.items() if when <= self.now]:
            _, _, how = self.running.pop(id)
            self.ended[id] = self.now
            for refusal in self.queue.ended(id, how, "no answer", self.now):
                self.refused[refusal.id] = refusal
        self.begin()
        return True

    def run(self, until: float = 1e6) -> None:
        self.begin()
        steps = 0
        while self.step(until):
            steps += 1
            assert steps < 100_000, "it never comes to rest"


# -- for any devices, any calls ---------------------------------------------------------------------------------------
devices = st.lists(
    st.tuples(
        st.sampled_from(["r1", "r2", "r3"]),
        st.sampled_from([0.01, 0.3, 2.0, 1000.0]),
        st.sampled_from([End.ANSWERED, End.ANSWERED, End.SILENT, End.DENIED]),
    ),
    min_size=1,
    max_size=12,
)
asks = st.lists(
    st.tuples(st.integers(0, 11), st.sampled_from(["read", "change", "start", "urgent"]), st.floats(0, 3)), max_size=60
)
KINDS: dict[str, dict[str, Any]] = {
    "read": {},
    "change": {"changes": True, "seconds": 3.0},
    "start": {"changes": True, "starts": True, "seconds": 3.0},
    "urgent": {"changes": True, "urgent": True, "seconds": 3.0},
}


@settings(deadline=None)
@given(devices, asks)
def test_limits_hold_and_every_call_ends(
    found: list[tuple[str, float, End]], wanted: list[tuple[int, str, float]]
) -> None:
    room = Room()
    for number, (rack, seconds, how) in enumerate(found):
        room.add(f"d{number}", seconds, how, rack)
    room.watch = lambda: check_limits(room)
    for number, kind, pause in wanted:
        room.ask(f"d{number % len(found)}", **KINDS[kind])
        later = room.now + pause
        room.run(later)
        room.now = later
    room.run()
    assert room.began.keys() | room.refused.keys() == room.calls.keys()
    assert not room.began.keys() & room.refused.keys()
    assert room.queue.running() == 0
    check_starts(room)


def test_a_start_that_began_late_keeps_the_next_one_of_its_rack_away() -> None:
    """The instant that it was given is over by then; what draws current is the machine."""
    room = Room()
    for name, rack in (("a", "r1"), ("b", "r2")):
        room.add(name, 0.01, End.ANSWERED, rack)
    for name, kind in (("a", "read"), ("a", "start"), ("a", "start"), ("b", "start")):
        room.ask(name, **KINDS[kind])
        room.run(room.now)
    room.run()
    check_starts(room)


def check_limits(room: Room) -> None:
    now = [start.device for _, start, _ in room.running.values()]
    assert len(now) == len(set(now)) == room.queue.running(), "one at a time for a device"
    assert len(now) <= room.limits.in_flight + room.limits.late
    calls = [room.calls[id] for id in room.running]
    changing = [room.racks[call.device] for call in calls if call.changes and not call.urgent]
    assert all(changing.count(rack) <= room.limits.rack_changes for rack in changing)


def check_starts(room: Room) -> None:
    calls = ((when, room.calls[id]) for id, when in room.began.items())
    starts = sorted((when, room.racks[call.device]) for when, call in calls if call.starts)
    for rack in ("r1", "r2", "r3", ""):
        apart = room.limits.rack_stagger if rack else room.limits.stagger
        instants = [when for when, where in starts if rack in ("", where)]
        assert all(two - one >= apart - 1e-9 for one, two in pairwise(instants))


@pytest.mark.fault(38)
@settings(deadline=None)
@given(st.integers(0, 3), st.integers(1, 40), st.sampled_from(["r1", "r2"]))
def test_dead_devices_never_slow_the_others(dead: int, living: int, rack: str) -> None:
    """As many as may be late: the others' calls have begun as soon as they would have without, and a patience later."""
    began: list[dict[str, float]] = []
    for number in (0, dead):
        room = Room()
        for each in range(number):
            room.add(f"dead{each}", 1e9, rack=rack)
            room.ask(f"dead{each}")
        for each in range(living):
            room.add(f"living{each}", 0.1)
            room.ask(f"living{each}", f"call{each}")
        room.run(1e5)
        began.append({id: when for id, when in room.began.items() if id.startswith("call")})
    without, beside = began
    assert beside.keys() == without.keys()
    assert all(beside[id] <= without[id] + room.limits.late_seconds for id in without)


# -- one by one -------------------------------------------------------------------------------------------------------
def test_changes_go_before_questions_and_urgent_ones_before_all() -> None:
    room = Room()
    room.add("d", 1.0)
    room.ask("d", "first")
    room.begin()
    room.ask("d", "question")
    room.ask("d", "change", changes=True, seconds=3.0)
    room.ask("d", "urgent", changes=True, urgent=True, seconds=3.0)
    room.run()
    assert sorted(room.began, key=room.began.__getitem__) == ["first", "urgent", "change", "question"]


def test_a_deadline_is_learnt_and_a_change_has_its_own_time() -> None:
    room = Room()
    room.add("d", 4.0)
    ends = []
    for _ in range(30):
        room.ask("d")
        (start,) = room.queue.due(room.now)
        ends.append(start.seconds)
        room.now += 4.0
        room.queue.ended(start.id, End.ANSWERED, "", room.now)
    assert ends[0] == LIMITS.answer_most
    assert ends[-1] == LIMITS.answer_least
    room.ask("d", changes=True, seconds=20.0)
    assert room.queue.due(room.now)[0].seconds == 20.0 + LIMITS.change_grace


@pytest.mark.fault(38)
def test_a_device_that_fails_is_left_alone_then_tried_once_then_for_longer() -> None:
    room = Room()
    room.add("d", 0.1, End.SILENT)
    for _ in range(LIMITS.failures):
        assert room.ask("d") is None
    room.ask("d", "waits")
    room.run(room.now + 1.0)
    assert room.refused["waits"].code is Code.UNAVAILABLE
    assert "no answer" in room.refused["waits"].text
    pauses = []
    for _ in range(8):
        assert room.ask("d") is not None, "it is left alone"
        began = room.now
        while room.queue.left_alone("d", room.now):
            room.now += 0.5
        pauses.append(room.now - began)
        assert room.ask("d", "probe") is None
        assert room.ask("d", "behind") is None
        room.began.pop("probe", None)
        room.run(room.now + 1.0)
        assert "behind" in room.refused and "behind" not in room.began, "one goes through"
    assert all(one <= two + 0.5 for one, two in pairwise(pauses)) and pauses[0] >= LIMITS.open_seconds
    assert pauses[-1] >= LIMITS.open_longest and pauses[-1] < 1.3 * LIMITS.open_longest


def test_one_answer_makes_it_trusted_again() -> None:
    room = Room()
    room.add("d", 0.1, End.SILENT)
    for _ in range(LIMITS.failures):
        room.ask("d")
    room.run(room.now + 1.0)
    room.now += 20.0
    room.add("d", 0.1)
    room.ask("d")
    room.run(room.now + 1.0)
    assert all(room.ask("d") is None for _ in range(5))


def test_a_refused_password_is_not_tried_again_until_somebody_says_so() -> None:
    room = Room()
    room.add("d", 0.1, End.DENIED)
    room.ask("d", "one")
    room.ask("d", "two")
    room.run(1.0)
    assert list(room.began) == ["one"] and "two" in room.refused
    room.now += 0.9 * LIMITS.open_longest
    assert room.ask("d") is not None
    room.queue.trust("d")
    assert room.ask("d") is None


def test_an_urgent_call_is_tried_also_where_nothing_else_is() -> None:
    room = Room()
    room.add("d", 0.1, End.DENIED)
    room.ask("d")
    room.run(1.0)
    assert room.ask("d", "fence", changes=True, urgent=True, seconds=1.0) is None
    room.run(2.0)
    assert "fence" in room.began


def test_an_urgent_call_does_not_wait_for_the_rack() -> None:
    room = Room(Limits(rack_changes=1))
    for name in ("d", "e"):
        room.add(name, 50.0)
        room.ask(name, changes=True, seconds=60.0)
    room.begin()
    room.ask("e", "fence", changes=True, urgent=True, seconds=60.0)
    room.run(1.0)
    assert room.began["fence"] == 0.0


def test_sessions_that_killed_calls_left_open_are_waited_for() -> None:
    room = Room()
    room.add("d", 1e9, sessions=2)
    room.ask("d", "one")
    room.ask("d", "two")
    room.ask("d", "three")
    room.run(1e5)
    assert room.began["three"] >= room.ended["one"] + LIMITS.session_seconds


def test_a_rack_is_not_changed_all_at_once_and_all_of_it_in_the_end() -> None:
    room, most = Room(Limits(in_flight=8, rack_changes=2)), []
    for number in range(6):
        room.add(f"d{number}", 0.4)
        room.ask(f"d{number}", changes=True, seconds=3.0)
    room.watch = lambda: most.append(len(room.running))
    room.run()
    assert max(most) == 2 and len(room.ended) == 6


def test_machines_of_a_rack_start_one_after_the_other() -> None:
    room = Room()
    for number, rack in enumerate(["r1", "r1", "r1", "r2"]):
        room.add(f"d{number}", 0.1, rack=rack)
        room.ask(f"d{number}", f"start{number}", changes=True, starts=True, seconds=3.0)
    room.run(0.2)
    room.add("late", 0.1, rack="r3")
    room.now = 0.25
    room.ask("late", "start4", changes=True, starts=True, seconds=3.0)
    room.run()
    assert [round(room.began[f"start{number}"], 3) for number in range(5)] == [0.0, 0.5, 1.0, 0.1, 0.25]


def test_a_call_that_no_worker_did_says_nothing_of_the_device() -> None:
    room = Room()
    room.add("d", 0.0, End.UNTRIED)
    for _ in range(10):
        assert room.ask("d") is None
    room.run()
    assert len(room.ended) == 10


def test_a_queue_is_not_endless() -> None:
    room = Room()
    room.add("d", 1.0)
    refusals = [room.ask("d") for _ in range(LIMITS.waiting + 1)]
    assert [each for each in refusals if each is not None] == [refusals[-1]]
    assert refusals[-1] is not None and refusals[-1].code is Code.BUSY


def test_a_removed_device_takes_its_calls_along() -> None:
    room = Room()
    room.add("d", 1.0)
    room.add("e", 1.0)
    for id in ("one", "two"):
        room.ask("d", id)
    room.begin()
    assert [each.id for each in room.queue.remove("d")] == ["two"]
    assert room.queue.running() == 0
    assert room.queue.ended("one", End.ANSWERED, "", 1.0) == []
    room.ask("e")
    room.run()
    assert room.queue.running() == 0
