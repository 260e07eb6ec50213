"""The linters, each of them clean: `make lint` is this file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.tree import PACKAGES, ROOT, commands, files, shell_scripts

# What mandoc says that is no fault of a page.
PAGE_ELSEWHERE = re.compile(r"STYLE: referenced manual not found: Xr (?P<name>\S+) (?P<section>\d)")
OUTDATED_INDEX = re.compile(r"mandoc: outdated mandoc\.db lacks")  # about this machine's pages, not about ours


def words_of(*command: str) -> list[str]:
    """What a linter has to say, line by line; nothing when it is content."""
    beside = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    assert shutil.which(command[0], path=beside["PATH"]), f"{command[0]} is missing: make setup"
    done = subprocess.run(command, cwd=ROOT, env=beside, capture_output=True, text=True, timeout=300)
    assert done.returncode in (0, 1, 2), done.stderr
    return (done.stdout + done.stderr).splitlines() if done.returncode else []


def expect_none(words: list[str]) -> None:
    """Fail with the linter's words, not with a picture of this file."""
    if words:
        pytest.fail("\n".join(words), pytrace=False)


def test_ruff_check() -> None:
    expect_none(words_of("ruff", "check", "--quiet", "--output-format", "concise", "."))


def test_ruff_format() -> None:
    expect_none(words_of("ruff", "format", "--quiet", "--check", "--output-format", "concise", "."))


@pytest.mark.timeout(300)
def test_mypy() -> None:
    """One run over everything; plain `mypy cmd/` would look at nothing, because commands have no suffix."""
    scripts = [f"cmd/{name}" for name in commands()]
    expect_none(words_of("mypy", "--strict", "--explicit-package-bases", "--scripts-are-modules", *PACKAGES, *scripts))


def test_shellcheck() -> None:
    scripts = shell_scripts()
    assert "packaging/setup" in scripts
    expect_none(words_of("shellcheck", "--external-sources", *scripts))


def test_no_test_of_commands_has_a_line_that_can_not_fail() -> None:
    """Bats passes over a command behind ``!``, whatever comes of it."""
    tests = [name for name in files() if name.endswith(".bats")]
    assert tests
    expect_none(words_of("shellcheck", "--shell=bats", "--include=SC2314,SC2315", "--format=gcc", *tests))


def test_mandoc() -> None:
    pages = [name for name in files() if re.fullmatch(r"man/.*\.[1-9]", name)]
    assert pages
    words = words_of("mandoc", "-T", "lint", *pages)
    expect_none([line for line in words if not OUTDATED_INDEX.match(line) and not points_elsewhere(line)])


def points_elsewhere(line: str) -> bool:
    """Whether mandoc misses a page that isn't installed here: one of ours that is in the tree, or somebody else's."""
    hit = PAGE_ELSEWHERE.search(line)
    if not hit:
        return False
    ours = hit["name"].startswith(("tashi", "tvm-", "thost-", "timg-", "tnet-", "tuser-", "tjob-", "zoni"))
    return not ours or (ROOT / f"man/{hit['name']}.{hit['section']}").exists()
