"""Worker processes: every call ends with one outcome, whatever the child does."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tashi.run import workers
from tashi.run.events import EventSource
from tashi.run.loop import Loop
from tashi.run.workers import Outcome, Pool

CHILD = [sys.executable, "-m", "tests.daemon.children"]


@pytest.fixture
def loop() -> Loop:
    return Loop()


@pytest.fixture
def pools(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Pool]]:
    root = Path(__file__).parents[2]
    monkeypatch.setenv("PYTHONPATH", f"{root / 'lib'}:{root}")
    made: list[Pool] = []
    yield made
    for pool in made:
        pool.close()


@pytest.fixture
def pool(loop: Loop, pools: list[Pool]) -> Pool:
    pools.append(Pool(loop, CHILD, 2))
    return pools[0]


def turn_until(loop: Loop, true: Any, seconds: float = 20.0) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it never came"
        loop.turn(0.05)


def ask(loop: Loop, pool: Pool, verb: str, seconds: float = 20.0, **args: Any) -> Outcome:
    outcomes: list[Outcome] = []
    pool.call(verb, args, seconds, outcomes.append)
    turn_until(loop, lambda: outcomes)
    loop.turn(0.0)
    assert len(outcomes) == 1
    return outcomes[0]


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def test_a_child_answers_and_is_used_again(loop: Loop, pool: Pool) -> None:
    first, second = ask(loop, pool, "echo", a=1), ask(loop, pool, "echo", a=2)
    assert (first.outcome, first.value["got"]) == ("ok", {"a": 1})
    assert first.value["pid"] == second.value["pid"]


def test_failed_means_that_nothing_happened_and_unknown_that_nobody_knows(loop: Loop, pool: Pool) -> None:
    assert ask(loop, pool, "refuse", what="v-1") == Outcome("failed", None, "v-1: no")
    assert ask(loop, pool, "no room") == Outcome("unknown", None, "no room", "no-room")
    assert ask(loop, pool, "break") == Outcome("unknown", None, "RuntimeError: half done")
    assert ask(loop, pool, "__class__").outcome == "failed"


@pytest.mark.fault(54)
def test_a_call_is_killed_at_its_deadline_with_all_that_it_started(loop: Loop, pool: Pool, tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    outcomes: list[Outcome] = []
    pool.call("grandchild", {"file": str(pid_file)}, 3.0, outcomes.append)
    turn_until(loop, pid_file.exists)
    grandchild = int(pid_file.read_text())
    assert alive(grandchild)
    turn_until(loop, lambda: outcomes)
    assert outcomes == [Outcome("unknown", None, "no answer within 3 s, killed")]
    turn_until(loop, lambda: not alive(grandchild))
    assert ask(loop, pool, "echo").outcome == "ok"


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV])
def test_a_child_that_dies_leaves_an_unknown_outcome_and_is_replaced(loop: Loop, pool: Pool, how: int) -> None:
    outcome = ask(loop, pool, "end", signal=int(how))
    assert outcome.outcome == "unknown" and "worker" in outcome.text
    assert ask(loop, pool, "echo").outcome == "ok"


@pytest.mark.parametrize(
    ("mode", "why"),
    [("garbage", "nonsense"), ("wrong-id", "not asked"), ("endless-line", "longer than"), ("silent-end", "worker")],
)
def test_nonsense_from_a_child_ends_it(loop: Loop, pools: list[Pool], mode: str, why: str) -> None:
    pools.append(Pool(loop, [*CHILD, mode], 1))
    outcome = ask(loop, pools[0], "echo")
    assert outcome.outcome == "unknown" and why in outcome.text


def test_calls_wait_for_a_free_child_no_longer_than_their_time(loop: Loop, pools: list[Pool]) -> None:
    pools.append(Pool(loop, CHILD, 1))
    outcomes: dict[str, Outcome] = {}
    pools[0].call("hang", {}, 2.0, lambda outcome: outcomes.update(hang=outcome))
    pools[0].call("echo", {}, 0.2, lambda outcome: outcomes.update(hasty=outcome))
    pools[0].call("echo", {}, 20.0, lambda outcome: outcomes.update(patient=outcome))
    turn_until(loop, lambda: len(outcomes) == 3)
    assert outcomes["hasty"] == Outcome("failed", None, "no worker was free within 0.2 s")
    assert outcomes["hang"].outcome == "unknown"
    assert outcomes["patient"].outcome == "ok"


@pytest.mark.fault(54)
def test_a_child_that_survives_sigkill_keeps_its_place(
    loop: Loop, pools: list[Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The kernel lets go of no process here on demand, so the kill is what fails."""
    pools.append(Pool(loop, CHILD, 1))
    pid = ask(loop, pools[0], "echo").value["pid"]
    with monkeypatch.context() as patch:
        patch.setattr(workers, "kill_group", lambda pid: None)
        patch.setattr(workers, "STUCK_SECONDS", 0.1)
        os.kill(pid, signal.SIGSTOP)  # else it would end by itself when its channel closes
        assert ask(loop, pools[0], "hang", 0.2).outcome == "unknown"
        turn_until(loop, lambda: pools[0].stuck == 1)
        assert ask(loop, pools[0], "echo", 0.3).text == "no worker was free within 0.3 s"
    os.kill(pid, signal.SIGKILL)
    turn_until(loop, lambda: pools[0].stuck == 0)
    assert ask(loop, pools[0], "echo").outcome == "ok"


