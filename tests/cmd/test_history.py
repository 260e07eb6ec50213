"""The change log told as acts."""

from __future__ import annotations

from typing import Any

from tashi.cli.history import tell


def log(*entries: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"revision": at, "at": f"t{at}", "name": "web"} | entry for at, entry in enumerate(entries, 1)]


def vm(state: str, **more: Any) -> dict[str, Any]:
    return {"kind": "vm", "id": "v-1", "state": state} | more


def job(state: str, number: str = "j-1", target: str = "v-1", **more: Any) -> dict[str, Any]:
    return {"kind": "job", "id": number, "job": number, "target": target, "state": state} | more


def told(*entries: dict[str, Any]) -> list[tuple[Any, ...]]:
    return [(act["at"], act["by"], act["verb"], act["outcome"], act["reason"]) for act in tell(log(*entries))]


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
