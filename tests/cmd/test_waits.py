"""tvm-wait, tjob-wait, tashi-events: what ends them, and with what status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tashi.cli.progress import describe
from tests.cmd.fake_controller import FakeController, rows_of, run


def vm(state: str, revision: int = 8, name: str = "web", identity: str = "v-1") -> dict[str, Any]:
    return {"revision": revision, "kind": "vm", "id": identity, "name": name, "state": state, "reason": "so"}


def job(identity: str, state: str, reason: str = "") -> dict[str, Any]:
    return {"id": identity, "kind": "job", "name": "web", "state": state, "reason": reason}


def test_it_ends_when_all_are_there(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["list"] = rows_of(vm("running"), vm("starting", name="db", identity="v-2"))
    fake.scripts["changes"] = lambda body: {"entries": [vm("running", 9, "db", "v-2")], "revision": 9}
    done = run(tmp_path, "tvm-wait", "-H", "-o", "name", "web", "-", stdin="db\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, "web\ndb\n", "")
    assert fake.bodies("changes") == [{"after": 7, "wait_seconds": 25.0, "limit": 1000, "ids": ["v-2"]}]


@pytest.mark.parametrize(
    ("wanted", "state"),
    [
        ("running", "failed"),
        ("running", "stopped"),
        ("stopped", "destroying"),
        ("held", "running"),
        ("unknown", "gone"),
    ],
)
def test_it_ends_when_that_cannot_happen_any_more(
    fake: FakeController, tmp_path: Path, wanted: str, state: str
) -> None:
    fake.scripts["list"] = rows_of(vm("pending"))
    fake.scripts["changes"] = lambda body: {"entries": [vm(state)], "revision": 8}
    done = run(tmp_path, "tvm-wait", "--state", wanted, "web")
    assert (done.returncode, done.stderr) == (1, f"tvm-wait: web: is {state}: so; it won't be {wanted}\n")


def test_gone_is_what_is_not_there(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["list"] = rows_of(vm("destroying"))
    fake.scripts["changes"] = lambda body: {"entries": [vm("gone")], "revision": 8}
    fake_names = run(tmp_path, "tvm-wait", "--state", "gone", "-H", "-o", "name,state", "nobody", "web")
    assert (fake_names.returncode, fake_names.stderr) == (0, "")
    assert fake_names.stdout.splitlines()[0] == "nobody\tgone"
    unknown = run(tmp_path, "tvm-wait", "nobody")
    assert (unknown.returncode, unknown.stderr) == (1, "tvm-wait: nobody: no such vm\n")


def test_what_makes_no_entry_is_looked_at(fake: FakeController, tmp_path: Path) -> None:
    """A host's silence changes what its VMs are without a change of their records."""

    def look(body: dict[str, Any]) -> Any:
        return rows_of(vm("unknown" if fake.bodies("changes") else "running"))(body)

    fake.scripts["list"] = look
    fake.scripts["changes"] = lambda body: {"entries": [], "revision": 7}
    assert run(tmp_path, "tvm-wait", "-q", "--state", "unknown", "web").returncode == 0


