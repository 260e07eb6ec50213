"""Which test is about which fault: collected from the tests, written as man/tashi-faults.7 by ``make faults``.

Tests say it themselves: ``@pytest.mark.fault(3)`` or ``attack``, on a function, a class or as ``pytestmark``; in bats a
line ``# fault 3`` above the test; in a scene a line ``fault 3``.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from textwrap import wrap
from typing import NamedTuple

from tests.house.tree import ROOT, files, parsed

KINDS = ("fault", "attack")
HEADING = {"fault": "FAULTS", "attack": "ATTACKS"}
Key = tuple[str, int]


class Row(NamedTuple):
    what: str
    expected: str
    today: str = ""  # what is so, where no test is about it


def rows() -> dict[Key, Row]:
    """The two tables, in order."""
    tables = tomllib.loads((ROOT / "tests/faults.toml").read_text())
    return {(kind, int(number)): Row(*row) for kind in KINDS for number, row in tables[kind].items()}


def tests() -> dict[Key, list[str]]:
    """Tests by what they are about: ``tests/daemon/test_kill.py: test_...``, and scenes and bats files."""
    found: dict[Key, list[str]] = {}
    for name in files():
        if name.startswith("tests/"):
            for key, test in _marked(name):
                found.setdefault(key, []).append(test)
    return {key: sorted(set(each)) for key, each in found.items()}


def _marked(name: str) -> Iterator[tuple[Key, str]]:
    if name.endswith(".py"):
        yield from _in_python(name)
    elif name.endswith(".scene"):
        for kind, number in re.findall(r"^(fault|attack) (\d+)$", (ROOT / name).read_text(), re.MULTILINE):
            yield (kind, int(number)), name
    elif name.endswith(".bats"):
        marks: list[Key] = []
        for line in (ROOT / name).read_text().splitlines():
            marks += [(kind, int(number)) for kind, number in re.findall(r"^# (fault|attack) (\d+)$", line)]
            said = re.match(r'@test "(.*)"', line)
            if said:
                yield from ((key, f"{name}: {said[1]}") for key in marks)
                marks = []


def _in_python(name: str) -> Iterator[tuple[Key, str]]:
    for node in parsed(name).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "pytestmark":
            yield from ((key, name) for key in _keys([node.value]))
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield from ((key, f"{name}: {node.name}") for key in _keys(node.decorator_list))
            yield from (
                (key, f"{name}: {each.name}")
                for each in node.body
                if isinstance(each, ast.FunctionDef)
                for key in _keys(each.decorator_list)
            )


def _keys(marks: list[ast.expr]) -> Iterator[Key]:
    for mark in marks:
        for call in ast.walk(mark):
            if isinstance(call, ast.Call):
                kind = ast.unparse(call.func).removeprefix("pytest.mark.")
                if kind in KINDS:
                    yield from ((kind, ast.literal_eval(number)) for number in call.args)


def page() -> str:
    """The manual page."""
    known, about = rows(), tests()
    lines = PREFACE.splitlines()
    for kind in KINDS:
        lines += [f".Sh {HEADING[kind]}", ".Bl -tag -width 100"]
        for (each, number), row in known.items():
            if each == kind:
                lines += [
                    f".It {number}",
                    *wrap(_sentence(row.what), 78),
                    ".br",
                    *wrap(f"Expected: {row.expected}.", 78),
                ]
                lines += _told(about.get((kind, number), []), row)
        lines.append(".El")
    return "\n".join([*lines, *END.splitlines()]) + "\n"


def _told(names: list[str], row: Row) -> list[str]:
    if not names:
        return [".br", *wrap(f"So far: {row.today}", 78)]
    lines = []
    for name in names:
        path, _, test = name.removeprefix("tests/").partition(": ")
        lines += [".br", f".Pa {path}"] if not test else [".br", f".Pa {path} :", f".Li {test}"]
    return lines


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


PREFACE = """\\
.\\" Made by `make faults` from tests/faults.toml and the tests themselves.
.Dd November 23, 2026
.Dt TASHI-FAULTS 7
.Os
.Sh NAME
.Nm tashi-faults
.Nd what may go wrong, what is expected then, and which test shows it
.Sh DESCRIPTION
Faults that a cluster has to survive, and attacks that must come to nothing.
Below each are the tests that are about it, as paths below
.Pa tests
in the source: a test in Python or of a command with its name, or a scene, which
.Xr tashi-sim 1
plays.
Where there is none, the line says what is so instead."""

END = """.Sh SEE ALSO
.Xr tashi-sim 1 ,
.Xr tashi-scene 5 ,
.Xr tashi 7"""


if __name__ == "__main__":
    (ROOT / "man/tashi-faults.7").write_text(page())
