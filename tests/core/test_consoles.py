"""Who may be at a machine's console, and when that ends: the core, and the real mind of a zoni agent."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from tashi.agent import events
from tashi.agent.consoles import ALONE_SECONDS
from tashi.core.cluster import Principal
from tashi.core.consoles import ENDING_SECONDS, OPEN_SECONDS
from tashi.wire.agents import Pulse, Rejected
from tashi.wire.zoni import ConsoleSaid, ConsoleShot, MetalTell
from tests.core.hardware import Network, wire_up
from tests.core.world import World

ANN, BOB, OPS = Principal("ann", "user"), Principal("bob", "user"), Principal("ops", "operator")
KEY, OTHER = "a" * 40, "b" * 40
DAY = 86_400.0


class Room:
    """m1, which ann has for a day, behind a zoni agent; ops is an operator. A console lasts until it is let go."""

    def __init__(self) -> None:
        self.world = World(0)
        self.world.run(3)
        for uid, name in enumerate(("ann", "bob"), 10):
            self.world.ok("user.add", name=name, uid=uid)
        self.world.ok("user.add", name="ops", uid=12, role="operator")
        parts = {"power_paths": ["ipmi:10.0.0.1"], "user": "admin", "password": "hush"}
        self.world.ok("machine.add", name="m1", parts=parts)
        self.net: Network = wire_up(self.world)
        self.world.ok("machine.reserve", ANN, machines=["m1"], until_wall=self.world.now().wall + DAY)
        self.net.holding.add("console")

    def open(self, who: Principal = ANN, key: str = KEY, used: bool = True, **more: Any) -> str:
        """The operation, its client there."""
        job = self.world.ok("machine.console", who, name="m1", key=key, **more).job
        assert job
        if used:
            self.net.happen(events.Opened(self.net.held[-1].id))
            self.world.settle()
        return job

    def ended(self, job: str) -> tuple[str, str]:
        row = self.world.job(job)
        return row["state"], row["reason"] or ""

    def phases(self, job: str) -> list[str]:
        return [entry["phase"] for entry in self.world.log if entry["id"] == job and entry.get("phase")]


@pytest.fixture
def room() -> Room:
    return Room()


def test_a_console_is_an_operation_that_tells_its_client_where_to_come(room: Room) -> None:
    job = room.open()
    assert room.phases(job) == ["ordered", "waits", "open"]
    (call,) = room.net.held
    assert (call.args["key"], call.args["read_only"], call.args["path"]["driver"]) == (
        KEY, False, "ipmi",
    )  # fmt: skip
    told = next(entry["result"] for entry in room.world.log if entry["id"] == job and entry.get("phase") == "waits")
    assert told["stream"] == room.net.stream and len(told["server_key"]) == 40
    room.net.happen(events.Called(call.id, "ok"))
    assert room.ended(job) == ("done", "")


def test_who_may(room: Room) -> None:
    refused = room.world.refused("machine.console", BOB, name="m1", key=KEY)
    assert refused.code == "denied" and "ann has it" in refused.text
    room.open(OPS)


def test_one_at_a_time_and_who_has_it_is_told(room: Room) -> None:
    job = room.open()
    refused = room.world.refused("machine.console", OPS, name="m1", key=OTHER)
    assert (refused.code, "ann has its console" in refused.text, refused.hint) == (
        "locked", True, "--force takes it away",
    )  # fmt: skip
    other = room.open(OPS, OTHER, force=True)
    assert room.ended(job) == ("cancelled", "ops has taken it over")
    assert room.phases(other)[-1] == "open" and room.net.held[-1].args["force"]


def test_a_locked_machine_is_looked_at_and_not_touched(room: Room) -> None:
    room.world.ok("machine.set", name="m1", lock="a fan is being changed")
    assert room.world.refused("machine.console", ANN, name="m1", key=KEY).code == "locked"
    job = room.open(read_only=True)
    assert room.net.held[-1].args["read_only"] and room.phases(job)[-1] == "open"


def test_without_a_stream_port_the_way_out_is_named(room: Room) -> None:
    room.net.stream = ""
    room.net.start()
    room.world.settle()
    refused = room.world.refused("machine.console", ANN, name="m1", key=KEY)
    assert (refused.code, "net1 has no stream port" in refused.text) == ("wrong-state", True)
    assert "[zoni] stream" in refused.hint


@pytest.mark.parametrize("end", ["released", "over", "removed", "lowered", "revoked", "locked", "cancelled"])
def test_it_is_cut_when_the_right_ends(room: Room, end: str) -> None:
    who = OPS if end in ("removed", "lowered", "revoked") else ANN
    if end == "revoked":
        document = room.world.ok("user.enroll", Principal("root", "admin"), name="ops").extra
        room.world.ok("key.register", Principal("k" * 40, "enroll"), user="ops", token=document["token"])
    job = room.open(who)
    match end:
        case "released":
            room.world.ok("machine.release", ANN, name="r-1")
        case "over":
            room.world.seconds += DAY
        case "removed":
            room.world.ok("machine.release", ANN, name="r-1")
            room.world.ok("machine.remove", name="m1")
        case "lowered":
            room.world.ok("user.set", name="ops", role="user")
        case "revoked":
            (key,) = room.world.rows("key")
            room.world.ok("key.revoke", name=key["id"])
        case "locked":
            room.world.ok("machine.set", name="m1", lock="hands off")
        case "cancelled":
            room.world.ok("job.cancel", OPS, name=job)
    room.world.run(2)
    state, reason = room.ended(job)
    assert state == "cancelled", reason
    assert any(
        words in reason for words in ("reserved", "ann has it", "no machine", "revoked", "locked", "ended by ops")
    ), reason
    assert not room.net.held


def test_of_who_owns_the_store_no_record_says_what_he_may(room: Room) -> None:
    room.world.ok("user.add", name="root", uid=0)
    job = room.open(Principal("root", "admin", owns=True))
    room.world.run(3)
    assert room.ended(job)[0] == "running"


def test_an_operation_that_is_open_long_is_ended(room: Room) -> None:
    job = room.open(OPS)
    room.world.seconds += OPEN_SECONDS
    room.world.run(2)
    assert room.ended(job) == ("cancelled", "it was open for 12 hours, the longest")


def test_an_agent_that_dies_uses_no_ticket_twice(room: Room) -> None:
    job = room.open()
    room.net.start()
    room.world.settle()
    room.world.run(5)
    assert room.ended(job) == ("failed", "the agent was interrupted")
    assert [call.verb for call in room.net.held] == []


def test_an_agent_without_its_controller_ends_what_is_open(room: Room) -> None:
    """Whoever has it may have lost the right to, and nobody would say so."""
    room.open()
    mind, now = room.net.mind, room.world.now()
    assert mind.next_tick() <= now.monotonic + ALONE_SECONDS
    mind.step(events.Disconnected(), now)
    later = replace(now, monotonic=now.monotonic + ALONE_SECONDS - 1)
    assert not [call for call in mind.step(events.Tick(), later).calls if call.verb == "cut"]
    later = replace(now, monotonic=now.monotonic + ALONE_SECONDS)
    (cut,) = [call for call in mind.step(events.Tick(), later).calls if call.verb == "cut"]
    assert cut.args["console"] == room.net.held[0].id


@pytest.mark.parametrize("word", [Rejected("another cluster's"), Pulse(0)], ids=["rejected", "replaced"])
def test_a_controller_that_does_not_speak_for_its_machines_is_none(room: Room, word: Any) -> None:
    room.open()
    mind, now = room.net.mind, room.world.now()
    cut: list[events.Call] = []
    for second in range(int(ALONE_SECONDS) + 1):
        later = replace(now, monotonic=now.monotonic + second)
        cut += [call for call in mind.step(events.Heard(word), later).calls if call.verb == "cut"]
    assert [call.args["console"] for call in cut] == [room.net.held[0].id]


def test_an_agent_that_is_not_heard_is_given_up(room: Room) -> None:
    job = room.open()
    room.net.up = False
    room.world.ok("machine.release", ANN, name="r-1")
    room.world.run(2)
    assert room.ended(job)[0] == "running"
    room.world.run(ENDING_SECONDS + 1)
    state, reason = room.ended(job)
    assert state == "cancelled" and "has not said that it is so" in reason


def test_a_console_that_the_controller_does_not_know_is_to_end(room: Room) -> None:
    """Its store may be an older one."""
    room.open()
    net = room.net
    said = MetalTell(net.incarnation, 10_000, net.boot, console=ConsoleSaid("j-999", "m-1", "open"))
    decision = room.world.cluster.agent_said(net.id, (net.id, net.incarnation), said, room.world.now())
    (cut,) = [each for each in decision.back if isinstance(each, ConsoleShot)]
    assert (cut.job, cut.action, cut.epoch) == ("j-999", "cut", room.world.cluster.epoch)


def test_a_way_that_is_not_to_be_used_has_no_console(room: Room) -> None:
    room.net.faults["10.0.0.1"] = ("failed", "denied")
    room.world.ok("machine.set", name="m1", parts={"unit": "7", "serial": "another"})
    room.world.settle()
    job = room.world.ok("machine.console", ANN, name="m1", key=KEY).job
    room.world.run(3)
    assert room.ended(job) == ("failed", "m1: ipmi 10.0.0.1: denied")


def test_a_machine_behind_an_outlet_alone_has_none(room: Room) -> None:
    v2c = {"version": "v2c", "community": "one of ours"}
    room.world.ok("pdu.add", name="p1", address="10.0.1.1", model="apc-rpdu", snmp=v2c)
    room.world.ok("machine.add", name="m2", parts={"power_paths": ["pdu:p1:3"]})
    room.world.run(2)
    job = room.world.ok("machine.console", OPS, name="m2", key=KEY).job
    assert room.ended(job) == ("failed", "m2: none of its ways has a console")
