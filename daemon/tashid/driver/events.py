"""The hypervisor's events: ``python -m tashid.driver.events SETTINGS``, the settings as JSON (see settings.py).

It says one JSON line for each thing that happens, over the channel of tashi.run.child, and ends with its parent:

    {"connected": true}                             and false with "why"; the way back is tried for ever
    {"vm": "v-3", "event": "stopped", "detail": 1}  a guest's life cycle: ours by id, a foreign one by its own name;
                                                    "why" where a look could not tell that

An event is a hint to look; what is so, only a look tells. Nobody promises that each change has one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial

from tashi.run.child import say, take_channel
from tashid.driver.settings import DriverSettings, load_settings

FAKE_SECONDS = 0.2  # between two looks at a fake world

Say = Callable[[dict[str, object]], None]


def main(argv: list[str]) -> None:
    """Speak until the parent dies or hears no more. Raises ValueError for settings that are none."""
    settings = load_settings(argv[1])
    tell: Say = partial(say, take_channel())
    try:
        if settings.driver == "fake":
            watch_fake(settings, tell)
        else:
            from tashid.driver.libvirt import watch

            watch(settings.uri, tell)
    except (BrokenPipeError, ConnectionResetError):
        return  # nobody listens


def watch_fake(settings: DriverSettings, tell: Say) -> None:
    """Look at the host's guests again and again, and tell what is different."""
    from tashid.driver.fake import World

    world = World(settings.world)
    tell({"connected": True})
    before = {vm: guest.state for vm, guest in world.guests(settings.host).items()}
    while True:
        world.clock.sleep(FAKE_SECONDS)
        now = {vm: guest.state for vm, guest in world.guests(settings.host).items()}
        for vm in sorted(before.keys() | now.keys()):
            if before.get(vm) != now.get(vm):
                tell({"vm": vm, "event": _WORDS[now.get(vm, "absent")], "detail": 0})
        before = now


_WORDS = {"running": "started", "paused": "suspended", "stopped": "stopped", "absent": "undefined"}


if __name__ == "__main__":
    main(sys.argv)
