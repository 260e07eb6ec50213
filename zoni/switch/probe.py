"""What a switch is, as it says itself: nothing is judged, and nothing changed."""

from __future__ import annotations

from msgspec import Struct

from zoni.pauses import Steps
from zoni.switch.interface import Capability, Driver, Identity


class Probed(Struct, frozen=True):
    """``doors``: ways into it that should not be there, in words."""

    identity: Identity
    capabilities: list[Capability]
    doors: list[str]


def probe(driver: Driver) -> Steps[Probed]:
    """Ask it who it is, and knock at its doors as a stranger would."""
    yield 0.0
    return Probed(driver.identity(), sorted(driver.capabilities), driver.weaknesses())
