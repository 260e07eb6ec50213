"""Rows of ports and VLANs, made of what switches say and of what the records know; and filters over them."""

from __future__ import annotations

from typing import Any

import pytest

from tashi.cli.own_list import test_of as filter_of
from tashi.cli.switch_ports import Known, Plug, matching, port_rows, vlan_rows
from tashi.cli.table import fields_of
from tashi.wire.errors import Refused

RECORDS = Known(
    {"s1": ["up"], "s2": []},
    {"s1:p1": Plug("m1", "eth0", "red"), "s2:1:7": Plug("m1", "eth1", "red"), "s1:p2": Plug("m2", None, None)},
    {100: "red"},
    {"s-1": "s1", "s-2": "s2", "m-1": "m1", "m-2": "m2"},
)
S1: dict[str, Any] = {
    "vlans": {"1": "default", "100": "red"},
    "ports": {
        "p1": {"name": "p1", "native": 100, "untagged": [100], "mode": "access", "up": True, "speed_mbps": 1000},
        "p2": {"name": "p2", "on": False},
        "up": {"name": "up", "tagged": [100], "mode": "trunk", "label": "to s2"},
    },
}
S2: dict[str, Any] = {"vlans": {"100": "rot"}, "ports": {"1:7": {"name": "1:7", "tagged": [7], "mode": "trunk"}}}


def rows() -> list[dict[str, Any]]:
    return port_rows(RECORDS, "s1", S1["ports"]) + port_rows(RECORDS, "s2", S2["ports"])


def test_a_port_as_the_switch_and_the_records_have_it() -> None:
    first, second, up, _ = rows()
    assert first == {
        "name": "s1:p1", "on": True, "up": True, "speed_mbps": 1000, "mode": "access", "native": 100,
        "untagged": [100], "tagged": [], "label": None, "machine": "m1", "nic": "eth0", "domain": "red",
        "uplink": False, "switch": "s1", "port": "p1",
    }  # fmt: skip
    assert (second["on"], second["up"], second["mode"], second["native"], second["nic"]) == (False,) + (
        None, "none", None, None,
    )  # fmt: skip
    assert (up["uplink"], up["machine"], up["label"]) == (True, None, "to s2")
    assert first.keys() == {field.key for field in fields_of("port")}


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("s1", ["s1:p1", "s1:p2", "s1:up"]),
        ("s-1:up", ["s1:up"]),
        ("m1", ["s1:p1", "s2:1:7"]),
        ("m1:eth1", ["s2:1:7"]),
        ("m-2", ["s1:p2"]),
        ("s2:1:7", ["s2:1:7"]),
        ("m2:eth0", []),
        ("s1:p", []),
        ("nobody", []),
    ],
)
def test_words_for_ports(word: str, names: list[str]) -> None:
    found, strange = matching(RECORDS, rows(), [word])
    assert [row["name"] for row in found] == names
    assert strange == ([] if names else [word])
    assert {name.partition(":")[0] for name in names} <= RECORDS.switches_of(word)


def test_vlans_of_all_switches() -> None:
    default, seven, red = vlan_rows(RECORDS, {"s1": S1, "s2": S2})
    assert red == {
        "vlan": 100, "name": "red,rot", "domain": "red", "switches": ["s1", "s2"], "untagged": ["s1:p1"],
        "tagged": ["s1:up"],
    }  # fmt: skip
    assert (default["vlan"], default["name"], default["untagged"]) == (1, "default", [])
    assert seven == {
        "vlan": 7, "name": None, "domain": None, "switches": [], "untagged": [], "tagged": ["s2:1:7"],
    }  # fmt: skip
    assert red.keys() == {field.key for field in fields_of("vlan")}


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("on=no", ["s1:p2"]),
        ("native>1", ["s1:p1"]),
        ("native=100", ["s1:p1"]),
        ("tagged=100", ["s1:up"]),
        ("machine=", ["s1:up"]),
        ("machine!=m1", ["s1:p2", "s1:up"]),
        ("name=~^s2:", ["s2:1:7"]),
        ("up>0", []),
    ],
)
def test_filters(text: str, names: list[str]) -> None:
    keeps = filter_of(fields_of("port"), text)
    assert [row["name"] for row in rows() if keeps(row)] == names


@pytest.mark.parametrize("text", ["=x", "nothing=1", "name=~(", "native>high", "native"])
def test_what_is_no_filter_is_told(text: str) -> None:
    with pytest.raises(Refused) as caught:
        filter_of(fields_of("port"), text)
    assert caught.value.text.startswith(repr(text))
