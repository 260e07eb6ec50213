"""Habits of the code that no linter knows: sizes, names, first words, and exceptions that somebody sees."""

from __future__ import annotations

import ast
import re

import pytest

from tests.house.tree import ROOT, commands, files, modules, parsed

LINES, COMMAND_LINES = 400, 90
# Names that say nothing of what is inside.
EMPTY_WORDS = re.compile(r"(^|_)(utils?|helpers?|managers?|handlers?|base|misc|common|stuff)(_|\.|$)")


def lines(name: str) -> int:
    return (ROOT / name).read_bytes().count(b"\n")


def test_a_file_answers_one_question() -> None:
    long = {name: lines(name) for name in modules() if lines(name) > LINES}
    long |= {f"cmd/{name}": lines(f"cmd/{name}") for name in commands() if lines(f"cmd/{name}") > COMMAND_LINES}
    assert not long, f"more than {LINES} lines ({COMMAND_LINES} for a command): which two ideas are in it?"


def test_a_file_is_named_for_its_question() -> None:
    assert not [name for name in [*modules(), *files()] if EMPTY_WORDS.search(name.rpartition("/")[2])]


@pytest.mark.parametrize("name", [name for name in modules() if (ROOT / name).stat().st_size])
def test_a_file_begins_by_saying_what_it_is(name: str) -> None:
    assert ast.get_docstring(parsed(name))


@pytest.mark.parametrize("name", [*modules(), *(f"cmd/{name}" for name in commands())])
def test_no_exception_disappears(name: str) -> None:
    silent = [
        node.lineno
        for node in ast.walk(parsed(name))
        if isinstance(node, ast.ExceptHandler) and all(isinstance(each, ast.Pass) for each in node.body)
    ]
    assert not silent, f"{name}: except with nothing but pass"


def test_no_test_is_switched_off() -> None:
    """A test that needs what a machine may lack probes for it and says why it skips; it is never just off."""
    off = re.compile(r"pytest\.mark\.(skip\b|xfail)|^\s*skip\s*$", re.MULTILINE)
    tests = [name for name in files() if name.startswith("tests/") and name.endswith((".py", ".bats"))]
    assert not [
        name for name in tests if name != "tests/house/test_habits.py" and off.search((ROOT / name).read_text())
    ]