def test_a_program_that_is_not_there_is_a_definite_failure(loop: Loop, pools: list[Pool]) -> None:
    pools.append(Pool(loop, ["/nonexistent/program"], 1))
    assert ask(loop, pools[0], "echo") == Outcome(
        "failed", None, "no worker: /nonexistent/program: No such file or directory"
    )


def test_a_call_too_long_is_a_definite_failure(loop: Loop, pool: Pool) -> None:
    assert ask(loop, pool, "echo", what="x" * workers.CALL_MAX).outcome == "failed"
    assert ask(loop, pool, "echo", what="x").outcome == "ok"


def test_children_see_little_of_our_environment(loop: Loop, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "1")
    monkeypatch.setenv("LD_PRELOAD", "")
    seen = set(ask(loop, pool, "environment").value)
    assert seen - {"LC_CTYPE"} <= set(workers.PASSED_ON)


def test_what_a_child_prints_does_not_disturb_its_answers(loop: Loop, pool: Pool) -> None:
    assert ask(loop, pool, "print") == Outcome("ok", None, "")


def test_children_die_with_their_parent(loop: Loop, tmp_path: Path, pool: Pool) -> None:
    """A parent that is killed, not closed, leaves no worker behind."""
    script = (
        "import sys; from tashi.run.loop import Loop; from tashi.run.workers import Pool; loop = Loop();"
        f"Pool(loop, {CHILD!r}, 1).call('grandchild', {{'file': {str(tmp_path / 'pid')!r}}}, 60, print)\n"
        "while True: loop.turn(1)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    turn_until(loop, (tmp_path / "pid").exists)
    grandchild = int((tmp_path / "pid").read_text())
    with open(f"/proc/{grandchild}/stat", encoding="ascii") as file:
        worker = int(file.read().rsplit(")", 1)[1].split()[1])
    parent.kill()
    parent.wait()
    turn_until(loop, lambda: not alive(worker))
    os.kill(grandchild, signal.SIGKILL)


def test_an_event_source_is_heard_and_started_again(
    loop: Loop, pools: list[Pool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tashi.run.events.FIRST_SECONDS", 0.01)
    heard: list[Any] = []
    ups: list[bool] = []
    source = EventSource(loop, [*CHILD, "events", "once"], heard.append, lambda up, why: ups.append(up))
    turn_until(loop, lambda: len(heard) >= 2)
    source.close()
    assert heard[0] == {"vm": "v-1", "what": "stopped"}
    assert ups[:3] == [True, False, True]
