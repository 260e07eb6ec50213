"""packaging/check: every part runs, whatever became of the one before, and the end tells of each."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.house.tree import ROOT

PARTS = ["lint", "fast", "daemon", "commands", "lab"]


def check(
    tmp_path: Path, *, failing: str = "nothing", uid: int = 0, tap: str = "ok 1 a\nok 2 b"
) -> tuple[int, list[str]]:
    """(status, lines) of a check whose pytest and bats are scripts that fail where the arguments have ``failing``."""
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    (tmp_path / "packaging").mkdir()
    shutil.copy2(ROOT / "packaging/check", tmp_path / "packaging")
    programs = {
        "pytest": f'case "$*" in *{failing}*) echo "1 failed in 1.0s"; exit 1 ;; *) echo "7 passed in 1.0s" ;; esac',
        "bats": f"cat <<'TAP'\n1..2\n{tap}\nTAP",
        "id": f"echo {uid}",
    }
    for name, body in programs.items():
        (stubs / name).write_text(f"#!/bin/sh\n{body}\n")
        (stubs / name).chmod(0o755)
    path = {"PATH": f"{stubs}:{os.environ['PATH']}"}
    done = subprocess.run(
        [tmp_path / "packaging/check"], env=os.environ | path, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout.splitlines()


def test_all_is_well(tmp_path: Path) -> None:
    status, lines = check(tmp_path)
    assert status == 0
    closing = lines[-len(PARTS) :]
    assert [line.split()[0] for line in closing] == PARTS
    assert all(" s  ok " in line for line in closing)
    assert closing[0].endswith("7 passed in 1.0s")
    assert closing[3].endswith("2 tests of commands, 0 failed")


@pytest.mark.parametrize("failing", ["test_lint.py", "tests/core", "tests/daemon", "-m lab"])
def test_one_part_fails(tmp_path: Path, failing: str) -> None:
    status, lines = check(tmp_path, failing=f'"{failing}"')
    assert status == 1
    closing = lines[-len(PARTS) :]
    assert [line.split()[0] for line in closing] == PARTS
    assert sum("FAILED (1)" in line and line.endswith("1 failed in 1.0s") for line in closing) >= 1
    assert sum(line.endswith("7 passed in 1.0s") for line in closing) >= 2


@pytest.mark.parametrize(("tap", "words"), [("ok 1 a\nnot ok 2 b", "2 tests of commands, 1 failed"), ("", "0 tests")])
def test_commands_fail(tmp_path: Path, tap: str, words: str) -> None:
    """Also when there are no tests at all: then something else is wrong."""
    status, lines = check(tmp_path, tap=tap)
    assert status == 1
    assert "FAILED" in lines[-2]
    assert words in lines[-2]


def test_without_root_the_laboratory_is_left_out(tmp_path: Path) -> None:
    status, lines = check(tmp_path, uid=1000)
    assert status == 0
    assert lines[-1].endswith("laboratory: left out, it needs root")
