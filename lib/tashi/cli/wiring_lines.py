"""A finding of `tashi.model.wiring` as a line of zoni-discover, and back: as JSON, with TABs, or as a table for people.

Whoever reads the lines may have cut any of them. What a line was made from goes with it, ``was``, so that one that is
out of date is seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from tashi.model.wiring import Finding, Machine, Nic, Plug, plug_of, said

NOTHING = ("-", "")
Record = dict[str, Any]


class Line(NamedTuple):
    """What is needed to carry a finding out; ``port`` is empty where nothing is proposed."""

    machine: str
    mac: str
    port: str
    was: str


def record(found: Finding) -> Record:
    """A finding as it is printed."""
    return {
        "name": found.machine,
        "mac": found.nic.mac or None,
        "verdict": str(found.verdict),
        "port": found.port or None,
        "was": found.was or None,
        "by": found.by or None,
        "nic": found.nic.name or None,
        "why": found.why or None,
    }


def read_lines(lines: Iterable[str]) -> list[Line]:
    """Every line, in order. Raises ValueError that names the line and what is wrong."""
    found = []
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        try:
            line = _of_record(text) if text.lstrip().startswith("{") else _of_words(text)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if line is not None:
            found.append(line)
    return found


def _of_record(text: str) -> Line | None:
    """None for a record that tells of an error: who wrote it has told already."""
    try:
        told: Record = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON, which -j prints: {error}") from None
    if "error" in told:
        return None
    values = []
    for key in ("name", "mac", "port", "was"):
        value = told.get(key, 0)
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{key} is missing: this is no finding of zoni-discover")
        values.append(value or "")
    return Line(*values)


def _of_words(text: str) -> Line | None:
    """None for the header. In a table there are two blanks and more between fields: a port's name may have one."""
    words = text.rstrip("\n").split("\t") if "\t" in text else [each for each in text.split("  ") if each.strip()]
    words = [each.strip() for each in words]
    if words[:3] == ["NAME", "MAC", "VERDICT"]:
        return None
    if len(words) < 5:
        raise ValueError("not a finding, which is printed as NAME MAC VERDICT PORT WAS and more")
    name, mac, _, port, was = ("" if each in NOTHING else each for each in words[:5])
    return Line(name, mac, port, was)


def plugged(machine: Machine, lines: Sequence[Line]) -> list[Plug]:
    """All ports of a machine once its lines are carried out. Raises ValueError for a line that is out of date."""
    plugs = list(machine.plugs)
    for line in lines:
        nic = next((each for each in machine.nics if each.mac == line.mac), None)
        if nic is None:
            raise ValueError(f"it has no NIC {line.mac or 'without an address'} by now")
        switch, colon, port = line.port.partition(":")
        if not (switch and colon and port):
            raise ValueError(f"{line.port[:60]!r} is not a port: SWITCH:PORT")
        before = plug_of(machine, nic)
        was = said(before.place) if before is not None else ""
        if was == line.port:
            continue
        if was != line.was:
            raise ValueError(f"its {nic.name or nic.mac} is on {was or 'no port'} by now, not on {line.was or 'none'}")
        after = Plug(switch, port, _called(nic))
        same = [plug for plug in plugs if not plug.nic and plug.place == after.place]
        plugs = [plug for plug in plugs if plug != before and plug not in same] + [after]
    return plugs


def _called(nic: Nic) -> str:
    return nic.name or nic.mac


def plug_text(plug: Plug) -> str:
    """As zoni-add has it."""
    return said(plug.place) + (f",nic={plug.nic}" if plug.nic else "")
