"""An agent that reports without end: how much of it is heard, who is served meanwhile, who is told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tashi.run.keys import KeyPair, new_pair
from tashid import floods
from tests.bench.crowd import crowd
from tests.bench.filled import fill
from tests.daemon.processes import Controller, environment, until
from tests.daemon.test_shell import Bench

AT_ONCE, EACH_SECOND = int(floods.REPORTS[1]), int(floods.REPORTS[0])
ANSWER_SECONDS = 10.0  # what commands bear unless they are told otherwise
# Says hello, then tells the same thing as fast as the line takes it, with a beat now and then.
FLOOD = """
import sys, time, zmq
from tashi.run.keys import KeyPair
from tashi.run.link import connect, dealer
from tests.bench.hosts import Host
address, server_key, name, public, secret = sys.argv[1:]
socket = dealer(zmq.Context(), server_key, KeyPair(public, secret))
connect(socket, address)
socket.poll(20_000, zmq.POLLOUT)
host = Host(name, socket)
while not host.welcome:
    socket.poll(20_000)
    host.listen()
tell = b'{"say":"tell","incarnation":1,"seq":%d,"boot_id":"b","seen":{"vm":"v-9","state":"running"}}'
seq, beat_at = 2, 0.0
while True:
    if time.monotonic() >= beat_at:
        host.beat()
        host.listen()
        beat_at = time.monotonic() + 0.2
    for _ in range(1000):
        socket.send(tell % seq)
        seq += 1
"""


@pytest.mark.fault(48)
def test_what_is_above_the_budget_is_not_heard_and_beats_always_are() -> None:
    bench = Bench()
    bench.image()

    def report(count: int, first: int) -> int:
        """How many of so many reports are acknowledged."""
        before = len(bench.said())
        for seq in range(first, first + count):
            seen = {"vm": f"v-{seq}", "state": "absent"}
            bench.tell({"say": "tell", "incarnation": 1, "seq": seq, "boot_id": "b", "seen": seen})
        return sum(said["say"] == "acked" for said in bench.said()[before:])

    assert report(1000, 10) == 1000, "all guests of a host may end at once"
    bench.seconds += 2
    assert report(AT_ONCE + 500, 2000) == AT_ONCE
    for _ in range(20):
        bench.tell({"say": "beat"})
        assert bench.said()[-1]["say"] == "pulse"
    assert health(bench) == ("degraded", "its agent says more than is heard")
    bench.seconds += 1
    assert report(5000, 20_000) == EACH_SECOND, "said again later, it is heard"
    for _ in range(70):
        bench.seconds += 1
        bench.tell({"say": "beat"})
    assert health(bench) == ("up", None)


def health(bench: Bench) -> tuple[str, str | None]:
    bench.shell.serve([bench.message("list", noun="host", format="json", full=True)])
    host = json.loads(bench.sent[-1][1][1])
    return host["health"], host.get("reason")


@pytest.mark.fault(48)
def test_others_are_served_while_one_reports_as_fast_as_it_can() -> None:
    pairs = [new_pair() for _ in range(3)]
    controller = Controller(more="heartbeat_seconds = 0.5\nmissed = 10")
    try:
        fill(controller.folder / "state", 0, [pair.public for pair in pairs])
        controller.start()
        address, server_key = f"tcp://127.0.0.1:{controller.ports['agent']}", controller.server_key
        with crowd(address, server_key, 0.5, pairs[:2]), flood(address, server_key, "host3", pairs[2]):
            until(lambda: dropped(controller).get("host3", 0) > AT_ONCE, "it is not heard any more", 60)
            for number in range(100):
                admin = controller.local()
                admin.send("user.add", name=f"user{number}", uid=10_000 + number)
                assert "ok" in admin.reply(ANSWER_SECONDS)
            hosts = {host["name"]: (host["health"], host.get("reason")) for host in listed(controller)}
            assert hosts["host1"] == hosts["host2"] == ("up", None)
            assert hosts["host3"] == ("degraded", "its agent says more than is heard")
            assert dropped(controller).keys() == {"host3"}
        assert controller.log.count("says too much") == 1, "told once"
    finally:
        controller.close()


@contextmanager
def flood(address: str, server_key: str, name: str, pair: KeyPair) -> Iterator[None]:
    argv = [sys.executable, "-c", FLOOD, address, server_key, name, pair.public, pair.secret]
    process = subprocess.Popen(argv, env=environment())
    try:
        yield
    finally:
        process.kill()
        process.wait()


def listed(controller: Controller) -> list[dict[str, Any]]:
    rows = controller.local().ask("list", noun="host", format="json", full=True)["rows"]
    return [json.loads(row) for row in rows.splitlines()]


def dropped(controller: Controller) -> dict[str, float]:
    samples = json.loads(controller.local().ask("metrics")["rows"])["samples"]
    name = "tashi_agent_messages_dropped_total"
    return {each["labels"][0]: each["value"] for each in samples if each["name"] == name}
