"""The options that set a quota: a number or a size, ``none`` for no limit, ``default`` for what everybody has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

_WORDS = {"default": -1, "none": -2}  # what the wire has for them


def _count(text: str) -> int:
    """A click type: how many, or one of the words."""
    if text in _WORDS:
        return _WORDS[text]
    if not (text.isascii() and text.isdecimal()) or len(text) > 15:
        raise click.BadParameter(f"{text!r} is no number: write 10, none or default")
    return int(text)


def _size(text: str) -> int:
    """A click type: bytes, or one of the words."""
    from tashi.cli.options import size

    return _WORDS[text] if text in _WORDS else 0 if text == "0" else size(text)


_OPTIONS: dict[str, tuple[str, Callable[[str], int], str, str]] = {
    "vms": ("--vms", _count, "N", "At most so many VMs; none: any number, default: what is set for everybody."),
    "cores": ("--cores", _count, "N", "At most so many cores in VMs neither stopped nor failed."),
    "memory_bytes": ("--memory", _size, "SIZE", "At most so much memory in VMs neither stopped nor failed: 64G."),
    "disk_bytes": ("--disk", _size, "SIZE", "At most so much disk in the pool: 1T."),
}


def quota_options(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command ``--vms``, ``--cores``, ``--memory`` and ``--disk``, as arguments named like fields."""
    for name, (flag, kind, metavar, text) in reversed(_OPTIONS.items()):
        function = click.option(flag, name, type=kind, metavar=metavar, help=text)(function)
    return function


def limits(**given: int | None) -> dict[str, Any]:
    """The body's part that says so; empty when nothing was said."""
    said = {key: number for key, number in given.items() if number is not None}
    return {"limits": said} if said else {}


def groups(typed: tuple[str, ...]) -> dict[str, Any]:
    """``--group A --group B`` as the body's part; ``--group none``: in no group."""
    if "none" in typed and len(typed) > 1:
        raise click.UsageError("--group none, or names of groups, not both")
    return {"groups": [] if typed == ("none",) else list(typed)} if typed else {}
