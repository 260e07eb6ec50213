"""packaging/check and soak: every part runs, whatever became of the one before, and the end tells of each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.house.tree import ROOT, files

PARTS = ["lint", "fast", "daemon", "commands", "lab"]
SOAKED = ["seeds", "kills", "store", "faults", "fuzz", "packages"]


def check(
    tmp_path: Path,
    *,
    failing: str = "nothing",
    uid: int = 0,
    tap: str = "ok 1 a\nok 2 b",
    silent: str = "nothing",
    script: str = "check",
    **settings: str,
) -> tuple[int, list[str]]:
    """(status, lines) of a check whose pytest and bats are scripts that fail where the arguments have ``failing``.

    Where they have ``silent``, bats ends before it tells its plan. This pytest notes in ``asked`` what it is asked,
    with what the environment says of seeds, kills and fuzzing.
    """
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    (tmp_path / "packaging").mkdir()
    for name in (script, "parts"):
        shutil.copy2(ROOT / "packaging" / name, tmp_path / "packaging")
    programs = {
        "pytest": f'echo "$* $(env | grep ^TASHI_ | sort | tr "\\n" " ")" >>{tmp_path}/asked; '
        f'case "$*" in *{failing}*) echo "1 failed in 1.0s"; exit 1 ;; *) echo "7 passed in 1.0s" ;; esac',
        "bats": f"case \"$*\" in *{silent}*) exit 1 ;; esac\ncat <<'TAP'\n1..2\n{tap}\nTAP",
        "id": f"echo {uid}",
    }
    for name, body in programs.items():
        (stubs / name).write_text(f"#!/bin/sh\n{body}\n")
        (stubs / name).chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TASHI_")}  # of a shell in a lab
    path = {"PATH": f"{stubs}:{os.environ['PATH']}"}
    done = subprocess.run(
        [tmp_path / "packaging" / script], env=kept | path | settings, capture_output=True, text=True, timeout=60
    )
    return done.returncode, done.stdout.splitlines()


def test_all_is_well(tmp_path: Path) -> None:
    status, lines = check(tmp_path)
    assert status == 0
    closing = lines[-len(PARTS) :]
    assert [line.split()[0] for line in closing] == PARTS
    assert all(" s  ok " in line for line in closing)
    assert closing[0].endswith("7 passed in 1.0s")
    assert closing[3].endswith("6 tests of commands, 0 failed"), "all thirds are counted"


@pytest.mark.parametrize("failing", ["test_lint.py", "tests/core", "tests/daemon", "-m lab"])
def test_one_part_fails(tmp_path: Path, failing: str) -> None:
    status, lines = check(tmp_path, failing=f'"{failing}"')
    assert status == 1
    closing = lines[-len(PARTS) :]
    assert [line.split()[0] for line in closing] == PARTS
    assert sum("FAILED (1)" in line and line.endswith("1 failed in 1.0s") for line in closing) >= 1
    assert sum(line.endswith("7 passed in 1.0s") for line in closing) >= 2


@pytest.mark.parametrize(("tap", "words"), [("ok 1 a\nnot ok 2 b", "6 tests of commands, 3 failed"), ("", "6 failed")])
def test_commands_fail(tmp_path: Path, tap: str, words: str) -> None:
    """Also when there are no tests at all: then something else is wrong."""
    status, lines = check(tmp_path, tap=tap)
    assert status == 1
    assert "FAILED" in lines[-2]
    assert words in lines[-2]


def test_a_third_of_the_commands_that_says_nothing_is_missed(tmp_path: Path) -> None:
    status, lines = check(tmp_path, silent="tests/cmd")
    assert status == 1
    assert "FAILED" in lines[-2]
    assert "4 tests of commands, 0 failed, 1 of 3 laboratories told nothing" in lines[-2]


def test_without_root_the_laboratory_is_left_out(tmp_path: Path) -> None:
    status, lines = check(tmp_path, uid=1000)
    assert status == 0
    assert lines[-1].endswith("laboratory: left out, it needs root")


def test_soak_runs_all_that_is_long(tmp_path: Path) -> None:
    few = {"SEEDS": "7", "FIRST_SEED": "100", "KILLS": "3", "ROUNDS": "2", "FUZZ_SECONDS": "9"}
    status, lines = check(tmp_path, script="soak", **few)
    assert status == 0
    assert [line.split()[0] for line in lines[-len(SOAKED) :]] == SOAKED
    asked = (tmp_path / "asked").read_text().splitlines()
    seeds = [line.split() for line in asked if "test_seeds" in line]
    spans = sorted([tuple(word.partition("=")[2] for word in each if word.startswith("TASHI_")) for each in seeds])
    assert spans == [("100", "3"), ("103", "4")], "each seed is played once"
    assert sum("-m lab" in line and "test_migration_faults" in line for line in asked) == 2
    assert any("TASHI_KILLS=3" in line and "test_kill" in line for line in asked)
    assert any("TASHI_FUZZ_SECONDS=9" in line and "tests/fuzz" in line for line in asked)


@pytest.mark.parametrize(
    ("failing", "part"), [("TASHI", ""), ("test_seeds", "seeds"), ("test_migration", "faults"), ("test_kill", "kills")]
)
def test_soak_fails(tmp_path: Path, failing: str, part: str) -> None:
    status, lines = check(tmp_path, script="soak", failing=failing, ROUNDS="2")
    assert status == (1 if part else 0)
    assert [line.split()[0] for line in lines[-len(SOAKED) :] if "FAILED" in line] == [part] * bool(part)


def test_soak_of_an_unknown_part(tmp_path: Path) -> None:
    status, lines = check(tmp_path, script="soak", PARTS="seeds lunch")
    assert (status, lines) == (2, []), "nothing was begun"


def test_each_long_test_is_in_a_part_of_soak() -> None:
    """A test that is marked as long, in a file that soak doesn't name, would never run."""
    text = (ROOT / "packaging/soak").read_text()
    marked = [name for name in files() if name.endswith(".py") and "@pytest.mark.soak" in (ROOT / name).read_text()]
    assert len(marked) > 4
    named = re.findall(r"tests/[\w/.]+", text)
    missing = [name for name in marked if name not in named and str(Path(name).parent) not in named]
    assert missing == []


def test_each_folder_of_tests_is_in_a_part_of_check() -> None:
    text = (ROOT / "packaging/check").read_text()
    listed = re.search(r"tests/\{([a-z,]+)\}", text)
    assert listed is not None
    named = {*listed[1].split(","), *re.findall(r"tests/([a-z]+)", text)}
    there = {Path(name).parts[1] for name in files() if re.fullmatch(r"tests/.*/test_\w+\.py|tests/.*\.bats", name)}
    assert there - named == set()