def test_the_time_of_a_wait(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["list"] = rows_of(vm("starting"))
    fake.scripts["changes"] = lambda body: {"entries": [], "revision": 7}
    done = run(tmp_path, "tvm-wait", "--timeout", "0.1", "web")
    assert (done.returncode, done.stderr) == (75, "tvm-wait: time is over, still waiting for web\n")


def test_operations_that_ended_and_that_end(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["list"] = rows_of(job("j-1", "done"), job("j-2", "running"), job("j-3", "failed", "it broke"))
    fake.scripts["changes"] = lambda body: {"entries": [job("j-2", "cancelled")], "revision": 8}
    done = run(tmp_path, "tjob-wait", "-H", "-o", "id", "j-1", "j-2", "j-3", "j-9")
    assert (done.returncode, done.stdout) == (1, "j-1\nj-3\nj-2\n")
    assert done.stderr.splitlines() == [
        "tjob-wait: j-9: no such job",
        "tjob-wait: j-3: failed: it broke",
        "tjob-wait: j-2: cancelled",
    ]
    assert run(tmp_path, "tjob-wait", "-q", "j-1").returncode == 0


def test_operations_whose_end_is_no_longer_in_the_log(fake: FakeController, tmp_path: Path) -> None:
    """A long wait may fall behind what is kept: then each is looked up, and one that is not there is no success."""

    def look(body: dict[str, Any]) -> Any:
        waited = bool(fake.bodies("changes"))
        return rows_of(job("j-1", "done" if waited else "running"), *([] if waited else [job("j-2", "running")]))(body)

    fake.scripts["list"] = look
    fake.scripts["changes"] = lambda body: {"entries": [], "revision": 900, "snapshot": True, "tail": 500}
    done = run(tmp_path, "tjob-wait", "-q", "j-1", "j-2")
    assert (done.returncode, done.stderr) == (1, "tjob-wait: j-2: failed: forgotten by the controller\n")


def log(*pages: dict[str, Any]) -> Any:
    """A log in pages: each answers the reader that stands before it."""
    return lambda body: next(
        (page for page in pages if page["revision"] > body["after"]), {"entries": [], "revision": body["after"]}
    )


def test_events_to_the_end_of_the_log(fake: FakeController, tmp_path: Path) -> None:
    fake.revision = 12
    fake.scripts["changes"] = log(
        {"entries": [vm("starting", 1)], "revision": 10}, {"entries": [job("j-1", "done")], "revision": 12}
    )
    done = run(tmp_path, "tashi-events", "-H", "-o", "kind,name,state", "--kind", "vm", "--kind", "job")
    assert (done.returncode, done.stdout) == (0, "vm\tweb\tstarting\njob\tweb\tdone\n")
    assert fake.bodies("changes")[0] == {"after": 0, "wait_seconds": 0.0, "limit": 1000, "kinds": ["vm", "job"]}
    assert [each["after"] for each in fake.bodies("changes")] == [0, 10]
    assert json.loads(run(tmp_path, "tashi-events", "-j").stdout.splitlines()[0])["state"] == "starting"


def test_the_last_events_and_those_of_one_name(fake: FakeController, tmp_path: Path) -> None:
    fake.revision = 12
    fake.scripts["changes"] = lambda body: {
        "entries": [vm("gone", 12, "old", "v-3")] if body["after"] >= 0 else [],
        "revision": 12,
    }
    assert run(tmp_path, "tashi-events", "--last", "3", "-H", "-o", "name", "old").stdout == "old\n"
    asked = [(each["after"], each.get("about")) for each in fake.bodies("changes")]
    assert asked == [(-1, None), (9, ["old"])]


def test_events_that_are_no_longer_kept(fake: FakeController, tmp_path: Path) -> None:
    fake.revision = 900
    pruned = {"entries": [], "revision": 900, "snapshot": True, "tail": 500}
    rest = {"entries": [vm("running", 500)], "revision": 900}
    fake.scripts["changes"] = lambda body: pruned if body["after"] < 499 else rest
    assert run(tmp_path, "tashi-events", "-H", "-o", "name").stdout == "web\n"
    late = run(tmp_path, "tashi-events", "-H", "-o", "name", "--after", "400")
    assert (late.stdout, late.stderr) == ("web\n", "tashi-events: events 401 to 499 are no longer kept\n")


def test_following_ends_at_its_time(fake: FakeController, tmp_path: Path) -> None:
    fake.revision = 8
    fake.scripts["changes"] = log({"entries": [vm("running")], "revision": 8})
    done = run(tmp_path, "tashi-events", "-f", "-H", "-o", "name", "--timeout", "0.3")
    assert (done.returncode, done.stdout) == (0, "web\n")
    assert fake.bodies("changes")[0]["wait_seconds"] == 0
    assert 0 < fake.bodies("changes")[1]["wait_seconds"] <= 0.3


def test_how_far_operations_are_on_one_line() -> None:
    nothing = {"phase": "", "children": 0, "open_children": 0, "done_bytes": 0, "total_bytes": 0, "bytes_per_second": 0}
    web = nothing | {"verb": "vm.migrate", "name": "web", "phase": "copy"}
    web |= {"done_bytes": 2**30, "total_bytes": 4 * 2**30, "bytes_per_second": 2**28}
    assert describe([web]) == "vm.migrate web: copy, 1G of 4G, 256M/s, 12s left"
    drain = nothing | {"verb": "host.drain", "name": "h1", "children": 5, "open_children": 3}
    assert describe([drain, web]) == "host.drain h1: 2 of 5 parts, 1G of 4G, 256M/s, 12s left"
    assert describe([]) == ""
