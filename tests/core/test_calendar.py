"""When machines are free, against an oracle that looks at every hour."""

from __future__ import annotations

import random

import pytest

from tashi.core.calendar import free, in_the_way, next_begin
from tashi.model.reservation import Reservation, stage_of, warnings_due

MACHINES = [f"m-{number}" for number in range(1, 5)]
DAY, HOUR = 86_400.0, 3600.0


def reservation(ident: str, machines: list[str], begin: float, end: float) -> Reservation:
    return Reservation(ident, "ann", tuple(machines), begin, end, "")


def calendar(*reservations: Reservation) -> dict[str, list[Reservation]]:
    return {machine: [each for each in reservations if machine in each.machines] for machine in MACHINES}


def test_ends_touch_without_meeting() -> None:
    made = calendar(reservation("r-1", ["m-1"], 10, 20))
    assert in_the_way(made, "m-1", 20, 30) is None and in_the_way(made, "m-1", 0, 10) is None
    assert in_the_way(made, "m-1", 19, 30) is in_the_way(made, "m-1", 0, 100) is made["m-1"][0]
    assert free(made, MACHINES, 15, 16) == MACHINES[1:]


@pytest.mark.parametrize("seed", range(20))
def test_next_begin_is_the_first_hour(seed: int) -> None:
    chance = random.Random(seed)
    taken: dict[str, set[int]] = {machine: set() for machine in MACHINES}
    made = []
    for number in range(12):
        machine, begin, hours = chance.choice(MACHINES), chance.randrange(40), chance.randrange(1, 9)
        span = set(range(begin, begin + hours))
        if not taken[machine] & span:
            taken[machine] |= span
            made.append(reservation(f"r-{number}", [machine], begin, begin + hours))
    for count in (1, 2, 4):
        for hours in (1, 5):
            begin = chance.randrange(30)
            wanted = next(
                hour
                for hour in range(begin, 100)
                if sum(not taken[each] & set(range(hour, hour + hours)) for each in MACHINES) >= count
            )
            assert next_begin(calendar(*made), MACHINES, count, begin, hours) == wanted


def test_a_long_calendar_of_many_machines_is_looked_through_once() -> None:
    """It is looked for while everybody else waits."""
    looked = 0

    class Counted(dict[str, list[Reservation]]):
        def get(self, key: str, default: object = None) -> list[Reservation]:  # type: ignore[override]
            nonlocal looked
            looked += 1
            return self[key]

    names = [f"m-{number}" for number in range(1000)]
    made = Counted(
        (name, [reservation("r-1", [name], week * 100 + number % 7, week * 100 + 90) for week in range(52)])
        for number, name in enumerate(names)
    )
    assert next_begin(made, names, 1000, 5, 11) == 5190
    assert looked <= 2 * len(names)


def test_more_than_there_are() -> None:
    assert next_begin({}, MACHINES, 5, 0, 1) is None


def test_an_end_is_told_beforehand() -> None:
    week = reservation("r-1", ["m-1"], 0, 7 * DAY)
    assert [warnings_due(week, 7 * DAY - each) for each in (17 * HOUR, 16.8 * HOUR, HOUR, 0)] == [0, 1, 2, 2]
    short = reservation("r-2", ["m-1"], 0, 120)
    assert [stage_of(short, wall) for wall in (-1, 0, 107, 108, 119)] == [
        "planned", "active", "active", "ending", "ending"
    ]  # fmt: skip
