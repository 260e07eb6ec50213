"""cmd/ is the table of contents: whatever is in it can be run, read about, completed and is tested."""

from __future__ import annotations

import os
import re

import pytest

from tests.house.tree import ROOT, commands, files, first_line

SHELLS = {"bash": "{}", "zsh": "_{}", "fish": "{}.fish"}


def test_there_are_commands() -> None:
    assert {"tashi-controller", "tashi-agent", "tashi-status", "tvm-create", "thost-list"} <= set(commands())


@pytest.mark.parametrize("name", commands())
def test_a_command_can_be_run(name: str) -> None:
    assert os.access(ROOT / "cmd" / name, os.X_OK)
    assert first_line(f"cmd/{name}") == "#!/usr/bin/env python3"


def pages(name: str) -> list[str]:
    return [each for each in files() if re.fullmatch(rf"man/{re.escape(name)}\.[18]", each)]


@pytest.mark.parametrize("name", commands())
def test_a_command_has_a_man_page(name: str) -> None:
    (page,) = pages(name)
    text = (ROOT / page).read_text()
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "EXIT STATUS", "EXAMPLES"):
        assert f"\n.Sh {section}\n" in text
    assert re.search(rf"^\.Nm {re.escape(name)}$", text, re.MULTILINE)


@pytest.mark.parametrize("name", commands())
def test_a_command_has_its_line_in_tashi_7(name: str) -> None:
    assert re.search(rf"^\.(It )?Xr {re.escape(name)} [18]\b", (ROOT / "man/tashi.7").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", commands())
def test_a_command_has_a_test(name: str) -> None:
    bats = [each for each in files() if each.startswith("tests/cmd/") and each.endswith(".bats")]
    word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    assert any(word.search((ROOT / each).read_text()) for each in bats)


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("name", commands())
def test_a_command_is_completed(name: str, shell: str) -> None:
    assert name in (ROOT / "completions" / shell / SHELLS[shell].format(name)).read_text()


@pytest.mark.parametrize("name", [name for name in commands() if "cli.change" in (ROOT / "cmd" / name).read_text()])
def test_a_command_that_changes_something_can_be_given_a_reason(name: str) -> None:
    assert "Fl -reason Ar TEXT" in (ROOT / pages(name)[0]).read_text()


def test_what_is_written_about_exists() -> None:
    described = {os.path.splitext(os.path.basename(each))[0] for each in files() if re.fullmatch(r"man/.*\.[18]", each)}
    assert described == set(commands())
