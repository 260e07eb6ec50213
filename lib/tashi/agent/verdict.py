"""Whether a machine is on, out of what each of its power paths says.

A BMC or a hypervisor speaks of the machine, an outlet only of what feeds it: a machine whose outlets are all off is
off, one with an outlet on may be either, unless there is nobody else to ask. Paths that say what can't both be true
leave it unknown, and are told: no change is ever built on a guess about which of them is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

Power = Literal["on", "off", "unknown"]


class Reading(NamedTuple):
    """What one path said; an empty ``power`` is no answer. ``at``: monotonic seconds."""

    source: str
    outlet: bool
    power: str = ""
    at: float = 0.0


class Verdict(NamedTuple):
    """``at`` is when the path said it whose word it is."""

    power: Power
    source: str = ""
    at: float = 0.0
    contradiction: str = ""


def judge(readings: Sequence[Reading]) -> Verdict:
    """What follows from the readings, those of the paths that come first in the machine's order going first."""
    outlets = [each for each in readings if each.outlet]
    others = [each for each in readings if not each.outlet]
    said = [each for each in others if each.power in ("on", "off")]
    cut = bool(outlets) and all(each.power == "off" for each in outlets)
    against = next((each for each in said if each.power != said[0].power), None)
    if against is not None:
        return Verdict("unknown", contradiction=_against(said[0], against))
    if cut and said and said[0].power == "on":
        return Verdict("unknown", contradiction=_against(said[0], outlets[0]))
    if said:
        return _as(said[0])
    fed = next((each for each in outlets if each.power == "on"), None)
    if cut:
        return _as(outlets[0])
    if fed is not None and not others:
        return _as(fed)
    return Verdict("unknown")


def _as(reading: Reading) -> Verdict:
    return Verdict("on" if reading.power == "on" else "off", reading.source, reading.at)


def _against(one: Reading, other: Reading) -> str:
    return f"{one.source} says {one.power}, {other.source} says {other.power}"
