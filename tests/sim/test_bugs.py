"""The simulator finds bugs: each of those that somebody might make is found within 200 seeds."""

from __future__ import annotations

import pytest

from tashi.sim.faults import CLIMATES
from tashi.sim.run import run
from tests.sim.bugs import BUGS, Bug

SEEDS = 200


@pytest.mark.timeout(240)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.put.__name__)
def test_a_bug_is_found(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.put(monkeypatch)
    # Those seeds first in whose climate the bug's conditions are not rare.
    seeds = sorted(range(SEEDS), key=lambda seed: seed % len(CLIMATES) not in bug.climates)
    found = next((result for result in map(run, seeds) if result.violation), None)
    assert found is not None, f"not found in {SEEDS} seeds"
    assert found.violation.startswith(bug.breaks), found.violation
