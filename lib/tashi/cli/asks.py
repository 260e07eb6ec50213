"""What a machine asks of its host: the options that tvm-create, tashi-explain and tashi-slots have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tashi.cli.options import Attached, Whole, pairs, size

_OPTIONS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "labels": (
        ("--label",),
        {"multiple": True, "metavar": "KEY=VALUE", "help": "On hosts with this label alone; repeatable."},
    ),
    "features": (
        ("--feature",),
        {"multiple": True, "metavar": "FEATURE", "help": "On hosts that have it alone, as accel=kvm; repeatable."},
    ),
    "versions": (
        ("--at-least",),
        {"multiple": True, "metavar": "PROGRAM=VERSION", "help": "Where hypervisor, libvirt or kernel is no older."},
    ),
    "group": (("--group",), {"metavar": "GROUP", "help": "Be one of this group of machines."}),
    "spread": (
        ("--spread",),
        {"metavar": "LABEL", "help": "Spread the group evenly over the values of a label, or host."},
    ),
    "skew": (
        ("--skew",),
        {"type": Whole(1, 10_000), "metavar": "N", "help": "With --spread: how uneven it may be; else 1."},
    ),
    "apart": (
        ("--anti-affinity",),
        {
            "cls": Attached,
            "multiple": True,
            "metavar": "[=GROUP]",
            "help": "Share no host with others of the group, or of GROUP.",
        },
    ),
    "together": (
        ("--affinity",),
        {"multiple": True, "metavar": "GROUP", "help": "On hosts where GROUP is, once it is anywhere; repeatable."},
    ),
    "away": (("--away",), {"multiple": True, "metavar": "GROUP", "help": "Rather not where GROUP is; repeatable."}),
    "near": (("--near",), {"multiple": True, "metavar": "GROUP", "help": "Rather where GROUP is; repeatable."}),
    "policy": (
        ("--policy",),
        {"type": click.Choice(["pack", "spread"]), "help": "Fill hosts or even them out; else as the cluster does."},
    ),
}


def asks_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options, as arguments for `asks_body`."""
    for name, (flags, settings) in reversed(_OPTIONS.items()):
        function = click.option(name, *flags, **settings)(function)
    return function


def asks_body(**given: Any) -> dict[str, Any]:
    """The request's part that says so; empty when nothing was asked."""
    for key in ("group", "spread"):
        if given[key] == "":
            raise click.UsageError(f"--{key}: no name")
    said = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items() if value}
    if labels := pairs("--label", given["labels"]):
        said["labels"] = labels
    if versions := pairs("--at-least", given["versions"]):
        said["versions"] = versions
    if said.get("skew") and not said.get("spread"):
        raise click.UsageError("--skew is about --spread LABEL")
    return {"asks": said} if said else {}


def demand_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the size of a machine that might be, and what it asks, as arguments for `demand_body`."""
    function = asks_options(function)
    function = click.option("--disk", type=size, help="Size of its disk; the image's own when not given.")(function)
    function = click.option("--image", metavar="IMG", help="Image that its disk would lie on.")(function)
    function = click.option("--memory", type=size, help="Memory: 512M, 4G.")(function)
    return click.option("--cores", type=Whole(1, 4096), help="Virtual cores.")(function)


def demand_body(
    names: tuple[str, ...], cores: int | None, memory: int | None, image: str | None, disk: int | None, **asks: Any
) -> dict[str, Any]:
    """A request about a machine that is there, or about one of this size. Raises click.UsageError for both, or none."""
    asked = asks_body(**asks)
    sized = {"cores": cores, "memory_bytes": memory, "image": image, "disk_bytes": disk}
    given = {key: value for key, value in sized.items() if value is not None}
    if len(names) > 1:
        raise click.UsageError("one NAME at a time")
    if names:
        if given or asked:
            raise click.UsageError("NAME has its size and its rules; give a NAME, or --cores and --memory")
        return {"vm": names[0]}
    if cores is None or memory is None:
        raise click.UsageError("which machine? Give --cores and --memory, or the NAME of one that is there")
    return given | asked
