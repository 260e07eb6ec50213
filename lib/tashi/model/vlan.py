"""VLAN numbers: which there are, which a domain may have, and how sets of them are written: ``100,200-203``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

LEAST, MOST = 1, 4094  # IEEE 802.1Q: 0 is a priority tag, 4095 is reserved
DEFAULT = 1  # where a port is that nobody has put anywhere
RESERVED = range(1002, 1006)  # FDDI and token ring; there are switches that can't destroy them
SET_MAX = 64  # of one domain
NAME_MAX = 32  # dot1qVlanStaticName
_RANGE = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?", re.ASCII)


def check_number(number: int) -> int:
    """The number, if a port may be in it. Raises ValueError that says why not."""
    if not LEAST <= number <= MOST:
        raise ValueError(f"{number} is no VLAN: they are {LEAST} to {MOST}")
    if number in RESERVED:
        raise ValueError(f"VLAN {number} is reserved ({RESERVED[0]} to {RESERVED[-1]})")
    return number


def check_vlan(number: int) -> int:
    """The number, if a domain may have it. Raises ValueError that says why not."""
    if number == DEFAULT:
        raise ValueError(f"VLAN {number} is where ports are that belong to nobody")
    return check_number(number)


def parse_vlans(text: str, check: Callable[[int], int] = check_vlan) -> tuple[int, ...]:
    """``100,200-203`` as numbers, each once, in the order given. Raises ValueError naming the bad one."""
    found: dict[int, None] = {}
    for word in text.split(","):
        match = _RANGE.fullmatch(word.strip())
        if match is None:
            raise ValueError(f"{word[:20]!r} is no VLAN: write 100, or 100,200-203")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise ValueError(f"{word!r}: the range ends before it begins")
        for number in range(first, min(last, first + SET_MAX) + 1):
            check(number)
        found |= dict.fromkeys(range(first, last + 1))
    if len(found) > SET_MAX:
        raise ValueError(f"{len(found)} VLANs, the limit is {SET_MAX}")
    return tuple(found)


def vlans_text(vlans: Iterable[int]) -> str:
    """As `parse_vlans` reads it: neighbours become a range."""
    runs: list[list[int]] = []
    for number in vlans:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else str(run[0]) for run in runs)


def vlan_name(domain: str) -> str:
    """What the VLANs of a domain of this name are called on a switch."""
    return domain[:NAME_MAX]
