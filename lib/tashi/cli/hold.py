"""--hold[=SPAN]: queue what finds no room now, for ever or for a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from tashi.cli.options import Attached, span

Function = TypeVar("Function", bound=Callable[..., None])
_FOR_EVER = -1.0
_HELP = "Where there is no room now, wait in the queue; with =SPAN (90, 30s, 5m) no longer than that."


def hold_option(function: Function) -> Function:
    """Give a command the option, as ``hold``, for `hold_body`."""
    return click.option("--hold", cls=Attached, metavar="[=SPAN]", callback=_read, help=_HELP)(function)


def hold_body(hold: float | None) -> dict[str, Any]:
    """What a request says of it."""
    if hold is None:
        return {}
    return {"hold": True} if hold == _FOR_EVER else {"hold": True, "hold_seconds": hold}


def _read(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    if value is None:
        return None
    return span(value) if value else _FOR_EVER
