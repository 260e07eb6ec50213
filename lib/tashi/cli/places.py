"""Which VM goes to which host: two operands, or a pair a line from standard input.

A line has a name and a host, or is a JSON object with ``host`` beside its name or id, as `tvm-list -j` prints it: so
the program that decides only has to fill in the host.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import click

from tashi.cli.names import check_operand, input_lines, name_in


class Place(NamedTuple):
    vm: str
    host: str


def read_places(operands: Sequence[str], null: bool) -> list[Place]:
    """The pairs that the operands stand for. Raises click.UsageError for what is none, and for a VM with two hosts."""
    if list(operands) == ["-"]:
        places = list(_standard_input(null))
    elif len(operands) == 2 and "-" not in operands:
        places = [Place(*operands)]
    else:
        raise click.UsageError("which VM on which host? Give both, or - to read pairs from standard input")
    found: dict[str, Place] = {}
    for place in places:
        for each in place:
            check_operand(each)
        if found.setdefault(place.vm, place) != place:
            raise click.UsageError(f"{place.vm}: on {found[place.vm].host} or on {place.host}?")
    return list(found.values())


def _standard_input(null: bool) -> Iterator[Place]:
    for number, line in input_lines(null):
        if isinstance(line, str):
            words = line.split()
            if len(words) != 2:
                raise click.UsageError(f"standard input, line {number}: not a name and a host")
            yield Place(*words)
        elif isinstance(host := line.get("host"), str) and host:
            yield Place(name_in(line, number, "vm"), host)
        else:
            raise click.UsageError(f"standard input, line {number}: no host in this record")
