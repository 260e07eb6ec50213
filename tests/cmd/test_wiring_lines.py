"""Findings as lines and back: through every form that is printed, cut or not, and held against records of by now."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tashi.cli.output import Output
from tashi.cli.table import fields_of, print_records
from tashi.cli.wiring_lines import Line, plug_text, plugged, read_lines, record
from tashi.model.wiring import Finding, Machine, Nic, Plug, Verdict

MAC1, MAC2 = "52:54:00:00:00:01", "52:54:00:00:00:02"
FOUND = [
    Finding("m1", Nic(MAC1, "eth0"), Verdict.CONTRADICTS, "s1:Slot 0/1", "s1:1:7", "lldp,mac", "also heard at s2:p8"),
    Finding("m2", Nic(MAC2), Verdict.NEW, "s1:p2", "", "mac"),
    Finding("m3", Nic("", "eth7"), Verdict.UNHEARD, "", "s1:p3", "", "no NIC of it is known to be there"),
]
LINES = [
    Line("m1", MAC1, "s1:Slot 0/1", "s1:1:7"),
    Line("m2", MAC2, "s1:p2", ""),
    Line("m3", "", "", "s1:p3"),
]


def printed(found: Sequence[Finding], style: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, write_through=True))
    output = Output("zoni-discover", style, "", False)
    print_records(output, fields_of("wiring"), [record(each) for each in found])
    output.flush()
    return written.getvalue().decode().splitlines()


@pytest.mark.parametrize("style", ["table", "tabs", "json"])
def test_what_is_printed_is_read(style: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = printed(FOUND, style, monkeypatch)
    assert read_lines(lines) == LINES
    assert read_lines([line for line in lines if MAC2 in line]) == LINES[1:2], "the others, and the header, cut away"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("hello world", "line 1: not a finding, which is printed as NAME MAC VERDICT PORT WAS"),
        ('{"name": "m1"', "line 1: not JSON"),
        ('{"name": "m1", "mac": "x", "port": "s1:p1"}', "line 1: was is missing"),
        ('{"name": "m1", "mac": 7, "port": null, "was": null}', "line 1: mac is missing"),
        ("[" * 100_000, "line 1: not a finding"),
        ('{"a":' * 100_000, "line 1: not JSON"),
    ],
)
def test_what_is_no_finding_is_told(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}"):
        read_lines([text])


def test_an_error_of_another_command_is_passed_over() -> None:
    assert read_lines(["", json.dumps({"name": "s1", "error": {"code": "unavailable"}})]) == []


@given(st.text(max_size=60))
def test_any_line_is_read_or_refused(text: str) -> None:
    try:
        read_lines([text])
    except ValueError as error:
        assert str(error).startswith("line 1: ")


ETH0, ETH1 = Nic(MAC1, "eth0"), Nic(MAC2, "eth1")


def after(machine: Machine, *lines: Line) -> list[str]:
    return [plug_text(plug) for plug in plugged(machine, lines)]


def test_a_line_moves_its_nic_and_no_other() -> None:
    two = Machine("m1", (ETH0, ETH1), (Plug("s1", "p1", "eth0"), Plug("s1", "p2", MAC2)))
    moved = Line("m1", MAC2, "s2:1:7", "s1:p2")
    assert after(two, moved) == ["s1:p1,nic=eth0", "s2:1:7,nic=eth1"]
    assert after(two, moved, Line("m1", MAC1, "s1:p2", "s1:p1")) == ["s2:1:7,nic=eth1", "s1:p2,nic=eth0"]
    assert after(two, Line("m1", MAC1, "s1:p1", "s1:p1")) == ["s1:p1,nic=eth0", f"s1:p2,nic={MAC2}"], "it is so"


def test_a_port_without_a_nic_gets_one() -> None:
    one = Machine("m1", (ETH0,), (Plug("s1", "p1"),))
    assert after(one, Line("m1", MAC1, "s1:p3", "s1:p1")) == ["s1:p3,nic=eth0"]
    assert after(Machine("m1", (Nic(MAC1),)), Line("m1", MAC1, "s1:p3", "")) == [f"s1:p3,nic={MAC1}"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (Line("m1", MAC1, "s1:p3", "s1:p2"), "its eth0 is on s1:p1 by now, not on s1:p2"),
        (Line("m1", MAC1, "s1:p3", ""), "its eth0 is on s1:p1 by now, not on none"),
        (Line("m1", MAC1, "s1:p3", "s1:p3"), "its eth0 is on s1:p1 by now, not on s1:p3"),
        (Line("m1", MAC2, "s1:p3", ""), f"it has no NIC {MAC2} by now"),
        (Line("m1", MAC1, "p3", "s1:p1"), "'p3' is not a port: SWITCH:PORT"),
    ],
)
def test_a_line_that_is_out_of_date_is_refused(line: Line, why: str) -> None:
    with pytest.raises(ValueError, match=f"^{why}$"):
        after(Machine("m1", (ETH0,), (Plug("s1", "p1"),)), line)
