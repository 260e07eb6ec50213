""".ci/run: its status is the check's, and whoever ends it ends all that it started."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.house.tree import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose check is a line of the test's own, and whose laboratory writes down that it was taken away."""
    for folder in (".ci", ".venv/bin", "cmd"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy2(ROOT / ".ci/run", tmp_path / ".ci")
    (tmp_path / ".venv/bin/python").write_text('#!/bin/sh\necho "$@" >>lab-calls\n')
    (tmp_path / ".venv/bin/python").chmod(0o755)
    (tmp_path / "cmd/tashi-lab").touch(mode=0o755)
    return tmp_path


def start(checkout: Path, check: str) -> subprocess.Popen[bytes]:
    (checkout / "Makefile").write_text(f"check:\n\t@{check}\n")
    return subprocess.Popen([checkout / ".ci/run"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize(("check", "status"), [("true", 0), ("false", 2)])
def test_its_status_is_the_check_s(checkout: Path, check: str, status: int) -> None:
    assert start(checkout, check).wait(20) == status
    assert (checkout / "lab-calls").read_text() == "cmd/tashi-lab down --all\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ended_it_leaves_nothing(checkout: Path, number: signal.Signals) -> None:
    run = start(checkout, "sh -c 'sleep 300 & echo $$! >deep; wait'")
    deep = checkout / "deep"
    deadline = time.monotonic() + 20
    while not (deep.exists() and deep.read_text().strip()):
        assert time.monotonic() < deadline, "the check did not start"
        time.sleep(0.02)
    run.send_signal(number)
    assert run.wait(20) == 128 + number
    assert gone(int(deep.read_text()))
    assert (checkout / "lab-calls").read_text() == "cmd/tashi-lab down --all\n"


def gone(pid: int) -> bool:
    """Whether a process has ended, waiting a little for whoever reaps it."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False
