"""The options of zoni-add and zoni-set that say what a machine is, and the request's part that they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tashi.cli.options import Whole, size
from tashi.cli.password_file import password_file
from tashi.wire.errors import Code, Refused

NONE = "none"
_LISTS = {"disks": "--disk", "nics": "--nic", "power_paths": "--power", "ports": "--port"}
_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "location": ("--location", {"metavar": "RACK[/UNIT]", "help": "Where it stands."}),
    "uuid": ("--uuid", {"metavar": "UUID", "help": "Its firmware's UUID."}),
    "serial": ("--serial", {"metavar": "TEXT", "help": "Its serial number."}),
    "vendor": ("--vendor", {"metavar": "TEXT", "help": "Who made it."}),
    "model": ("--model", {"metavar": "TEXT", "help": "What its maker calls it."}),
    "cores": ("--cores", {"type": Whole(1, 4096), "help": "How many cores it has."}),
    "memory_bytes": ("--memory", {"type": size, "metavar": "SIZE", "help": "How much memory it has: 512G."}),
    "disks": ("--disk", {"multiple": True, "metavar": "[KIND:]SIZE", "help": "A disk: 2T, nvme:2T; repeatable."}),
    "nics": ("--nic", {"multiple": True, "metavar": "[NAME=]MAC", "help": "A NIC; repeatable."}),
    "firmware": ("--firmware", {"type": click.Choice(["bios", "uefi"]), "help": "What it boots by."}),
    "flags": ("--flag", {"multiple": True, "metavar": "WORD", "help": "A word to find it by; repeatable."}),
    "power_paths": (
        "--power",
        {"multiple": True, "metavar": "KIND:WHERE", "help": "A way to its power, the first tried first; repeatable."},
    ),
    "ports": (
        "--port",
        {"multiple": True, "metavar": "SWITCH:PORT[,nic=NIC]", "help": "Where a NIC is plugged in; repeatable."},
    ),
    "user": ("--user", {"metavar": "NAME", "help": "User of its BMC."}),
    "password": (
        "--password-file",
        {"type": password_file, "metavar": "FILE", "help": "That user's password, from FILE or -."},
    ),
    "kg": (
        "--kg-file",
        {"type": password_file, "metavar": "FILE", "help": "The BMC's own key of IPMI 2.0, from FILE or -."},
    ),
    "host": ("--host", {"metavar": "HOST", "help": "VM host that runs on it; none: none does."}),
    "agent": ("--agent", {"metavar": "AGENT", "help": "Zoni agent that reaches it; none: the only one there is."}),
    "note": ("--note", {"metavar": "TEXT", "help": "What else there is to say."}),
}
ITS_OWN = ("uuid", "serial", "nics", "power_paths", "ports", "host")  # what two machines can't both have


def machine_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command all of them, as arguments named like the request's fields."""
    for name, (flag, settings) in reversed(_OPTIONS.items()):
        function = click.option(flag, name, **settings)(function)
    return function


def parts(given: dict[str, Any]) -> dict[str, Any]:
    """The request's part of what was typed; what was not is left out. Raises click.UsageError."""
    said = {name: value for name, value in given.items() if value is not None and value != ()}
    said |= place(said.pop("location", None))
    for name, flag in _LISTS.items():
        if name in said:
            if NONE in said[name] and len(said[name]) > 1:
                raise click.UsageError(f"{flag} none, or what it has, not both")
            said[name] = [] if said[name] == (NONE,) else list(said[name])
    if "flags" in said:
        said["flags"] = list(said["flags"])
    return said | {name: "" for name in ("host", "agent") if said.get(name) == NONE}


def place(location: str | None) -> dict[str, str]:
    """``rack7/12`` as rack and unit; without a unit that stays as it is."""
    if location is None:
        return {}
    rack, slash, unit = location.partition("/")
    return {"rack": rack, "unit": unit} if slash or not location else {"rack": rack}


def for_one(names: list[str], given: dict[str, Any]) -> None:
    """Refuse to give several machines what only one of them can have."""
    own = [name for name in ITS_OWN if given.get(name)]
    if len(names) > 1 and own:
        raise Refused(Code.BAD_REQUEST, f"{_OPTIONS[own[0]][0]} is of one machine: give one NAME")
