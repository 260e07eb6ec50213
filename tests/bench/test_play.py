"""What people do with tests/bench/play: give it a trace and use its answers, or talk to it line by line."""

from __future__ import annotations

import json
import subprocess
from typing import Any

from tests.bench.judge import Judge
from tests.bench.trace import Recipe, lines
from tests.daemon.processes import ROOT, environment

PLAY = str(ROOT / "tests/bench/play")
HOST = {"op": "host", "id": "big", "cores": 4, "memory_mib": 4096, "disk_gib": 10, "rack": "left"}
CREATE = {"op": "create", "cores": 4, "memory_mib": 64, "disk_gib": 1}


def play(trace: list[Any], *options: str) -> subprocess.CompletedProcess[str]:
    text = "".join(json.dumps(line) + "\n" for line in trace)
    return subprocess.run([PLAY, *options], input=text, env=environment(), capture_output=True, text=True, timeout=60)


def hosts(done: subprocess.CompletedProcess[str]) -> dict[Any, Any]:
    return {answer["id"]: answer["host"] for answer in map(json.loads, done.stdout.splitlines())}


def test_what_comes_and_goes_finds_room_and_rules_are_kept() -> None:
    trace = list(lines(Recipe(hosts=20, load=0.75, days=0.2, seed=2)))
    done = play(trace)
    answers, judge = hosts(done), Judge()
    for line in trace:
        judge.see(line, answers.get(line.get("id")) if line["op"] == "create" else None)
    assert not judge.faults
    assert len(answers) == judge.created
    assert not judge.refusals
    assert done.stderr.startswith(f"play: {judge.created} creates, 0 refused; in the end ")


def test_the_room_of_one_that_was_deleted_is_given_again() -> None:
    gone = {"op": "delete", "id": "v-1"}
    trace = [HOST, CREATE | {"id": "v-1"}, CREATE | {"id": 2}, gone, gone, CREATE | {"id": "v-3"}]
    assert hosts(play(trace)) == {"v-1": "big", 2: None, "v-3": "big"}


def test_each_resource_can_be_what_is_missing() -> None:
    for part, size in (("cores", 5), ("memory_mib", 4097), ("disk_gib", 11)):
        small = {"op": "create", "id": "v-1", "cores": 1, "memory_mib": 1, "disk_gib": 1}
        assert hosts(play([HOST, small | {part: size}])) == {"v-1": None}, part
        assert hosts(play([HOST, small | {part: size - 1}])) == {"v-1": "big"}, part


def test_a_group_is_spread_over_any_field_of_hosts() -> None:
    row = [HOST | {"id": f"h-{number}", "row": "ab"[number // 2]} for number in range(4)]
    rule = {"group": "g", "spread": "row", "cores": 1}
    answers = hosts(play([*row, *(CREATE | rule | {"id": f"v-{number}"} for number in range(4))]))
    rows = [str(each["row"]) for host in answers.values() for each in row if each["id"] == host]
    assert sorted(rows[:2]) == sorted(rows[2:]) == ["a", "b"]


def test_hosts_are_filled_or_evened_out() -> None:
    trace = [HOST, HOST | {"id": "other"}, *(CREATE | {"id": each, "cores": 1} for each in ("v-1", "v-2"))]
    assert len(set(hosts(play(trace)).values())) == 1
    assert len(set(hosts(play(trace, "--order", "spread")).values())) == 2


def test_an_answer_comes_before_the_next_line_is_asked_for() -> None:
    with subprocess.Popen(
        [PLAY, "-q"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1, env=environment()
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(HOST) + "\n")
        for _ in range(3):
            process.stdin.write(json.dumps(CREATE | {"id": "v-1"}) + "\n")
            assert json.loads(process.stdout.readline()) == {"id": "v-1", "host": "big"}
            process.stdin.write('{"op":"delete","id":"v-1"}\n')


def test_what_is_wrong_is_told_by_its_line() -> None:
    done = play([HOST, CREATE | {"id": "v-1", "cores": 1}, CREATE | {"id": "v-1", "cores": 1}])
    assert (done.returncode, done.stderr) == (1, "play: line 3: v-1 is there already\n")
    done = play([HOST, {"op": "create"}])
    assert (done.returncode, done.stderr) == (1, "play: line 2: it has no id\n")
