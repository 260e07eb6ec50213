"""A hundred clients at once, and room for ten."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.daemon.processes import Asker
from tests.daemon.test_agent import Cluster

CORES = 6  # of the 64 that a fake host has: ten fit


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    try:
        yield made.up("h1")
    finally:
        made.close()


@pytest.mark.fault(58)
def test_ten_get_a_place_and_ninety_are_told_why_not(cluster: Cluster) -> None:
    clients: list[Asker] = [cluster.controller.local() for _ in range(100)]
    for number, client in enumerate(clients):
        client.send("vm.create", name=f"r{number}", image="tiny", cores=CORES, memory_bytes=2**28)
    answers = [client.reply() for client in clients]
    refused = [answer["error"] for answer in answers if "error" in answer]
    placed = [answer["ok"]["placement"] for answer in answers if "ok" in answer]
    assert len(placed) == 10, placed
    assert {error["code"] for error in refused} == {"no-room"}
    assert all(error["retry"] and "h1: needs 6 cores, 4 free" in error["text"] for error in refused)
    assert len(cluster.list("vm")) == 10
    assert cluster.list("host")[0]["cores_used"] == 60
