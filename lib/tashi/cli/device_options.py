"""The options of zoni-pdu and zoni-switch: where a device is and how it is spoken to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tashi.cli.call import Call
from tashi.cli.change import Wish, change
from tashi.cli.machine_options import place
from tashi.cli.options import Whole
from tashi.cli.password_file import password_file

_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "address": ("--address", {"metavar": "ADDRESS", "help": "Where it is: an IP address or a name."}),
    "udp": ("--udp-port", {"type": Whole(1, 65535), "help": "Its UDP port, if that is not 161."}),
    "model": ("--model", {"metavar": "MODEL", "help": "What it is."}),
    "location": ("--location", {"metavar": "RACK[/UNIT]", "help": "Where it stands."}),
    "note": ("--note", {"metavar": "TEXT", "help": "What else there is to say."}),
    "version": ("--snmp", {"type": click.Choice(["v3", "v2c"]), "help": "SNMP version; v3 unless said."}),
    "user": ("--user", {"metavar": "NAME", "help": "User of SNMP v3."}),
    "auth": ("--auth", {"type": click.Choice(["sha256", "sha512", "sha1", "md5"]), "help": "sha256 unless said."}),
    "privacy": ("--privacy", {"type": click.Choice(["aes128", "des"]), "help": "aes128 unless said."}),
    "auth_password": (
        "--auth-file",
        {"type": password_file, "metavar": "FILE", "help": "Authentication password, from FILE or -."},
    ),
    "privacy_password": (
        "--privacy-file",
        {"type": password_file, "metavar": "FILE", "help": "Privacy password, from FILE or -."},
    ),
    "community": (
        "--community-file",
        {"type": password_file, "metavar": "FILE", "help": "Community of v2c, from FILE or -."},
    ),
}
_SNMP = ("version", "user", "auth", "privacy", "auth_password", "privacy_password", "community")


def device_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb all of them, as arguments named like the request's fields."""
    for name, (flag, settings) in reversed(_OPTIONS.items()):
        function = click.option(flag, name, **settings)(function)
    return function


def change_device(call: Call, verb: str, given: dict[str, Any]) -> None:
    """Ask ``verb`` for the device named. Raises click.UsageError when several are, or nothing is to be changed."""
    names = call.names
    said = {key: value for key, value in given.items() if value is not None}
    for flag, key in (("--address", "address"), ("--base-mac", "base_mac")):
        if len(names) > 1 and said.get(key):
            raise click.UsageError(f"{flag} is of one device: give one NAME")
    if not said and verb.endswith(".set"):
        raise click.UsageError("nothing to change: give an option")
    body = place(said.pop("location", None)) | {key: value for key, value in said.items() if key not in _SNMP}
    if "udp" in body:
        body["port"] = body.pop("udp")
    if snmp := {key: said[key] for key in _SNMP if key in said}:
        body["snmp"] = snmp
    change(call, verb, [Wish(name, {"name": name} | body) for name in names])


def remove_devices(call: Call, noun: str) -> None:
    """Forget the devices named."""
    names = call.names
    if call.confirm("remove", names):
        change(call, f"{noun}.remove", [Wish(name, {"name": name}) for name in names])
