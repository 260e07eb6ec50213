"""The options of zoni-switch add and set that a PDU does not have, and the request's part that they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tashi.cli.device_options import device_options

_OPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "driver": (
        "--driver",
        {"type": click.Choice(["snmp", "ovs", "linux-bridge", "fake"]), "help": "How it is driven; snmp unless said."},
    ),
    "uplinks": (
        "--uplink",
        {"multiple": True, "metavar": "PORT", "help": "A port that leads to another switch; repeatable."},
    ),
    "base_mac": ("--base-mac", {"metavar": "MAC", "help": "Which switch it is; none: whichever answers next."}),
    "agent": ("--agent", {"metavar": "AGENT", "help": "Zoni agent that reaches it; none: the only one there is."}),
}


def switch_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a verb all of them and those of every device, as arguments named like the request's fields."""
    for name, (flag, settings) in reversed(_OPTIONS.items()):
        function = click.option(flag, name, **settings)(function)
    return device_options(function)


def said(given: dict[str, Any]) -> dict[str, Any]:
    """What the request says of a switch alone; ``none`` is nothing. Raises click.UsageError."""
    if "none" in given["uplinks"] and len(given["uplinks"]) > 1:
        raise click.UsageError("--uplink none, or its uplinks, not both")
    uplinks = [port for port in given["uplinks"] if port != "none"] if given["uplinks"] else None
    return given | {"uplinks": uplinks} | {key: "" for key in ("base_mac", "agent") if given[key] == "none"}
