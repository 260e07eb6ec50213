"""A snapshot's text: a round trip is exact, and what is wrong with a line is told."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tashi.sched.plan.snapshot import Guest, Place, Snapshot
from tashi.sched.plan.text import read, write
from tests.sched.snapshots import snapshots
from tests.sched.test_index import demands, policies, supplies

bounded = st.builds(
    lambda supply, kept, foreign, ratio: supply._replace(
        kept_memory_bytes=kept, foreign_memory_bytes=foreign, memory_ratio=ratio
    ),
    supplies,
    st.integers(0, 2**60),
    st.integers(0, 2**60),
    st.fractions(Fraction(1, 100), 1000),
)


@st.composite
def anything(draw: st.DrawFn) -> Snapshot:
    """With every field of supply, demand and policy."""
    hosts = {
        each.host: Place(draw(st.text(max_size=5)), each, draw(st.integers(0, 9)))
        for each in draw(st.lists(bounded, max_size=2))
    }
    ids = st.sampled_from(sorted(hosts)) if hosts else st.just("")
    guests = {}
    for number, demand in enumerate(
        draw(st.lists(demands.filter(lambda demand: demand.memory_bytes > 0), max_size=2)), 1
    ):
        also = tuple(draw(st.sets(ids, max_size=2))) if hosts else ()
        own = (draw(ids), draw(st.integers(0, 9)), also, draw(st.text(max_size=5)), draw(st.floats(0, 10**11)))
        guests[f"v-{number}"] = Guest(f"v-{number}", f"vm{number}", demand, *own)
    return Snapshot(draw(st.integers(0, 2**53)), draw(st.floats(0, 10**11)), draw(policies), hosts, guests)


@settings(max_examples=60, deadline=None)
@given(st.one_of(anything(), snapshots()))
def test_a_round_trip_is_exact(snap: Snapshot) -> None:
    lines = list(write(snap))
    assert read(lines) == snap
    assert list(write(read(lines))) == lines


CLUSTER = {"kind": "cluster"}
HOST = {"kind": "host", "id": "h-1", "name": "h1", "cores": 4, "memory_bytes": 2**30}
VM = {"kind": "vm", "id": "v-1", "name": "web", "host": "h-1", "cores": 1, "memory_bytes": 2**20}
END = {"kind": "end", "hosts": 1, "vms": 1}


def test_what_is_as_usual_may_be_left_out() -> None:
    snap = read(json.dumps(line) for line in (CLUSTER, HOST, VM, END))
    assert snap.guests["v-1"].host == "h-1"
    assert snap.policy.order == "pack"


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ([], "there is nothing"),
        ([HOST], "line 1: the first line is not the cluster's"),
        ([CLUSTER, CLUSTER], "line 2: a second cluster"),
        ([CLUSTER, HOST], "it breaks off"),
        ([CLUSTER, HOST, END | {"vms": 0}, VM], "line 4: a vm after the end"),
        ([CLUSTER, HOST, END], "line 3: end: 1 vms, but there were 0"),
        ([CLUSTER, HOST, HOST], "line 3: host h-1: twice"),
        ([CLUSTER, HOST, VM, VM], "line 4: vm v-1: twice"),
        ([CLUSTER, VM], "line 2: vm v-1: it is on h-1, and there is no such host before it"),
        ([CLUSTER, HOST | {"cores": -4}], "line 2: host h-1: cores: -4 is not a whole number from 0 to 2^60"),
        ([CLUSTER, HOST | {"cores": 1.5}], "cores: 1.5 is not a whole number"),
        ([CLUSTER, HOST | {"cores": True}], "cores: true is not a whole number"),
        ([CLUSTER, HOST | {"memory_bytes": 2**61}], "memory_bytes: 2305843009213693952 is not a whole number"),
        ([CLUSTER, HOST | {"cores_ratio": "1/0"}], 'cores_ratio: "1/0" is not a ratio'),
        ([CLUSTER, HOST | {"cores_ratio": 0}], "cores_ratio: 0 is not a ratio above 0"),
        ([CLUSTER, HOST | {"labels": ["rack"]}], 'labels: ["rack"] is not a list of KEY=VALUE'),
        ([CLUSTER, HOST | {"colour": "red"}], "host h-1: 'colour': no such key; there are id, name"),
        ([CLUSTER, HOST | {"id": "v-1"}], 'id: "v-1" is not the id of a host'),
        ([CLUSTER, HOST, VM | {"cores": 0}], "line 3: vm v-1: cores: 0 is not a whole number from 1"),
        ([CLUSTER, HOST, {k: v for k, v in VM.items() if k != "cores"}], "vm v-1: cores is missing"),
        ([CLUSTER, HOST, VM | {"rules": {"skew": 0}}], "rules: skew: 0 is not"),
        ([CLUSTER, HOST, VM | {"host": None}], "host: null is not the id of a host"),
        ([CLUSTER | {"policy": {"filters": ["sun"]}}], "cluster: policy: 'sun': no such filter"),
        ([CLUSTER | {"wall": float("nan")}], "wall: NaN is not seconds since 1970"),
        ([[]], "line 1: not a JSON object"),
        ([{"kind": "host"} | {"kind": "moon"}], "kind is 'moon'"),
    ],
)
def test_a_wrong_line_is_named(lines: list[Any], words: str) -> None:
    with pytest.raises(ValueError) as told:
        read(json.dumps(line) for line in lines)
    assert words in str(told.value)


def test_what_is_no_json_is_named() -> None:
    with pytest.raises(ValueError, match="line 2: not JSON"):
        read([json.dumps(CLUSTER), "{"])
    with pytest.raises(ValueError, match="line 2: not JSON"):
        read([json.dumps(CLUSTER), "[" * 100_000])
