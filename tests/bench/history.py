"""The lines of a trace, as `trace` makes them or anybody else: what they must have, and what it means.

::

    {"op":"host","id":"h-1","cores":32,"memory_mib":131072,"disk_gib":1000,"rack":"r-1"}
    {"op":"create","id":"v-1","cores":2,"memory_mib":6144,"disk_gib":40,"group":"g-1","spread":"rack"}
    {"op":"delete","id":"v-1"}

Hosts come first. ``spread`` is ``host``, or a field that hosts have, like ``rack``: no value of it may have more
members of the group than any other has, but one. Other fields mean nothing, and so do lines whose ``op`` is ``trace``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

Line = Mapping[str, Any]
Name = str | int

OPS = ("trace", "host", "create", "delete")
SIZED = ("host", "create")


class Parts(NamedTuple):
    """What a host offers, or a VM asks for."""

    cores: int
    memory_mib: int
    disk_gib: int


def read(text: str) -> Line:
    """One line. Raises ValueError that says what is wrong with it."""
    line = json.loads(text)
    if not isinstance(line, dict) or line.get("op") not in OPS:
        raise ValueError(f"it has no op, one of {', '.join(OPS)}")
    if line["op"] != "trace" and type(line.get("id")) not in (str, int):
        raise ValueError("it has no id")
    for name in Parts._fields if line["op"] in SIZED else ():
        size = line.get(name)
        if type(size) is not int or size < 0:
            raise ValueError(f"{line['id']}: {name} is {size!r}, not a whole number of 0 or more")
    return line


def parts_of(line: Line) -> Parts:
    """The sizes of a host or of a VM."""
    return Parts(line["cores"], line["memory_mib"], line["disk_gib"])


def rule_of(create: Line) -> tuple[str, str]:
    """(group, what its members are spread over); two empty texts when there is no such rule."""
    group, spread = create.get("group"), create.get("spread")
    return (str(group), str(spread)) if group and spread else ("", "")


def place_of(host: Line, spread: str) -> str:
    """The value that a host has of what a group is spread over."""
    return str(host.get("id" if spread == "host" else spread, ""))
