"""Who speaks for a host: one boot of one machine at a time; and what the log says when a host is heard again."""

from __future__ import annotations

import json

import msgspec
import pytest

from tashi.core.cluster import Cluster
from tashi.core.settings import Settings
from tashi.model.host import Facts
from tashi.model.units import unstamp
from tashi.wire.agents import Beat, Hello, Inventory, Pulse, Rejected, Rows, Seen, Tell, Welcome
from tashi.wire.messages import Request
from tests.core.world import GIB, ROOT, Hypervisor, World


@pytest.fixture
def world() -> World:
    world = World(hosts=2)
    world.create("web", host="h1")
    return world


def hello(of: Hypervisor, boot_id: str) -> Hello:
    return Hello(of.name, f"uuid-{of.name}", boot_id, 7, 0, Facts(8, 8 * GIB))


@pytest.mark.attack(38)
def test_another_boot_is_not_believed_while_the_first_is_heard(world: World) -> None:
    host = world.host("h1")
    decision = world.cluster.agent_said(host.id, "a clone", hello(host, "boot-2"), world.now())
    (back,) = decision.back
    assert isinstance(back, Rejected) and "another boot of h1 is heard" in back.reason
    world.run(2)
    assert world.vm("web")["state"] == "running"
    (shown,) = world.rows("host", names=["h1"])
    assert (shown["health"], shown["reason"]) == ("degraded", "another machine comes with its key")
    world.run(70)
    assert world.rows("host", names=["h1"])[0]["health"] == "up"


@pytest.mark.fault(35)
def test_another_boot_is_believed_once_the_first_is_silent(world: World) -> None:
    host = world.host("h1")
    host.up = False
    world.run(6)
    (back,) = world.cluster.agent_said(host.id, "again", hello(host, "boot-2"), world.now()).back
    assert isinstance(back, Welcome)


def test_the_log_tells_of_a_vm_that_was_told_of_before_its_host_was_known(world: World) -> None:
    """Its report comes first, out of the outbox; the inventory brings no news of it, but of what is known."""
    host = world.host("h1")
    vm = world.vm("web")["id"]
    again = Cluster(Settings(pool_bytes=100 * GIB), lambda: b"")
    for (table, key), value in world.everything().items():
        again.load(table, [(key, value)])
    again.loaded(world.now(), 2, 0)
    seen = Seen(vm, "running", 1, row_generation=1, outcome="done", reason="looked again")

    def told(message: Hello | Tell | Inventory) -> list[str]:
        log = again.agent_said(host.id, "c", message, world.now()).log
        return [entry["state"] for entry in map(json.loads, (each.value for each in log)) if entry["name"] == "web"]

    told(hello(host, "boot-1"))
    assert told(Tell(7, 1, "boot-1", seen=seen)) == ["unknown"]
    assert told(Inventory(7, 2, "boot-1", [seen])) == ["running"]


def test_an_order_whose_commit_failed_is_sent_with_the_next_one(world: World) -> None:
    cluster, host = world.cluster, world.host("h1")
    body = {"name": "db", "image": "tiny", "cores": 1, "memory_bytes": GIB, "host": "h1"}
    raw = Request("request-of-db", "vm.create", msgspec.Raw(json.dumps(body).encode()))
    cluster.durable()
    mark = cluster.mark()
    first = cluster.request(ROOT, raw, None, world.now())
    cluster.rollback(mark)
    second = cluster.request(ROOT, raw, None, world.now())
    assert [to for to, _ in first.effects] == [to for to, _ in second.effects] == [host.id]
    cluster.durable()
    world.take(second)
    world.settle()
    assert world.vm("db")["state"] == "running"


def test_an_order_of_before_is_repeated_after_a_commit_that_failed(world: World) -> None:
    cluster, host = world.cluster, world.host("h1")
    host.holding.add("start")
    world.ok("vm.create", name="db", image="tiny", cores=1, memory_bytes=GIB, host="h1")
    cluster.durable()
    mark = cluster.mark()
    raw = Request("request-of-db", "vm.destroy", msgspec.Raw(b'{"name": "db"}'))
    cluster.request(ROOT, raw, None, world.now())
    cluster.rollback(mark)
    cluster.agent_said(host.id, (host.id, host.incarnation), Beat(), world.now())
    world.seconds += 1.1
    effects = cluster.tick(world.now()).effects
    assert [(to, [row.role for row in rows.rows]) for to, rows in effects if isinstance(rows, Rows)] == [
        (host.id, ["run"])
    ]


def test_who_is_alive_is_answered(world: World) -> None:
    host = world.host("h1")
    (back,) = world.cluster.agent_said(host.id, (host.id, host.incarnation), Beat(), world.now()).back
    assert isinstance(back, Pulse)


def test_a_host_shows_when_its_agent_was_last_heard(world: World) -> None:
    world.run(600)
    heard = unstamp(world.rows("host", names=["h1"])[0]["seen_at"])
    assert world.now().wall - heard <= world.cluster.settings.heartbeat_seconds
    world.host("h1").up = False
    world.run(60)
    assert world.now().wall - unstamp(world.rows("host", names=["h1"])[0]["seen_at"]) >= 60


@pytest.mark.attack(38)
def test_after_a_start_another_boot_waits_until_the_known_one_could_have_been_heard(world: World) -> None:
    host = world.host("h1")
    again = Cluster(Settings(pool_bytes=100 * GIB), lambda: b"")
    for (table, key), value in world.everything().items():
        again.load(table, [(key, value)])
    again.loaded(world.now(), 2, 0)
    (back,) = again.agent_said(host.id, "a clone", hello(host, "boot-2"), world.now()).back
    assert isinstance(back, Rejected) and "about to be heard" in back.reason
    (back,) = again.agent_said(host.id, "itself", hello(host, "boot-1"), world.now()).back
    assert isinstance(back, Welcome)


def test_who_was_silent_so_shortly_that_it_noticed_nothing_is_asked_what_it_has(world: World) -> None:
    host = world.host("h1")
    host.up = False
    world.run(6)
    assert world.vm("web")["state"] == "unknown"
    host.up = True  # the same agent, on the same connection
    world.run(2)
    assert world.vm("web")["state"] == "running"
    assert world.rows("host", names=["h1"])[0]["health"] == "up"
