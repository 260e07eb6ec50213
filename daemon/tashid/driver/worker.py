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

from tashi.run.child import Verb, serve, take_channel
from tashid.driver.calls import read_args
from tashid.driver.interface import Driver, DriverError
from tashid.driver.open import open_driver
from tashid.driver.settings import load_settings

CALLS: dict[str, Callable[[Driver, Any], object]] = {
    "facts": lambda driver, _: driver.facts(),
    "inventory": lambda driver, _: driver.inventory(),
    "look": lambda driver, a: driver.look(a.vm),
    "start": lambda driver, a: driver.start(a.guest, a.generation),
    "stop": lambda driver, a: driver.stop(a.vm, a.generation),
    "remove": lambda driver, a: driver.remove(a.vm, a.only_if, a.disks),
    "stamp": lambda driver, a: driver.stamp(a.vm, a.generation),
    "press_power_button": lambda driver, a: driver.press_power_button(a.vm),
    "migrate": lambda driver, a: driver.migrate(a.guest, a.peer, a.generation),
    "moving": lambda driver, a: driver.moving(a.vm),
    "abort_move": lambda driver, a: driver.abort_move(a.vm),
    "use_certificate": lambda driver, _: driver.use_certificate(),
    "inspect_image": lambda driver, a: driver.inspect_image(a.path, a.format, a.kernel, a.initrd),
}


def verbs(driver: Callable[[], Driver]) -> Mapping[str, Verb]:
    """The table for `serve`: arguments checked against their shape, then the call."""

    def bind(name: str, call: Callable[[Driver, Any], object]) -> Verb:
        def run(args: Mapping[str, Any]) -> object:
            opened, read = driver(), read_args(name, args)
            opened.cluster = read.cluster
            return call(opened, read)

        return run

    return {name: bind(name, call) for name, call in CALLS.items()}


def main(argv: list[str]) -> None:
    """Serve until the parent closes the channel. Raises ValueError for settings that are none."""
    settings = load_settings(argv[1])
    opened = cache(lambda: open_driver(settings))
    serve(take_channel(), verbs(opened), (DriverError,))


if __name__ == "__main__":
    main(sys.argv)
