"""The driver's worker: ``python -m tashid.driver.worker SETTINGS``, the settings as JSON (see settings.py).

It serves one call at a time over the channel of tashi.run.child and may be killed at any moment. The driver is opened
at the first call, so that a hypervisor that is down fails calls and not the worker. The verbs are the driver's calls;
arguments are those of interface.py by name, a call's value is what it returns.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import msgspec

from tashi.run.child import Verb, serve, take_channel
from tashi.wire.messages import Guest
from tashid.driver.interface import Driver, DriverError
from tashid.driver.open import open_driver
from tashid.driver.settings import load_settings


class _Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class _Vm(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    vm: str


class _VmGeneration(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    vm: str
    generation: int


class _Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    guest: Guest
    generation: int


class _Remove(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    vm: str
    only_if: str = ""
    disks: list[str] = []


class _Migrate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    guest: Guest
    peer: str
    generation: int


class _Image(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    path: str
    format: str
    kernel: str = ""
    initrd: str = ""


CALLS: dict[str, tuple[type[msgspec.Struct], Callable[[Driver, Any], object]]] = {
    "facts": (_Nothing, lambda driver, _: driver.facts()),
    "inventory": (_Nothing, lambda driver, _: driver.inventory()),
    "look": (_Vm, lambda driver, a: driver.look(a.vm)),
    "start": (_Start, lambda driver, a: driver.start(a.guest, a.generation)),
    "stop": (_VmGeneration, lambda driver, a: driver.stop(a.vm, a.generation)),
    "remove": (_Remove, lambda driver, a: driver.remove(a.vm, a.only_if, a.disks)),
    "stamp": (_VmGeneration, lambda driver, a: driver.stamp(a.vm, a.generation)),
    "press_power_button": (_Vm, lambda driver, a: driver.press_power_button(a.vm)),
    "migrate": (_Migrate, lambda driver, a: driver.migrate(a.guest, a.peer, a.generation)),
    "moving": (_Vm, lambda driver, a: driver.moving(a.vm)),
    "abort_move": (_Vm, lambda driver, a: driver.abort_move(a.vm)),
    "inspect_image": (_Image, lambda driver, a: driver.inspect_image(a.path, a.format, a.kernel, a.initrd)),
}


def verbs(driver: Callable[[], Driver]) -> Mapping[str, Verb]:
    """The table for `serve`: arguments checked against their type, then the call."""

    def bind(name: str) -> Verb:
        shape, call = CALLS[name]

        def verb(args: dict[str, Any]) -> object:
            try:
                given = msgspec.convert(args, type=shape)
            except msgspec.ValidationError as error:
                raise DriverError(f"{name}: {error}") from error
            return call(driver(), given)

        return verb

    return {name: bind(name) for name in CALLS}


def main(argv: list[str]) -> None:
    """Serve until the parent closes the channel. Raises ValueError for settings that are none."""
    settings = load_settings(argv[1])
    opened = cache(lambda: open_driver(settings))
    serve(take_channel(), verbs(opened), (DriverError,))


if __name__ == "__main__":
    main(sys.argv)
