"""What lists are asked for, and what of the answer is printed: operands, pages, -1, -0, shows."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cmd.fake_controller import FakeController, error, rows_of, run

WEB = {"name": "web", "id": "v-1", "state": "running", "memory_bytes": 2**30, "hints": {"near": "db"}, "host": None}
DB = {"name": "db", "id": "v-2", "state": "stopped"}


@pytest.fixture
def two(fake: FakeController) -> FakeController:
    fake.scripts["list"] = rows_of(WEB, DB)
    return fake


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        ([], {"noun": "vm", "format": "table", "where": []}),
        (["state=running", "cores>2", "web"], {"where": ["state=running", "cores>2"], "names": ["web"]}),
        (["-H", "-o", "name,+id", "name=~^w"], {"format": "tabs", "fields": "name,+id", "where": ["name=~^w"]}),
        (["-j", "state!=held"], {"format": "json", "where": ["state!=held"]}),
    ],
)
def test_what_is_typed_is_what_is_asked(two: FakeController, tmp_path: Path, words: list[str], asked: Any) -> None:
    assert run(tmp_path, "tvm-list", *words).returncode == 0
    body = two.bodies("list")[0]
    assert {key: body.get(key) for key in asked} == asked


@pytest.mark.parametrize(
    ("stdin", "words"),
    [
        ("web\n\n db \nweb\n", ["-"]),
        ('{"name":"web","id":"j-1"}\n{"name":"db","id":null}\n', ["-"]),
        ('{"name":"bad","error":{"code":"locked"}}\n{"name":"web"}\ndb\n', ["-"]),
        ("web\0db\0", ["-0", "-"]),
        ("db\n", ["web", "-"]),
    ],
)
def test_names_from_standard_input(two: FakeController, tmp_path: Path, stdin: str, words: list[str]) -> None:
    assert run(tmp_path, "tvm-list", *words, stdin=stdin).returncode == 0
    assert two.bodies("list")[0]["names"] == ["web", "db"]


def test_a_record_of_the_nouns_own_is_read_by_its_id(two: FakeController, tmp_path: Path) -> None:
    run(tmp_path, "tvm-show", "-", stdin='{"name":"w","id":"v-2"}\n{"name":"w","id":"v-10"}\n{"name":"w","id":"h-1"}\n')
    assert two.bodies("list")[0]["names"] == ["v-2", "v-10", "w"]


def test_what_is_far_too_long_for_a_name_is_refused_at_once(two: FakeController, tmp_path: Path) -> None:
    began = time.monotonic()
    done = run(tmp_path, "tvm-list", "-", stdin="\0" * 30_000_000)
    assert time.monotonic() - began < 15
    assert (done.returncode, two.asked) == (2, [])
    assert "30000000 characters, which no name has" in done.stderr


def test_operations_are_read_by_their_ids(two: FakeController, tmp_path: Path) -> None:
    run(tmp_path, "tjob-show", "-", stdin='{"id":"j-5","name":"web"}\n')
    assert two.bodies("list")[0]["names"] == ["j-5"]


def test_no_names_on_standard_input_is_none_not_all(two: FakeController, tmp_path: Path) -> None:
    done = run(tmp_path, "tvm-list", "-")
    assert (done.returncode, done.stdout, two.asked) == (0, "", [])
    assert run(tmp_path, "tvm-destroy", "-").returncode == 0
    assert two.asked == []


@pytest.mark.parametrize(
    ("stdin", "told"),
    [
        ('{"name":\n', "line 1: not JSON"),
        ('web\n{"id":"i-1"}\n', "line 2: no name"),
        ("\udcff\n", "not text in UTF-8"),
        (
            "NAME  ID\nweb   v-1\n",
            "line 1: 'NAME  ID' is no name; a list that is read here is printed with -j, or -H -o",
        ),
        ("web\nweb\tv-1\n", "line 2: 'web\\tv-1' is no name"),
    ],
)
def test_what_is_no_list_of_names(tmp_path: Path, stdin: str, told: str) -> None:
    done = run(tmp_path, "tvm-destroy", "-", stdin=stdin, errors="surrogateescape")
    assert done.returncode == 2
    assert told in done.stderr


def test_pages_follow_each_other_under_one_header(fake: FakeController, tmp_path: Path) -> None:
    pages = {"": ("a\n", "v-1:5"), "v-1:5": ("b\n", "v-2:5"), "v-2:5": ("c\n", "")}

    def script(body: dict[str, Any]) -> Any:
        rows, cursor = pages[body["cursor"]]
        return {"rows": 1, "header": "NAME\n", "cursor": cursor}, rows.encode()

    fake.scripts["list"] = script
    assert run(tmp_path, "tvm-list").stdout == "NAME\na\nb\nc\n"


def test_no_rows_no_header(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["list"] = lambda body: ({"rows": 0, "header": "NAME\n"}, b"")
    done = run(tmp_path, "tvm-list", "host=h1")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_many_names_are_asked_for_in_pieces(two: FakeController, tmp_path: Path) -> None:
    done = run(tmp_path, "tvm-list", "-", stdin="".join(f"n{n}\n" for n in range(2500)))
    assert done.returncode == 1
    assert [len(each["names"]) for each in two.bodies("list")] == [1000, 1000, 500]
    assert len(done.stderr.splitlines()) == 2500


def test_a_name_that_is_not_there_is_told_and_the_rest_printed(two: FakeController, tmp_path: Path) -> None:
    done = run(tmp_path, "tvm-list", "web", "nope")
    assert (done.returncode, done.stderr) == (1, "tvm-list: nope: no such vm\n")
    assert done.stdout == "NAME\tSTATE\nweb\trunning\n"


def test_exactly_one(two: FakeController, tmp_path: Path) -> None:
    assert run(tmp_path, "tvm-list", "-1", "web").stdout == "NAME\tSTATE\nweb\trunning\n"
    many = run(tmp_path, "tvm-list", "-1")
    assert (many.returncode, many.stdout, many.stderr) == (1, "", "tvm-list: more than one match, -1 wants one\n")
    two.scripts["list"] = rows_of()
    none = run(tmp_path, "tvm-list", "-1", "state=held")
    assert (none.returncode, none.stdout, none.stderr) == (1, "", "tvm-list: none matches, -1 wants one\n")


def test_names_that_end_with_nul(two: FakeController, tmp_path: Path) -> None:
    assert run(tmp_path, "tvm-list", "-0").stdout == "web\0db\0"
    assert run(tmp_path, "tjob-list", "-0").stdout == "v-1\0v-2\0"
    assert run(tmp_path, "tvm-list", "-0H", "-o", "name,state").stdout == "web\trunning\0db\tstopped\0"


def test_the_controllers_refusal_is_the_commands(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["list"] = lambda body: error("bad-request", "'x=1': vm has no field x")
    done = run(tmp_path, "tvm-list", "x=1")
    assert (done.returncode, done.stderr) == (2, "tvm-list: 'x=1': vm has no field x\n")


def test_a_show_is_a_line_a_field(two: FakeController, tmp_path: Path) -> None:
    done = run(tmp_path, "tvm-show", "web", "db")
    assert two.bodies("list")[0]["full"] is True
    assert done.stdout.splitlines()[:6] == [
        "name          web",
        "id            v-1",
        "state         running",
        "memory_bytes  1G",
        "hints         near=db",
        "host          -",
    ]
    assert "\n\nname   db\n" in done.stdout
    assert "memory_bytes\t1073741824\n" in run(tmp_path, "tvm-show", "-H", "web").stdout
    assert json.loads(run(tmp_path, "tvm-show", "-j", "web").stdout) == WEB


def test_fields_are_told_without_a_controller(tmp_path: Path) -> None:
    for command in ("tvm-list", "tvm-create", "thost-show", "tjob-wait", "tashi-events", "tashi-status"):
        done = run(tmp_path, command, "-o", "help")
        assert done.returncode == 0
        assert any(
            line.split()[0] == ("role" if command == "tashi-status" else "name") for line in done.stdout.splitlines()
        )


def test_status(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["status"] = lambda body: {"epoch": 3, "hosts": {"up": 2, "unknown": 1}, "pool_bytes": 2**40}
    expected = "epoch       3\nhosts       up=2,unknown=1\npool_bytes  1T\n"
    assert run(tmp_path, "tashi-status").stdout == expected
    assert run(tmp_path, "tashi-status", "-H", "-o", "pool_bytes").stdout == "pool_bytes\t1099511627776\n"
    assert json.loads(run(tmp_path, "tashi-status", "-j").stdout)["hosts"]["up"] == 2
