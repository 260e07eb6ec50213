"""Decisions of placement are on the disk: over a restart, from a backup, and until the change log is pruned."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.bench.cluster import HOSTS, hosts, make_ready
from tests.daemon.processes import Asker, Controller, until


@pytest.fixture
def controller() -> Iterator[Controller]:
    made = Controller(more='heartbeat_seconds = 0.5\nlog_entries = 1000\n[pool]\ncapacity = "1024P"')
    made.start()
    with hosts(made):
        make_ready(made)
        yield made
    made.close()


def create(admin: Asker, name: str, **more: Any) -> Any:
    body = {"image": "tiny", "cores": 1, "memory_bytes": 2**22} | more
    return admin.ask("vm.create", name=name, **body)


def vm(admin: Asker, name: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(admin.ask("list", noun="vm", names=[name])["rows"])
    return answer


def test_a_decision_is_there_after_a_restart_by_its_id_its_operation_and_its_vm(controller: Controller) -> None:
    admin = controller.local()
    job = create(admin, "web")["ok"]["job"]
    ident = vm(admin, "web")["decision"]
    told = admin.ok("decision", name=ident)
    assert (told["outcome"], told["host"], told["hosts"]) == ("placed", vm(admin, "web")["host"], HOSTS)
    controller.kill()
    controller.start()
    admin = controller.local()
    for ref in (ident, job, "web", vm(admin, "web")["id"]):
        assert admin.ok("decision", name=ref) == told
    create(admin, "next")
    assert int(vm(admin, "next")["decision"][2:]) == int(ident[2:]) + 1, "a number is never used again"


def test_a_refusal_is_remembered_over_a_restart(controller: Controller) -> None:
    admin = controller.local()
    error = create(admin, "large", asks={"labels": {"rack": "nowhere"}})["error"]
    ident = error["hint"].partition("--decision ")[2].partition(" ")[0]
    controller.kill()
    controller.start()
    told = controller.local().ok("decision", name=ident)
    assert told["outcome"] == "refused" and told["reason"] in error["text"]


@pytest.mark.parametrize(
    "body", [{}, {"name": 7}, {"name": ""}, {"name": "x" * 10_000}, {"name": "c-0"}, {"name": "c-1", "x": 1}]
)
def test_nonsense_is_refused_and_told(controller: Controller, body: dict[str, Any]) -> None:
    admin = controller.local()
    assert admin.code("decision", **body) in ("bad-request", "not-found")
    assert admin.ok("status")["role"] == "admin"


def test_it_goes_with_the_change_log(controller: Controller) -> None:
    admin = controller.local()
    create(admin, "first")
    ident = vm(admin, "first")["decision"]
    assert admin.ok("decision", name=ident)["id"] == ident
    for number in range(400):
        admin.ask("user.add", name=f"u{number}", uid=100_000 + number)
        admin.ask("user.set", name=f"u{number}", role="operator")
        admin.ask("user.remove", name=f"u{number}")

    def gone() -> bool:
        error = admin.ask("decision", name=ident).get("error")
        return error is not None and "older than the change log" in error["text"] and "log_days" in error["hint"]

    until(gone, "the decision is pruned with the entry that names it")
    assert vm(admin, "first")["decision"] == ident
