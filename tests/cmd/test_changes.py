"""Commands that change: many at once, waiting for the end, what is printed, what the status is."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from tests.cmd.fake_controller import FakeController, Script, accepted, ended, error, rows_of, run

WEB = {"name": "web", "id": "v-1", "state": "running"}


def per_name(**said: Any) -> Script:
    return lambda body: said[body["name"]]


def job(identity: str, state: str, revision: int, **more: Any) -> dict[str, Any]:
    return {"revision": revision, "kind": "job", "id": identity, "name": "web", "state": state, **more}


def test_it_waits_and_prints_the_record(fake: FakeController, tmp_path: Path) -> None:
    pages = [{"entries": [job("j-1", "running", 8)], "revision": 8}, ended("j-1", revision=9)]
    fake.scripts["vm.start"] = lambda body: accepted("j-1", "web")
    fake.scripts["changes"] = lambda body: pages[len(fake.bodies("changes")) - 1]
    fake.scripts["list"] = rows_of(WEB)
    done = run(tmp_path, "tvm-start", "web", "--reason", "it is monday")
    assert (done.returncode, done.stdout, done.stderr) == (0, "NAME\tSTATE\nweb\trunning\n", "")
    assert [each["after"] for each in fake.bodies("changes")] == [7, 8]
    assert fake.bodies("changes")[0]["job"] == "j-1"
    assert fake.bodies("list") == [
        {"noun": "vm", "format": "table", "fields": "", "names": ["v-1"], "cursor": "", "limit": 1000}
    ]
    assert fake.asked[0]["why"] == "it is monday"


def test_quiet(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["vm.start"] = lambda body: accepted("j-1", "web")
    assert run(tmp_path, "tvm-start", "-q", "web").stdout == ""
    assert fake.bodies("list") == []


@pytest.mark.parametrize(("state", "reason"), [("failed", "no such machine type"), ("cancelled", "")])
def test_an_operation_that_did_not_end_well(fake: FakeController, tmp_path: Path, state: str, reason: str) -> None:
    fake.scripts["vm.start"] = lambda body: accepted("j-1", "web")
    fake.scripts["changes"] = lambda body: ended("j-1", state, reason=reason)
    done = run(tmp_path, "tvm-start", "-j", "web")
    assert (done.returncode, done.stderr) == (1, f"tvm-start: web: {reason or 'j-1 cancelled'}\n")
    assert json.loads(done.stdout)["error"]["code"] == state


@pytest.mark.parametrize(
    ("second", "status"),
    [(error("no-room", "b: full"), 75), (error("denied", "no"), 1), (accepted("j-2", "b"), 1)],
)
def test_the_status_of_many(fake: FakeController, tmp_path: Path, second: Any, status: int) -> None:
    fake.scripts["vm.start"] = per_name(a=error("no-room", "a: full"), b=second)
    fake.scripts["list"] = rows_of()
    done = run(tmp_path, "tvm-start", "a", "b")
    assert done.returncode == status
    assert done.stderr.startswith("tvm-start: a: full\n")


def test_many_are_asked_at_once_and_printed_as_they_end(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["vm.start"] = lambda body: accepted(f"j-{body['name'][1:]}", body["name"], f"v-{body['name'][1:]}")
    ends = [job("j-2", "done", 8), job("j-1", "failed", 9, reason="it broke"), job("j-3", "done", 10)]
    fake.scripts["changes"] = lambda body: {
        "entries": [each for each in ends if each["revision"] == body["after"] + 1],
        "revision": body["after"] + 1,
    }
    fake.scripts["list"] = rows_of(*({"name": f"n{n}", "id": f"v-{n}", "state": "running"} for n in (1, 2, 3)))
    done = run(tmp_path, "tvm-start", "-H", "n1", "n2", "n3")
    assert (done.returncode, done.stdout) == (1, "n2\trunning\nn3\trunning\n")
    assert done.stderr == "tvm-start: n1: it broke\n"
    assert [each["verb"] for each in fake.asked[:3]] == ["vm.start"] * 3
    assert fake.bodies("changes")[0]["ids"] == ["j-1", "j-2", "j-3"]
    assert fake.bodies("changes")[2]["job"] == "j-3"


def test_a_count_is_one_operation_whose_parts_fail_by_name(fake: FakeController, tmp_path: Path) -> None:
    parts = {"v-1": "web-00", "v-2": "web-01"}
    part = {"parent": "j-1", "reason": "h2: it broke"}
    entries = [job("j-3", "failed", 8, **part | {"name": "web-01"}), job("j-1", "failed", 9, reason="1 of 2 failed")]
    fake.scripts["vm.create"] = lambda body: {"job": "j-1", "kind": "vm", "objects": parts}
    fake.scripts["changes"] = lambda body: {"entries": entries, "revision": 9}
    fake.scripts["list"] = rows_of(
        {"name": "web-00", "id": "v-1", "state": "running"}, {"name": "web-01", "id": "v-2", "state": "failed"}
    )
    done = run(tmp_path, "tvm-create web -c 2 --image debian --cores 1 --memory 1G --disk 10G -H")
    assert done.returncode == 1
    assert done.stderr == "tvm-create: web-01: h2: it broke\ntvm-create: web: 1 of 2 failed\n"
    assert done.stdout == "web-00\trunning\nweb-01\tfailed\n"
    (body,) = fake.bodies("vm.create")
    assert body == {
        "name": "web",
        "count": 2,
        "image": "debian",
        "cores": 1,
        "memory_bytes": 2**30,
        "disk_bytes": 10 * 2**30,
    }


@pytest.mark.parametrize(
    ("words", "body"),
    [
        (["--hold"], {"hold": True}),
        (["--hold=5m"], {"hold": True, "hold_seconds": 300.0}),
        (["--host", "h1"], {"host": "h1"}),
        (["--hold", "--", "--hold"], {"hold": True, "name": "--hold"}),
    ],
)
def test_holding(fake: FakeController, tmp_path: Path, words: list[str], body: dict[str, Any]) -> None:
    fake.scripts["vm.start"] = lambda body: accepted("j-1", "web")
    fake.scripts["list"] = rows_of(WEB)
    assert run(tmp_path, "tvm-start", *words, *([] if "name" in body else ["web"])).returncode == 0
    assert fake.bodies("vm.start") == [{"name": "web"} | body]


def test_submit_prints_the_id_at_once(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["vm.start"] = lambda body: accepted("j-1", "web")
    fake.scripts["list"] = rows_of({"id": "j-1", "name": "web", "verb": "vm.start", "state": "running"})
    assert run(tmp_path, "tvm-start", "--submit", "web").stdout == "j-1\n"
    assert json.loads(run(tmp_path, "tvm-start", "--submit", "-j", "web").stdout)["verb"] == "vm.start"
    assert fake.bodies("changes") == []


def test_the_time_is_over_but_not_the_operation(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["vm.start"] = lambda body: accepted("j-1", "web")
    fake.scripts["changes"] = lambda body: {"entries": [], "revision": 7}
    done = run(tmp_path, "tvm-start", "--timeout", "0.1", "web")
    assert done.returncode == 75
    assert done.stderr == "tvm-start: time is over, still waiting for j-1\nhint: tjob-wait j-1\n"


@pytest.mark.fault(22)
def test_a_reader_that_the_log_has_left_behind_looks_at_the_records(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["vm.start"] = lambda body: accepted("j-1", "web")
    fake.scripts["changes"] = lambda body: {"entries": [], "revision": 99, "snapshot": True}
    fake.scripts["list"] = rows_of({"id": "j-1", "name": "web", "state": "failed", "reason": "it broke"})
    done = run(tmp_path, "tvm-start", "web")
    assert (done.returncode, done.stderr) == (1, "tvm-start: web: it broke\n")


def test_what_is_gone_is_printed_as_gone(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["vm.destroy"] = lambda body: accepted("j-1", "web")
    fake.scripts["changes"] = lambda body: ended("j-1")
    fake.scripts["list"] = rows_of()
    assert run(tmp_path, "tvm-destroy", "-H", "-o", "name,id,state,host", "web").stdout == "web\tv-1\tgone\t\n"
    record = json.loads(run(tmp_path, "tvm-destroy", "-j", "web").stdout)
    assert (record["name"], record["state"], record["cores"]) == ("web", "gone", None)


def test_a_dry_run_prints_the_placement_and_waits_for_nothing(fake: FakeController, tmp_path: Path) -> None:
    plan = accepted("j-1", "web", placement={"web-00": "h1", "web-01": "h2"}, dry_run=True, note="starting")
    fake.scripts["vm.create"] = lambda body: plan
    done = run(tmp_path, "tvm-create -n -H web -c 2 --image i --cores 1 --memory 1G")
    assert done.stdout == "web-00\tvm.create\th1\tstarting\nweb-01\tvm.create\th2\tstarting\n"
    assert fake.bodies("vm.create")[0]["dry_run"] is True
    assert len(fake.asked) == 1


def test_a_drain_tried_dry_says_where_each_would_go_and_what_would_stay(fake: FakeController, tmp_path: Path) -> None:
    plan = {"kind": "host", "objects": {"h-1": "h1"}, "dry_run": True, "placement": {"a": "h2", "b": "h3"}}
    fake.scripts["host.drain"] = lambda body: plan | {"extra": {"big": "no host has room"}}
    expected = "a\tvm.migrate\th2\t\nb\tvm.migrate\th3\t\nbig\tvm.migrate\t\tno host has room\n"
    assert run(tmp_path, "thost-drain -n -H h1").stdout == expected
    plan["placement"] = {}
    assert run(tmp_path, "thost-drain -n -H h1").stdout == "big\tvm.migrate\t\tno host has room\n"
    fake.scripts["host.drain"] = lambda body: plan
    assert run(tmp_path, "thost-drain -n -H h1").stdout == "h1\thost.drain\t\t\n"


def test_a_machine_that_is_there_already_has_migrated(fake: FakeController, tmp_path: Path) -> None:
    went = {"id": "j-1", "name": "web", "from": "h2", "to": "h2", "total_seconds": None, "outcome": "done"}
    fake.scripts["vm.migrate"] = lambda body: accepted("j-1", "web", done=True)
    fake.scripts["list"] = rows_of(went)
    done = run(tmp_path, "tvm-migrate", "-j", "--to", "h2", "web")
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, went, "")


def test_a_warning_is_told_and_the_change_is_made(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["user.add"] = lambda body: accepted("j-1", "ann", "u-1", kind="user", done=True, warning="look out")
    fake.scripts["list"] = rows_of({"id": "u-1", "name": "ann"})
    done = run(tmp_path, "tuser-add", "-H", "-o", "name", "ann")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ann\n", "tuser-add: ann: look out\n")


def test_a_migration_prints_how_it_went(fake: FakeController, tmp_path: Path) -> None:
    went = {"id": "j-1", "name": "web", "from": "h1", "to": "h2", "total_seconds": 0.7, "downtime_seconds": 0.05}
    fake.scripts["vm.migrate"] = lambda body: accepted("j-1", "web")
    fake.scripts["changes"] = lambda body: ended("j-1")
    fake.scripts["list"] = rows_of(went | {"bytes": 99, "outcome": "done"})
    assert run(tmp_path, "tvm-migrate", "-H", "--to", "h2", "web").stdout == "web\th1\th2\t0.7\t0.05\t99\tdone\t\n"
    assert fake.bodies("vm.migrate") == [{"name": "web", "to": "h2"}]


def test_an_enrolment_file(fake: FakeController, tmp_path: Path) -> None:
    extra = {"host": "h1", "token": "abc", "controller": "tcp://[::1]:7402,tcp://c:7402", "enroll": "tcp://c:7403"}
    fake.scripts["host.add"] = lambda body: accepted("j-1", "h1", "h-1", kind="host", extra=extra)
    expected = extra | {"controller": ["tcp://[::1]:7402", "tcp://c:7402"], "enroll": ["tcp://c:7403"]}
    assert tomllib.loads(run(tmp_path, "thost-add", "h1").stdout) == expected
    records = [json.loads(line) for line in run(tmp_path, "thost-add", "-j", "h1", "h2").stdout.splitlines()]
    assert {each["name"] for each in records} == {"h1", "h2"}
    assert records[0]["enrolment"] == expected
    fake.scripts["host.add"] = lambda body: accepted("j-1", "h1", "h-1", kind="host", extra={"host": "h1"})
    lost = run(tmp_path, "thost-add", "h1")
    assert (lost.returncode, lost.stdout) == (1, "")
    assert "hint: thost-add h1" in lost.stderr


def test_an_image_is_named_from_the_pool(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["image.add"] = lambda body: accepted("j-1", "deb", "i-1", kind="image")
    fake.scripts["list"] = rows_of()
    line = "timg-add deb /var/lib/tashi/pool/images/d.qcow2 --format qcow2 --kernel images/vmlinuz"
    assert run(tmp_path, line).returncode == 0
    assert fake.bodies("image.add") == [
        {"name": "deb", "path": "images/d.qcow2", "format": "qcow2", "kernel": "images/vmlinuz"}
    ]
