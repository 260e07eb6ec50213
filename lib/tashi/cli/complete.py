"""What a shell offers when TAB is pressed: names asked of the controller, and fields.

The answer must be there within 200 ms, the start of the command included. When the controller has none by then, or
refuses, the shell offers nothing: a completion never prints an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

Printed = Callable[[Mapping[str, Any]], str]  # whose fields -o picks from, by the options typed
Completer = Callable[[click.Context, click.Parameter, str], list[str]]
PATIENCE_SECONDS = 0.1
LIMIT = 500
# What is no record of the controller's: kind of the records that it is named by -> what follows their names.
_KINDS = {"port": {"switch": ":", "machine": ""}, "vlan": dict[str, str]()}


def complete_names(noun: str) -> Completer:
    """Names of the noun's objects that the caller may see (for operations: ids)."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        where = context.params.get("controller"), context.params.get("config")
        kinds = _KINDS.get(noun, {noun: ""})
        return [f"{name}{more}" for kind, more in kinds.items() for name in live_names(kind, incomplete, *where)]

    return complete


def live_names(noun: str, start: str, controller: tuple[str, ...] | None = None, file: str | None = None) -> list[str]:
    """Up to LIMIT names that begin with ``start``; none when the controller is silent or refuses."""
    from tashi.client import client_for
    from tashi.config import load
    from tashi.wire.errors import TashiError

    key = "id" if noun == "job" else "name"
    try:
        config = load(file, ("client",))
        if controller:
            config = config._replace(client=config.client._replace(controller=controller))
        client = client_for(config, PATIENCE_SECONDS)
        rows = client.ask("list", {"noun": noun, "format": "tabs", "fields": key, "limit": LIMIT}).rows
    except (TashiError, OSError):
        return []
    return [name for name in rows.decode().split() if name.startswith(start)]


def complete_fields(prints: Printed) -> Completer:
    """Keys for -o, after the last comma typed."""

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
        from tashi.cli.table import fields_of

        head, comma, last = incomplete.rpartition(",")
        plus = "+" if last.startswith("+") else ""
        keys = [field.key for field in fields_of(prints(context.params))] + ([] if head else ["help"])
        return [f"{head}{comma}{plus}{key}" for key in keys if key.startswith(last[len(plus) :])]

    return complete
