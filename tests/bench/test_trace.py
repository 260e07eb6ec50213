"""A made trace is what it says, and the judge sees what is wrong with an answer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pytest

from tests.bench.history import Line, read
from tests.bench.judge import Judge
from tests.bench.trace import Recipe, lines

STATIC = Recipe(hosts=20, load=0.85, seed=3)
CHURN = Recipe(hosts=20, load=0.8, days=2, seed=3)


def loads(recipe: Recipe) -> list[float]:
    """The scarcest resource's share of all, after each line but the hosts', were nothing refused."""
    whole, used, seen = recipe.capacity, [0, 0, 0], []
    vms: dict[Any, Line] = {}
    for line in lines(recipe):
        if line["op"] == "host":
            continue
        sign = 1 if line["op"] == "create" else -1
        parts = vms.setdefault(line["id"], line) if sign > 0 else vms.pop(line["id"])
        for at, part in enumerate(("cores", "memory_mib", "disk_gib")):
            used[at] += sign * int(parts[part])
        seen.append(max(part / has for part, has in zip(used, whole, strict=True)))
    return seen


def creates(recipe: Recipe) -> list[Line]:
    return [line for line in lines(recipe) if line["op"] == "create"]


def test_a_seed_makes_the_same_trace_each_time() -> None:
    assert list(lines(CHURN)) == list(lines(CHURN))
    assert list(lines(STATIC)) != list(lines(Recipe(hosts=20, load=0.85, seed=4)))


def test_vms_come_until_the_load_is_reached() -> None:
    seen = loads(STATIC)
    assert STATIC.load - 0.1 < seen[-1] <= STATIC.load
    assert seen == sorted(seen), "none has left"


def test_vms_come_and_go_and_the_load_stays() -> None:
    seen = loads(CHURN)
    assert max(seen) <= CHURN.load
    assert min(seen[len(seen) // 2 :]) > CHURN.load * 0.8


def test_the_load_rises() -> None:
    seen = loads(Recipe(hosts=20, load=0.8, days=2, ramp=True))
    quarter = len(seen) // 4
    assert max(seen[:quarter]) < max(seen[quarter : 2 * quarter]) < max(seen)
    assert 0.7 < max(seen) <= 0.8


def test_sizes_are_mostly_small_with_a_heavy_tail() -> None:
    cores = [int(line["cores"]) for line in creates(Recipe(hosts=1000, seed=5))]
    assert sum(each <= 2 for each in cores) > len(cores) / 2
    assert sum(each for each in cores if each >= 8) > sum(cores) / 5


def test_most_that_come_leave_soon_and_most_that_stay_have_come_to_stay() -> None:
    born: dict[Any, int] = {}
    lived = []
    for line in lines(CHURN):
        if line["op"] == "create":
            born[line["id"]] = int(line["at"])
        elif line["op"] == "delete":
            lived.append((int(line["at"]) - born.pop(line["id"])) / 3600)
    assert sum(hours < 5 for hours in lived) > 0.8 * len(lived)
    end = CHURN.days * 24 * 3600
    assert sum(end - at > 5 * 3600 for at in born.values()) > len(born) / 2


def test_groups_have_room_to_be_spread() -> None:
    recipe = Recipe(hosts=40, seed=6)
    members = Counter((line["group"], line["spread"]) for line in creates(recipe) if "group" in line)
    assert {spread for _, spread in members} == {"host", "rack"}
    assert all(count >= 2 for count in members.values())
    racks = len({line["rack"] for line in lines(recipe) if line["op"] == "host"})
    assert max(count for (_, spread), count in members.items() if spread == "rack") <= racks


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[]", "it has no op"),
        ('{"op":"move","id":"v-1"}', "it has no op"),
        ('{"op":"delete"}', "it has no id"),
        ('{"op":"create","id":"v-1","cores":1,"memory_mib":1}', "v-1: disk_gib is None"),
        ('{"op":"create","id":"v-1","cores":1.5,"memory_mib":1,"disk_gib":1}', "v-1: cores is 1.5"),
        ('{"op":"host","id":"h-1","cores":1,"memory_mib":-1,"disk_gib":1}', "h-1: memory_mib is -1"),
        ("{", "Expecting"),
    ],
)
def test_a_line_that_is_wrong_is_told(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}"):
        read(text)


def judged(answers: Iterable[tuple[dict[str, Any], str | None]]) -> Judge:
    """Two racks of two hosts with 4 cores each, and what was answered there."""
    judge = Judge()
    for number in range(4):
        host = {"op": "host", "id": f"h-{number}", "cores": 4, "memory_mib": 100, "disk_gib": 100}
        judge.see({**host, "rack": f"r-{number // 2}"}, None)
    for number, (more, answer) in enumerate(answers):
        judge.see(
            {"op": "create", "id": f"v-{number}", "cores": 1, "memory_mib": 1, "disk_gib": 1, **more},
            answer,
        )
    return judge


SPREAD = {"group": "g", "spread": "rack"}


def test_the_judge_sees_what_does_not_fit() -> None:
    assert not judged([({"cores": 4}, "h-0"), ({}, "h-1")]).faults
    assert judged([({"cores": 4}, "h-0"), ({}, "h-0")]).faults == ["v-1: h-0 offers (4, 100, 100), used are (5, 2, 2)"]
    assert judged([({}, "h-9")]).faults == ["v-0: there is no host h-9"]


def test_the_judge_sees_a_group_that_is_not_spread() -> None:
    assert not judged([(SPREAD, "h-0"), (SPREAD, "h-2"), (SPREAD, "h-1")]).faults
    assert judged([(SPREAD, "h-0"), (SPREAD, "h-1")]).faults == ["v-1: r-0 has more of g than another rack"]


def test_the_judge_counts() -> None:
    judge = judged([({"cores": 3}, "h-0"), ({"cores": 3}, "h-1"), ({"cores": 4}, None), ({"disk_gib": 90}, "h-2")])
    assert (judge.hosts_used, judge.bound, judge.refusals) == (3, 2, [6 / 16])
    judge.see({"op": "delete", "id": "v-0"}, None)
    assert (judge.hosts_used, judge.bound, judge.density) == (2, 1, 4 / 16)
