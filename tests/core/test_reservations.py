"""Machines for a time: who gets which, who is refused and with what, and what the clock makes of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tashi.core.cluster import Principal
from tashi.model.reservation import Reservation, due_at, stage_of, warnings_due
from tashi.model.units import stamp
from tests.core.world import ROOT, World

ANN, BOB = Principal("ann", "user"), Principal("bob", "user")
OPERATOR = Principal("olga", "operator", owns=True)
HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture
def world() -> World:
    """Four machines, m1 to m4, of 4, 8, 8 and 16 cores; ann and bob."""
    made = World(0)
    for number, cores in enumerate((4, 8, 8, 16), 1):
        made.ok("machine.add", name=f"m{number}", parts={"cores": cores})
    for uid, name in enumerate(("ann", "bob"), 10):
        made.ok("user.add", name=name, uid=uid)
    return made


def at(world: World, seconds: float) -> float:
    return world.now().wall + seconds


def pass_time(world: World, seconds: float) -> None:
    world.seconds += seconds
    world.take(world.cluster.tick(world.now()))


def reservations(world: World) -> list[tuple[str, list[str], str]]:
    return [(each["name"], each["machines"], each["state"]) for each in world.rows("reservation")]


def test_so_many_that_match_the_smallest_first(world: World) -> None:
    made = world.ok("machine.reserve", ANN, count=2, where=["cores>=8"], until_wall=at(world, DAY), note="for a test")
    assert made.objects == {"r-1": "r-1"}
    (told,) = world.rows("reservation")
    assert (told["machines"], told["owner"], told["by"], told["note"]) == (["m2", "m3"], "ann", "ann", "for a test")
    machine = world.rows("machine", names=["m2"])[0]
    assert (machine["state"], machine["reserved_by"], machine["reservation"]) == ("reserved", "ann", "r-1")
    assert machine["reserved_until"] == stamp(at(world, DAY))
    assert [each["name"] for each in world.rows("machine", where=["state=free"])] == ["m1", "m4"]


def test_a_refusal_has_the_calendar(world: World) -> None:
    world.ok("machine.reserve", ANN, machines=["m2"], until_wall=at(world, DAY))
    world.ok("machine.reserve", ANN, machines=["m3"], until_wall=at(world, 2 * DAY))
    refused = world.refused("machine.reserve", BOB, count=2, where=["cores=8"], until_wall=at(world, HOUR))
    assert (refused.code, refused.retry) == ("no-room", True)
    assert (
        f"2 machines with cores=8 from {stamp(at(world, 0))} until {stamp(at(world, HOUR))}: 0 of 2 free"
        in refused.text
    )
    assert f"m2: ann has it from {stamp(at(world, 0))} until {stamp(at(world, DAY))} (r-1); m3: ann" in refused.text
    assert f"2 are free for as long from {stamp(at(world, 2 * DAY))}" in refused.text
    one = world.refused("machine.reserve", BOB, machines=["m1", "m2"], until_wall=at(world, HOUR))
    assert one.code == "no-room" and one.text.startswith("m2: ann has it from")
    later = {"from_wall": at(world, 2 * DAY), "until_wall": at(world, 3 * DAY)}
    world.ok("machine.reserve", BOB, count=2, where=["cores=8"], **later)
    assert reservations(world)[2] == ("r-3", ["m2", "m3"], "planned")
    assert world.rows("machine", names=["m2"])[0]["reserved_next"] == stamp(at(world, 2 * DAY))


def test_what_can_never_be(world: World) -> None:
    world.ok("machine.set", name="m4", lock="the fan is broken")
    never = world.refused("machine.reserve", ANN, count=2, where=["cores>=9"], until_wall=at(world, DAY))
    assert never.code == "impossible" and not never.retry
    assert never.text == "2 machines with cores>=9: there are none; m4: locked by root: the fan is broken"
    assert "the fan is broken" in world.refused("machine.reserve", ANN, machines=["m4"], until_wall=at(world, 9)).text
    for body, text in (
        ({"until_wall": at(world, -1), "count": 1}, "which is over"),
        ({"until_wall": at(world, 5), "from_wall": at(world, 6), "count": 1}, "which is not after"),
        ({"until_wall": at(world, 5)}, "names of machines, or how many"),
        ({"until_wall": at(world, 5), "machines": ["m1"], "count": 1}, "names of machines, or how many"),
        ({"until_wall": at(world, 5), "count": 1, "where": ["cores"]}, "not a filter"),
        ({"until_wall": at(world, 5), "count": 1, "note": "a\nb"}, "a control character"),
    ):
        refused = world.refused("machine.reserve", ANN, **body)
        assert refused.code == "bad-request" and text in refused.text


def test_for_others(world: World) -> None:
    body = {"count": 1, "until_wall": at(world, DAY)}
    assert world.refused("machine.reserve", ANN, user="bob", **body).code == "denied"
    world.ok("machine.reserve", OPERATOR, user="bob", **body)
    assert [(each["owner"], each["by"]) for each in world.rows("reservation")] == [("bob", "olga")]
    assert world.refused("machine.reserve", OPERATOR, user="nobody", **body).code == "not-found"
    for verb, more in (("machine.release", {}), ("reservation.extend", {"until_wall": at(world, 2 * DAY)})):
        refused = world.refused(verb, ANN, name="m1", **more)
        assert refused.code == "denied" and "bob has it from" in refused.text
    world.ok("machine.release", BOB, name="m1")


def test_a_dry_run_says_which_and_keeps_none(world: World) -> None:
    plan = world.ok("machine.reserve", ANN, count=2, until_wall=at(world, DAY), dry_run=True)
    assert (list(plan.objects.values()), plan.kind) == (["m1", "m2"], "machine")
    assert plan.note == f"for ann from {stamp(at(world, 0))} until {stamp(at(world, DAY))}"
    assert world.rows("reservation") == []


def test_extend(world: World) -> None:
    world.ok("machine.reserve", ANN, machines=["m1", "m2"], until_wall=at(world, DAY))
    world.ok("machine.reserve", BOB, machines=["m2"], from_wall=at(world, 2 * DAY), until_wall=at(world, 3 * DAY))
    world.ok("reservation.extend", ANN, name="r-1", until_wall=at(world, 2 * DAY))
    refused = world.refused("reservation.extend", ANN, name="m1", until_wall=at(world, 2 * DAY + 1))
    assert refused.code == "no-room" and "r-1: m2: bob has it from" in refused.text
    shorter = world.refused("reservation.extend", ANN, name="r-1", until_wall=at(world, HOUR))
    assert shorter.code == "bad-request" and "is no extension" in shorter.text and shorter.hint == "zoni-release r-1"


def test_release_of_one_and_of_all(world: World) -> None:
    world.ok("machine.reserve", ANN, count=3, until_wall=at(world, DAY))
    world.ok("machine.release", ANN, name="m2")
    assert reservations(world) == [("r-1", ["m1", "m3"], "active")]
    held = world.refused("machine.release", ANN, name="m2")
    assert (held.code, held.text) == ("wrong-state", "m2: nobody has it")
    assert world.refused("machine.release", ANN, name="m9").text == "m9: no such machine or reservation"
    world.ok("machine.release", ANN, name="r-1")
    assert reservations(world) == []


def test_the_end_comes_by_itself_and_is_told_before(world: World) -> None:
    world.ok("machine.reserve", ANN, machines=["m1"], from_wall=at(world, 60), until_wall=at(world, 60 + 10 * HOUR))
    end = stamp(at(world, 60 + 10 * HOUR))
    for _ in range(700):
        pass_time(world, 60)
    seen = [(each["state"], each.get("reason", "")) for each in world.log if each["kind"] == "reservation"]
    assert seen == [("planned", ""), ("active", ""), ("ending", f"ends at {end}"), ("gone", f"ends at {end}")]
    last = next(each for each in reversed(world.log) if each["kind"] == "job")
    assert (last["verb"], last["by"], last["reason"], last["name"]) == (
        "machine.release", "controller", "its time is over", "r-1"
    )  # fmt: skip
    assert reservations(world) == []


@given(st.integers(0, 2000), st.integers(1, 200), st.lists(st.integers(0, 4000), min_size=1, max_size=20))
def test_the_clock_makes_as_much_of_one_that_is_looked_at_only_when_it_is_due(
    begin: int, tens: int, hours: list[int]
) -> None:
    """So that of thousands of reservations only a few are looked at each second."""
    held = Reservation("r-1", "ann", ("m-1",), begin * HOUR, (begin + 10 * tens) * HOUR, "")
    for wall in (hour * HOUR for hour in sorted(hours)):
        if due_at(held) <= wall:
            held = replace(held, stage=stage_of(held, wall), warned=warnings_due(held, wall))
        assert (held.stage, held.warned) == (stage_of(held, wall), warnings_due(held, wall))
        assert (due_at(held) <= wall) == (wall >= held.until_wall)


def test_who_has_something_stays(world: World) -> None:
    world.ok("machine.reserve", ANN, machines=["m1"], until_wall=at(world, DAY))
    assert world.refused("machine.remove", ROOT, name="m1").text.startswith("m1: ann has it from")
    assert world.refused("user.remove", ROOT, name="ann").text == "ann: still has r-1"


# -- domains -----------------------------------------------------------------------------------------------------------
def test_a_domain_has_vlans_that_no_other_has(world: World) -> None:
    world.ok("domain.create", OPERATOR, name="red", vlans=[100, 101, 100], user="ann")
    (red,) = world.rows("domain")
    assert (red["vlans"], red["owner"], red["machines"]) == ([100, 101], "ann", [])
    taken = world.refused("domain.create", OPERATOR, name="blue", vlans=[200, 101])
    assert (taken.code, taken.text) == ("conflict", "blue: VLAN 101 is in domain red")
    world.ok("domain.create", OPERATOR, name="blue", vlans=[200])
    assert world.refused("user.remove", ROOT, name="ann").text == "ann: the domain red is its own"
    world.ok("domain.remove", OPERATOR, name="red")
    world.ok("domain.create", OPERATOR, name="green", vlans=[101])


@pytest.mark.parametrize(
    ("body", "code", "text"),
    [
        ({"vlans": [0]}, "bad-request", "red: 0 is no VLAN: they are 1 to 4094"),
        ({"vlans": [4095]}, "bad-request", "red: 4095 is no VLAN: they are 1 to 4094"),
        ({"vlans": [1]}, "bad-request", "red: VLAN 1 is where ports are that belong to nobody"),
        ({"vlans": [1003]}, "bad-request", "red: VLAN 1003 is reserved"),
        ({"vlans": []}, "bad-request", "vlans"),
        ({"vlans": [5], "user": "nobody"}, "not-found", "nobody: no such user"),
        ({"vlans": [5], "group": "none"}, "not-found", "none: no such group"),
        ({"vlans": [5], "name": "d-1"}, "bad-request", "looks like an id"),
    ],
)
def test_what_is_no_domain(world: World, body: dict[str, object], code: str, text: str) -> None:
    refused = world.refused("domain.create", OPERATOR, **({"name": "red"} | body))
    assert refused.code == code and text in refused.text
