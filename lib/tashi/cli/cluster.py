"""A cluster's snapshot as lines: the controller's own, a file's, or standard input's; what commands make of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

import click

from tashi.cli.call import Call
from tashi.cli.standard_input import read_standard_input

PAGE = 300  # lines of a page: some ms of the controller
T = TypeVar("T")

cluster_option = click.option(
    "--cluster",
    "source",
    metavar="FILE",
    type=click.Path(allow_dash=True),
    help="Look at the cluster in FILE, as tashi-snapshot prints it; - is standard input.",
)


def read_from(call: Call, source: str | None, read: Callable[[Iterable[str]], T]) -> T:
    """What ``read`` makes of the lines of a file, or else of the live cluster.

    Raises click.UsageError that names the file, where it raises ValueError.
    """
    live = (line for page in live_pages(call) for line in page.decode().splitlines())
    lines = live if source is None else file_lines(source)
    try:
        return read(lines)
    except ValueError as error:
        raise click.UsageError(
            f"{'standard input' if source == '-' else source or 'the controller'}: {error}"
        ) from error


def live_pages(call: Call) -> Iterator[bytes]:
    """The cluster as it is now, from the controller: some lines at a time."""
    cursor = ""
    while True:
        page = call.client.ask("snapshot", {"cursor": cursor, "limit": PAGE})
        yield page.rows
        cursor = page.ok.get("cursor", "")
        if not cursor:
            return


def file_lines(source: str) -> list[str]:
    """The lines of a file, or of standard input. Raises click.UsageError for what is no text, OSError otherwise."""
    if source == "-":
        data = read_standard_input()
    else:
        with open(source, "rb") as file:
            data = file.read()
    try:
        return data.decode().splitlines()
    except UnicodeDecodeError as error:
        name = "standard input" if source == "-" else source
        raise click.UsageError(f"{name}: not text in UTF-8: {error}") from error
