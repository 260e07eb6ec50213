"""The change log told as acts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tashi.cli.history import tell
from tashi.cli.table import KINDS
from tashi.core.records import TYPES, UNTOLD
from tests.cmd.fake_controller import FakeController, run


def log(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"revision": at, "at": f"t{at}", "name": "web"} | entry for at, entry in enumerate(entries, 1)]


def vm(state: str, **more: Any) -> dict[str, Any]:
    return {"kind": "vm", "id": "v-1", "state": state} | more


def job(state: str, number: str = "j-1", target: str = "v-1", **more: Any) -> dict[str, Any]:
    return {"kind": "job", "id": number, "job": number, "target": target, "state": state} | more


def told(*entries: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(act["at"], act["by"], act["verb"], act["outcome"], act["reason"]) for act in tell(log(*entries))]


def test_every_kind_of_which_the_log_tells_can_be_asked_for() -> None:
    assert set(KINDS) == {*TYPES, "decision", "policy", "denied"} - {*UNTOLD}


def test_an_operation_is_one_act_from_its_begin_to_its_end() -> None:
    assert told(
        vm("starting", job="j-1", verb="vm.create", by="ann"),
        job("running", verb="vm.create", by="ann"),
        vm("running", job="j-1", by="agent@h1"),
        job("done", verb="vm.create", by="ann"),
        vm("running", by="agent@h1"),
    ) == [("t1", "ann", "vm.create", "done", None)]


def test_what_goes_wrong_says_why_and_what_is_under_way_says_so() -> None:
    assert told(
        vm("starting", job="j-1", verb="vm.start", by="ann", reason="passing"),
        job("failed", verb="vm.start", by="ann", reason="no such machine type"),
        vm("destroying", job="j-2", verb="vm.destroy", by="bob", reason="passing"),
    ) == [("t1", "ann", "vm.start", "failed", "no such machine type"), ("t3", "bob", "vm.destroy", "running", None)]


def test_what_nobody_asked_for_is_an_act_of_its_own_once() -> None:
    assert told(
        vm("running", job="j-1", verb="vm.create", by="ann"),
        job("done", verb="vm.create", by="ann"),
        vm("stopped", by="agent@h1", reason="its QEMU crashed or was killed"),
        vm("stopped", by="agent@h1", reason="its QEMU crashed or was killed"),
    )[1:] == [("t3", "agent@h1", None, "stopped", "its QEMU crashed or was killed")]


def test_an_act_whose_begin_is_no_longer_kept_is_known_by_its_end() -> None:
    assert told(job("done", verb="vm.destroy", by="ann")) == [("t1", "ann", "vm.destroy", "done", None)]


def test_what_belongs_to_an_operation_is_no_act_of_its_own_though_its_begin_is_lost() -> None:
    assert told(
        vm("running", job="j-1", by="agent@h1"),
        job("done", verb="vm.create", by="ann"),
    ) == [("t2", "ann", "vm.create", "done", None)]


def test_each_object_of_an_operation_has_its_act() -> None:
    entries = [
        {
            "kind": "host",
            "id": "h-1",
            "name": "h1",
            "state": "draining",
            "job": "j-1",
            "verb": "host.drain",
            "by": "ann",
        },
        vm("migrating", job="j-2", verb="host.drain", by="ann"),
        job("done", "j-2", verb="vm.migrate", by="ann", parent="j-1"),
        {"kind": "host", "id": "h-1", "name": "h1", "state": "drained", "job": "j-1", "by": "agent@h1"},
        job("done", "j-1", "h-1", name="h1", verb="host.drain", by="ann"),
    ]
    acts = tell(log(*entries))
    assert [(act["name"], act["outcome"], act["ended_at"]) for act in acts] == [
        ("h1", "done", "t5"),
        ("web", "done", "t3"),
    ]


def test_what_many_objects_have_in_common_is_told_of_each_and_not_once_more() -> None:
    many = {"name": "x1 and 1 more", "verb": "machine.import", "by": "ann"}
    entries = [
        {"kind": "machine", "id": "m-1", "name": "x1", "state": "ok", "job": "j-1", "verb": "machine.import"},
        {"kind": "machine", "id": "m-2", "name": "x2", "state": "ok", "job": "j-1", "verb": "machine.import"},
        job("done", target=None, **many),
        job("done", "j-2", target=None, name="/backup", verb="backup"),
    ]
    told = [(act["name"], act["id"], act["outcome"]) for act in tell(log(*entries))]
    assert told == [("x1", "m-1", "done"), ("x2", "m-2", "done"), ("/backup", None, "done")]


def test_what_is_asked_about_a_name_ends_as_its_operation_did(fake: FakeController, tmp_path: Path) -> None:
    """The end of an operation on several objects, or on another one, is no entry about each of them."""
    about = log(
        vm("stopped", job="j-1", verb="host.confirm-off", by="ann"),
        vm("running", job="j-2", verb="vm.start", by="ann"),
        job("done", "j-2", by="ann", verb="vm.start"),
        vm("migrating", job="j-3", verb="host.drain", by="ann"),
    )
    ends = [{**each, "revision": 9} for each in log(job("failed", "j-1", "h-1", reason="why"), job("done", "j-9"))]
    fake.revision = 9
    fake.scripts["changes"] = lambda body: {"entries": about if body["about"] == ["web"] else ends, "revision": 9}
    done = run(tmp_path, "tashi-history", "-H", "-o", "verb,outcome,reason,ended_at", "web")
    assert done.stdout.splitlines() == [
        "host.confirm-off\tfailed\twhy\tt1", "vm.start\tdone\t\tt3", "host.drain\trunning\t\t",
    ]  # fmt: skip
    assert fake.bodies("changes")[1] | {"wait_seconds": 0, "limit": 0} == {
        "after": 0, "about": ["j-1", "j-3"], "kinds": ["job"], "wait_seconds": 0, "limit": 0,
    }  # fmt: skip


def test_a_refusal_for_want_of_a_right_is_told() -> None:
    denied = {
        "kind": "denied",
        "id": "",
        "state": "denied",
        "verb": "host.drain",
        "by": "eve",
        "reason": "needs operator",
    }
    assert told(denied, denied) == [("t1", "eve", "host.drain", "denied", "needs operator")] + [
        ("t2", "eve", "host.drain", "denied", "needs operator")
    ]
