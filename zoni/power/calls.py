"""A power driver's calls as they travel: each verb, the shape of its arguments, and what is done.

One table; a verb that is not in it does not exist. Every call names its path, and ``seconds`` that a change may take
until it is seen; the caller's own deadline is a little later, for a device that does not answer at all.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from tashi.run.clock import Clock
from zoni.calls import SECONDS, Seconds, Verb
from zoni.pauses import Steps
from zoni.power import change
from zoni.power.interface import Boot, Capability, Device, Driver
from zoni.power.paths import AnyPath

WORKER = [sys.executable, "-P", "-m", "zoni.power.worker"]


class Shape(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Arguments of a call that has no more."""

    path: AnyPath
    seconds: Seconds = SECONDS


class Cycle(Shape, frozen=True, kw_only=True):
    rest_seconds: Seconds = 1.0


class SetBoot(Shape, frozen=True, kw_only=True):
    device: Device
    once: bool = False
    uefi: bool | None = None


class Log(Shape, frozen=True, kw_only=True):
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 100


class SetLight(Shape, frozen=True, kw_only=True):
    on: bool


class Enroll(Shape, frozen=True, kw_only=True):
    uuid: Annotated[str, Meta(max_length=64)] = ""
    serial: Annotated[str, Meta(max_length=64)] = ""


def _read(
    capability: Capability | None, read: Callable[[Driver, Any], object]
) -> Callable[[Driver, Any, Clock], Steps[object]]:
    def call(driver: Driver, args: Any, _: Clock) -> Steps[object]:
        change.need(driver, capability)
        yield 0.0
        return read(driver, args)

    return call


CALLS: dict[str, Verb] = {
    "power": Verb(Shape, False, _read(None, lambda driver, _: driver.power())),
    "identity": Verb(Shape, False, _read(Capability.IDENTITY, lambda driver, _: driver.identity())),
    "boot": Verb(Shape, False, _read(Capability.BOOT, lambda driver, _: driver.boot())),
    "sensors": Verb(Shape, False, _read(Capability.SENSORS, lambda driver, _: driver.sensors())),
    "log": Verb(Log, False, _read(Capability.LOG, lambda driver, a: driver.log(a.limit))),
    "enroll": Verb(Enroll, False, lambda driver, a, _: change.enroll(driver, a.uuid, a.serial)),
    "on": Verb(Shape, True, lambda driver, a, clock: change.switch(driver, "on", a.seconds, clock)),
    "off": Verb(Shape, True, lambda driver, a, clock: change.switch(driver, "off", a.seconds, clock)),
    "soft": Verb(Shape, True, lambda driver, a, clock: change.switch(driver, "soft", a.seconds, clock)),
    "reset": Verb(Shape, True, lambda driver, a, clock: change.switch(driver, "reset", a.seconds, clock)),
    "cycle": Verb(Cycle, True, lambda driver, a, clock: change.cycle(driver, a.seconds, a.rest_seconds, clock)),
    "set_boot": Verb(
        SetBoot,
        True,
        lambda driver, a, clock: change.set_boot(driver, Boot(a.device, a.once, a.uefi), a.seconds, clock),
    ),
    "set_light": Verb(SetLight, True, lambda driver, a, _: change.set_light(driver, a.on)),
}
