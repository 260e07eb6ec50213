"""Standard input, which one thing can be read from: names, a file or a password."""

from __future__ import annotations

import sys

import click

_READ = "tashi.stdin"  # what the context of a call notes once it was read


def read_standard_input(size: int = -1) -> bytes:
    """All of it, or its first ``size`` bytes. Raises click.UsageError when it is closed, or was read already."""
    if sys.stdin is None:
        raise click.UsageError("standard input is closed")
    context = click.get_current_context(silent=True)
    if context is not None:
        if context.meta.get(_READ):
            raise click.UsageError("-: standard input is read already: give a file")
        context.meta[_READ] = True
    return sys.stdin.buffer.read(size)
