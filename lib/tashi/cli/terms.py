"""thost-set: on what terms placement has a host, from options to the request's body."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import click

from tashi.cli.options import pairs, size


def ratio(text: str) -> float:
    """A click type: how much may be promised of one, or ``default`` for the cluster's own."""
    if text == "default":
        return 0.0
    if re.fullmatch(r"[0-9]{1,2}(\.[0-9]{1,3})?", text, re.ASCII) and 0.1 <= float(text) <= 64:
        return float(text)
    raise click.BadParameter(f"{text!r} is no ratio: write 1, 1.5 or 4, from 0.1 to 64, or default")


def amount(text: str) -> int:
    """A click type: bytes, and 0 for none."""
    return 0 if text == "0" else size(text)


def terms_body(
    labels: tuple[str, ...], users: tuple[str, ...], groups: tuple[str, ...], open_: bool, **numbers: Any
) -> dict[str, Any]:
    """What a request says of it. Raises click.UsageError for nothing, and for what contradicts itself."""
    given = {key: value for key, value in numbers.items() if value is not None}
    if labels:
        given["labels"] = pairs("--label", labels)
    reserved = _names(users, groups)
    if open_ and (reserved or "until_wall" in given):
        raise click.UsageError("--open, or --reserve-user, --reserve-group and --until, not both")
    if open_:
        reserved = {"users": [], "groups": []}
    if not given and not reserved:
        raise click.UsageError("nothing to change: give --label, a reservation, a ratio or what is kept")
    return given | reserved


def _names(users: Sequence[str], groups: Sequence[str]) -> dict[str, list[str]]:
    return {"users": list(users), "groups": list(groups)} if users or groups else {}
