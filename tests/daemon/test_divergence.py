"""A store of this morning against hosts of today, as processes: nothing is ended, all is shown, adopting settles it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from tashid.staging import MARGIN, raised
from tashid.store.lmdb import LmdbStore
from tests.daemon.processes import until
from tests.daemon.test_agent import Cluster


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    yield made.up("h1", "h2")
    made.close()


def mark(path: str) -> None:
    """What restoring does to a store."""
    store = LmdbStore(path, 2**30)
    store.commit(list(raised(store, 1.0e9, 1.0e9)), [], epoch=store.acquire(MARGIN))
    store.close()


def running(cluster: Cluster) -> dict[str, list[str]]:
    """Names of the guests that run on each host."""
    return {
        host: sorted(guest["name"] for guest in cluster.world(host).values() if guest["state"] == "running")
        for host in cluster.hosts
    }


def differing(cluster: Cluster) -> dict[str, Any]:
    return {row["name"]: row["difference"] for row in cluster.list("difference")}


@pytest.mark.fault(21)
@pytest.mark.parametrize("marked", [True, False])
def test_a_store_of_this_morning(cluster: Cluster, marked: bool) -> None:
    controller, state = cluster.controller, cluster.controller.folder / "state"
    for name in ("same", "over", "moved"):
        cluster.create(name, host="h1")
    assert controller.stop() == 0
    shutil.copytree(state / "store", state / "morning")
    for _ in range(1 if marked else 3):  # each start takes an epoch: the copy, with one, is behind
        controller.start()
        controller.stop()
    controller.start()
    cluster.ask = controller.local()
    until(lambda: {host["health"] for host in cluster.list("host")} == {"up"}, "hosts are up")
    cluster.create("new", host="h2")
    cluster.done(cluster.ask.ok("vm.destroy", name="over"))
    cluster.done(cluster.ask.ok("vm.migrate", name="moved", to="h2"))
    assert controller.stop() == 0

    shutil.rmtree(state / "store")
    (state / "morning").rename(state / "store")
    if marked:
        mark(str(state / "store"))
    controller.start()
    cluster.ask = controller.local()
    if not marked:
        until(lambda: differing(cluster) == {"h1": "epoch", "h2": "epoch"}, "both agents are ahead")
        cluster.ask.ok("adopt", name="h1")
    wanted = {"over": "missing", "moved": "elsewhere", "new": "stray"}
    until(lambda: differing(cluster) == wanted, f"what differs is told, not {differing(cluster)}")
    assert running(cluster) == {"h1": ["same"], "h2": ["moved", "new"]}
    assert cluster.vm("moved")["state"] == "unknown"
    for name in wanted:
        cluster.ask.ok("adopt", name=name)
    assert differing(cluster) == {}
    until(lambda: {cluster.vm(name)["state"] for name in ("moved", "new")} == {"running"}, "they run in the records")
    assert running(cluster) == {"h1": ["same"], "h2": ["moved", "new"]}
    assert (cluster.vm("over")["state"], cluster.vm("moved")["host"]) == ("stopped", "h2")

    cluster.done(cluster.ask.ok("vm.migrate", name="moved", to="h1"))
    cluster.done(cluster.ask.ok("vm.destroy", name="new"))
    # The store does not know that it was destroyed, with its disk: that is told, not covered up by an empty one.
    cluster.ask.ok("vm.start", name="over", host="h2")
    until(lambda: cluster.vm("over")["state"] == "failed", "there is nothing to start it from")
    assert "its disk disks/v-2.qcow2 is not there" in cluster.vm("over")["reason"]
    assert running(cluster) == {"h1": ["moved", "same"], "h2": []}
