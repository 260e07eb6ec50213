"""A switch driver's calls as they travel: each verb, the shape of its arguments, and what is done.

One table; a verb that is not in it does not exist. Every call names the path to its switch, and ``seconds`` that a
change may take until it is seen and saved; the caller's own deadline is later by what taking back may need.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from tashi.run.clock import Clock
from tashi.wire.errors import Code
from tashi.wire.switching import PortName
from zoni.calls import SECONDS, Seconds, Verb
from zoni.pauses import Steps
from zoni.switch import change
from zoni.switch.interface import Capability, Driver, SwitchError, stations
from zoni.switch.paths import AnyPath
from zoni.switch.plan import Goal, Rules
from zoni.switch.probe import probe

BaseMac = Annotated[str, Meta(max_length=17)]
WORKER = [sys.executable, "-P", "-m", "zoni.switch.worker"]


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Arguments of a call that has no more."""

    path: AnyPath
    seconds: Seconds = SECONDS


class Change(Shape, frozen=True, kw_only=True):
    """``base_mac``: which switch it has to be; empty: any, but tell which; None: don't ask."""

    goal: Goal
    rules: Rules = Rules()
    base_mac: BaseMac | None = None


class Close(Shape, frozen=True, kw_only=True):
    ports: Annotated[list[PortName], Meta(min_length=1, max_length=1024)]


def _read(
    capability: Capability | None, read: Callable[[Driver], object]
) -> Callable[[Driver, Any, Clock], Steps[object]]:
    def call(driver: Driver, _: Any, __: Clock) -> Steps[object]:
        if capability is not None and capability not in driver.capabilities:
            raise SwitchError(Code.IMPOSSIBLE, f"{driver.where}: can't do {capability}")
        yield 0.0
        return read(driver)

    return call


CALLS: dict[str, Verb] = {
    "identity": Verb(Shape, False, _read(None, lambda driver: driver.identity())),
    "look": Verb(Shape, False, _read(None, lambda driver: driver.look())),
    "macs": Verb(Shape, False, _read(Capability.MACS, lambda driver: stations(driver.macs()))),
    "neighbours": Verb(Shape, False, _read(Capability.NEIGHBOURS, lambda driver: driver.neighbours())),
    "probe": Verb(Shape, False, lambda driver, _, __: probe(driver)),
    "plan": Verb(Change, False, lambda driver, a, _: change.foresee(driver, a.goal, a.rules, a.base_mac)),
    "change": Verb(
        Change, True, lambda driver, a, clock: change.change(driver, a.goal, a.rules, a.base_mac, a.seconds, clock)
    ),
    "close": Verb(Close, True, lambda driver, a, clock: change.close(driver, a.ports, clock)),
    "save": Verb(Shape, True, _read(Capability.SAVE, lambda driver: driver.save())),
}
