"""Metrics: what is said of the records is so, and is in the table; what comes out is Prometheus' text format."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tashi.cli.metrics import exposition
from tashi.core.cluster import Principal
from tashi.core.decision import Decision
from tashi.model.metrics import METRICS
from tashi.wire.messages import Metrics, Reply
from tashid.vitals import Vitals
from tests.core.world import GIB, World

TABLE = {metric.name: metric for metric in METRICS}
LINE = re.compile(r'([a-z_]+)(?:\{((?:[a-z]+="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (-?[0-9.]+(?:e[+-]?[0-9]+)?)')


def samples(world: World) -> dict[tuple[str, ...], float]:
    reply = world.decide("metrics").reply
    assert reply is not None and reply.error is None
    told = msgspec.json.decode(reply.ok, type=Metrics).samples
    assert all(len(TABLE[each.name].labels) == len(each.labels) for each in told)
    assert len({(each.name, *each.labels) for each in told}) == len(told)
    return {(each.name, *each.labels): each.value for each in told}


def test_the_records_are_counted_as_they_are() -> None:
    world = World(2)
    world.create("web", 3, host="h1")
    world.create("db", host="h2")
    world.ok("vm.shutdown", name="db")
    world.decide("vm.create", name="big", image="tiny", cores=8, memory_bytes=GIB, host="h1", hold=True)
    world.host("h2").up = False
    world.run(10)
    told = samples(world)
    assert told["tashi_vms", "running"] == told["tashi_vms", "stopped"] == told["tashi_vms", "held"] == 1
    assert told["tashi_host_cores_used", "h1"] == 3 and told["tashi_host_cores", "h1"] == 8
    assert (told["tashi_host_up", "h1"], told["tashi_host_up", "h2"]) == (1, 0)
    assert told["tashi_host_heartbeat_age_seconds", "h1"] <= 1 < told["tashi_host_heartbeat_age_seconds", "h2"]
    assert told["tashi_hosts", "normal", "up"] == told["tashi_hosts", "normal", "unknown"] == 1
    assert told["tashi_jobs_running", "vm.create"] == 1
    assert told["tashi_pool_used_bytes",] == 3 * GIB
    assert told["tashi_revision",] == world.cluster.revision


def test_users_get_none() -> None:
    world = World(1)
    reply = world.decide("metrics", Principal("ann", "user")).reply
    assert reply is not None and reply.error is not None and reply.error.code == "denied"


def test_requests_are_counted_by_verb_and_outcome() -> None:
    world, vitals = World(1), Vitals(5.0)
    for verb, who in (
        ("status", "user"),
        ("status", "user"),
        ("host.drain", "user"),
        ("x" * 30, "user"),
        ("y", "user"),
    ):
        decision = world.decide(verb, Principal("ann", who), **({"name": "h1"} if verb == "host.drain" else {}))
        assert vitals.decided(verb, decision) is decision
    vitals.decided("status", Decision(reply=Reply("id")))
    vitals.stored(0.25)
    vitals.stored(0.5)
    told: dict[Any, float] = {(each.name, *each.labels): each.value for each in vitals.samples(7.0)}
    assert told["tashi_requests_total", "status", "ok"] == 3
    assert told["tashi_requests_total", "host.drain", "denied"] == told["tashi_denied_total",] == 1
    assert told["tashi_requests_total", "unknown", "unknown-verb"] == 2
    assert told["tashi_up_seconds",] == 2
    assert told["tashi_batch_seconds_total",] == 0.75 and told["tashi_batch_seconds_max",] == 0.5
    assert all(name in TABLE for name, *_ in told)


def test_what_is_printed_is_an_exposition() -> None:
    odd = [
        {"name": "tashi_images", "value": 2},
        {"name": "tashi_requests_total", "value": 1.5, "labels": ['a"b\\c\nd', "ok"]},
        {"name": "tashi_of_tomorrow", "value": 1},
        {"name": "tashi_requests_total", "value": 7, "labels": ["list", "ok"]},
    ]
    text = exposition(odd)
    assert text.endswith("\n")
    lines = text.splitlines()
    assert lines == [
        "# HELP tashi_images Images.",
        "# TYPE tashi_images gauge",
        "tashi_images 2",
        "# HELP tashi_requests_total Requests; the outcome is ok or an error's code.",
        "# TYPE tashi_requests_total counter",
        r'tashi_requests_total{verb="a\"b\\c\nd",outcome="ok"} 1.5',
        'tashi_requests_total{verb="list",outcome="ok"} 7',
    ]
    assert all(LINE.fullmatch(line) for line in lines if not line.startswith("#"))


def test_the_table_is_what_prometheus_takes() -> None:
    assert len(TABLE) == len(METRICS)
    for metric in METRICS:
        assert re.fullmatch(r"tashi_[a-z_]+", metric.name) and metric.kind in ("gauge", "counter")
        assert metric.name.endswith("_total") is (metric.kind == "counter")
        assert not set("\\\n") & set(metric.doc) and metric.doc.endswith(".")
