"""A switch's tables: what they mean, and that nothing in them does harm."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tashi.wire.errors import Code
from zoni.switch import tables
from zoni.switch.interface import Port, SwitchError
from zoni.switch.tables import LOOKED_AT, Rows, members, read_tables, with_member

PORTS = range(1, 11)


def walks(**columns: Rows) -> dict[tuple[int, ...], Rows]:
    """Ten ports, of which 1 to 3 and 10 are in VLAN 1 without a tag, and 9 and 10 in 100 with one."""
    told: dict[str, Any] = {
        "PORT_IF": {(number,): number + 100 for number in PORTS},
        "ADMIN": {(number + 100,): 1 for number in PORTS} | {(1,): 2},
        "OPER": {(number + 100,): 1 if number < 5 else 2 for number in PORTS},
        "IF_NAME": {(number + 100,): f"Gi0/{number}".encode() for number in PORTS},
        "SPEED": {(101,): 10_000},
        "ALIAS": {(101,): "Küche".encode()},
        "PVID": {(number,): 1 for number in PORTS},
        "ACCEPT": {(number,): 2 if number == 9 else 1 for number in PORTS},
        "FILTER": {(number,): 1 for number in PORTS},
        "ROW": {(1,): 1, (100,): 1, (200,): 2},
        "VLAN_NAME": {(1,): b"default", (100,): b"red", (200,): b"not in service"},
        "EGRESS": {(1,): b"\xe0\x40", (100,): b"\x00\xc0", (200,): b"\xff\xff"},
        "UNTAGGED": {(1,): b"\xe0\x40", (100,): b"\x00\x00", (200,): b""},
    }
    return {getattr(tables, name): rows for name, rows in (told | columns).items()}


def test_what_they_mean() -> None:
    read = read_tables(walks(), 12.5)
    assert read.state.vlans == {1: "default", 100: "red"} and read.state.uptime_seconds == 12.5
    ports = read.state.ports
    assert list(ports) == [f"Gi0/{number}" for number in PORTS]
    assert ports["Gi0/1"] == Port("Gi0/1", "Küche", True, True, 10_000, 1, (1,), (), True)
    assert ports["Gi0/9"] == Port("Gi0/9", "", True, False, None, 0, (), (100,), True)
    assert ports["Gi0/10"] == Port("Gi0/10", "", True, False, None, 1, (1,), (100,), True)
    assert [port.mode for port in ports.values()] == ["access"] * 3 + ["none"] * 5 + ["trunk"] * 2
    assert (read.numbers["Gi0/9"], read.interfaces["Gi0/9"], read.width) == (9, 109, 2)


def test_names_that_are_none_or_twice_are_numbers() -> None:
    names: Rows = {(101,): b"same", (102,): b"same", (103,): b"  ", (104,): b"eth\x1b[2J\n"}
    assert list(read_tables(walks(IF_NAME=names), None).state.ports)[:5] == ["1", "2", "3", "eth?[2J?", "5"]


@pytest.mark.attack(34)
def test_a_text_of_a_switch_is_text_alone() -> None:
    nasty = "\x1b]0;owned\x07\r\n\u202e".encode() + b"\xff"
    read = read_tables(walks(ALIAS={(101,): nasty}, VLAN_NAME={(1,): nasty, (100,): nasty}), None)
    told = [read.state.ports["Gi0/1"].label, *read.state.vlans.values()]
    assert all(text.isprintable() and "owned" in text for text in told)


@pytest.mark.parametrize("number", [0, -1, 65536, 2**31 - 1])
def test_a_port_with_a_number_that_can_not_be_is_refused(number: int) -> None:
    with pytest.raises(SwitchError, match="no port has that number") as caught:
        read_tables(walks(PORT_IF={(number,): 101}), None)
    assert caught.value.code is Code.UNAVAILABLE


@given(st.binary(max_size=40), st.integers(1, 400), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_list_of_ports_changes_by_one(ports: bytes, number: int, there: bool) -> None:
    changed = with_member(ports, number, there)
    assert members(changed) == (members(ports) | {number} if there else members(ports) - {number})
    assert len(changed) >= len(ports)


VALUES = st.one_of(st.integers(-(2**31), 2**32), st.binary(max_size=40), st.tuples(st.integers(0, 9)))
ROWS = st.dictionaries(st.tuples(st.integers(0, 2**32 - 1)) | st.tuples(st.integers(1, 12)), VALUES, max_size=12)


@given(st.dictionaries(st.sampled_from(LOOKED_AT), ROWS, max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_nonsense_is_refused_or_read_and_nothing_else(nonsense: dict[tuple[int, ...], Rows]) -> None:
    try:
        read = read_tables(walks() | nonsense, None)
    except SwitchError as error:
        assert error.text
        return
    assert len(read.numbers) == len(read.state.ports)
