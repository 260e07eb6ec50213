"""The simulator finds bugs: each of those that somebody might make is found within 200 seeds."""

from __future__ import annotations

from itertools import count, islice

import pytest

from tashi.sim.faults import CLIMATES
from tashi.sim.run import run
from tests.sim.bugs import BUGS, Bug

SEEDS = 200


@pytest.mark.timeout(240)
@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.put.__name__)
def test_a_bug_is_found(bug: Bug, monkeypatch: pytest.MonkeyPatch) -> None:
    bug.put(monkeypatch)
    # Seeds of the climates in which the bug's conditions are not rare, where it says which they are.
    ours = (seed for seed in count() if not bug.climates or seed % len(CLIMATES) in bug.climates)
    seeds = list(islice(ours, SEEDS))
    found = next((result for result in map(run, seeds) if result.violation), None)
    assert found is not None, f"not found in {SEEDS} seeds"
    assert found.violation.startswith(bug.breaks), found.violation
