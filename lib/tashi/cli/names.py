"""Operands: names, ids, `-` for standard input, and what a list is filtered by.

`-` stands for the names that standard input holds, one a line, or NUL after each. A line that is a JSON object gives
its id where that is an id of the command's noun, because a name may by now be another object's or have several; else
its name. So what one command prints with -j another one takes. A record that tells of an error names nothing and is
passed over, because the command that wrote it has told already.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import click

from tashi.cli.standard_input import read_standard_input
from tashi.model.name import kind_of_id

_CALLED = {"job": "id", "vlan": "vlan"}  # what records are called by that is not their name: theirs is another's
LONGEST = 80  # characters of an operand: more than any name or id has


class Operands(NamedTuple):
    """``names`` and ``where`` in the order typed; ``asked`` when there were any, even if `-` then held nothing."""

    names: list[str]
    where: list[str]
    asked: bool


def read_names(operands: Iterable[str], noun: str, null: bool) -> list[str]:
    """The names that the operands stand for, each once. Raises click.UsageError when none are given."""
    found: list[str] = []
    for operand in operands:
        found += _standard_input(noun, null) if operand == "-" else [operand]
    if not operands:
        raise click.UsageError(f"which {noun}? Give names or ids, or - to read them from standard input")
    if "" in found:
        raise click.UsageError("an empty name")
    for name in found:
        check_operand(name)
    return list(dict.fromkeys(found))


def check_operand(name: str) -> None:
    """Raise click.UsageError for what can't be a name."""
    if len(name) > LONGEST:
        raise click.UsageError(f"{name[:20]!r}...: {len(name)} characters, which no name has")
    if any("\ud800" <= character <= "\udfff" for character in name):  # bytes that were no text
        raise click.UsageError(f"{name!r}: not text in UTF-8")


def read_operands(operands: Iterable[str], noun: str, null: bool) -> Operands:
    """The same for a list, whose operands may be filters too: key=value, key!=value, key=~regexp, key>number."""
    where = [operand for operand in operands if any(sign in operand for sign in "=<>!")]
    others = [operand for operand in operands if operand not in where]
    return Operands(read_names(others, noun, null) if others else [], where, bool(others))


def _standard_input(noun: str, null: bool) -> list[str]:
    found = []
    for number, line in input_lines(null):
        if isinstance(line, str) and any(character.isspace() for character in line):
            told = f"standard input, line {number}: {line[:40]!r} is no name"
            raise click.UsageError(f"{told}; a list that is read here is printed with -j, or -H -o name")
        found.append(line if isinstance(line, str) else name_in(line, number, noun))
    return [name for name in found if name]


def input_lines(null: bool) -> Iterator[tuple[int, str | dict[str, Any]]]:
    """(number, line) of standard input, a record where the line is one; empty lines and records of errors left out."""
    try:
        text = read_standard_input().decode()
    except UnicodeDecodeError as error:
        raise click.UsageError(f"standard input: not text in UTF-8: {error}") from error
    for number, line in enumerate(text.split("\0" if null else "\n"), 1):
        line = line if null else line.strip()
        if not line.startswith("{"):
            if line:
                yield number, line
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise click.UsageError(f"standard input, line {number}: not JSON: {error}") from error
        if "error" not in record:
            yield number, record


def name_in(record: dict[str, Any], number: int, noun: str) -> str:
    """What a record in line ``number`` is called: its id, if that is one of the noun, else its name."""
    identity, key = record.get("id"), _CALLED.get(noun, "name")
    if isinstance(identity, str) and kind_of_id(identity) == noun:
        return identity
    name = record.get(key)
    if key == "id" or isinstance(name, bool) or not isinstance(name, int if key == "vlan" else str):
        raise click.UsageError(f"standard input, line {number}: no {key} in this record")
    return str(name)
