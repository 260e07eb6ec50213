"""The time that operations may take. A budget runs anew after a controller's start; a spent one is spent once.

The store keeps budgets in seconds; when one ends, in monotonic time, is only known here. What was spent in a batch
whose commit failed is spent again a heartbeat later.
"""

from __future__ import annotations

from heapq import heappop, heappush

from tashi.core import jobs
from tashi.core.state import State
from tashi.core.turn import Turn
from tashi.model.clock import Now
from tashi.model.job import Job


class Budgets:
    def __init__(self, state: State) -> None:
        self._state = state
        self._ends: list[tuple[float, str]] = []
        self._spent: list[tuple[float, str]] = []  # since the last commit

    def begin(self, job: Job, now: Now) -> None:
        """An operation's time begins; without a budget it has no end."""
        if job.budget_seconds:
            self._set(job.id, now.monotonic + job.budget_seconds)

    def _set(self, job_id: str, end: float) -> None:
        self._state.deadlines[job_id] = end
        heappush(self._ends, (end, job_id))

    def next_end(self) -> float | None:
        return self._ends[0][0] if self._ends else None

    def spend(self, turn: Turn) -> None:
        """Say what follows for each operation whose time is up."""
        while self._ends and self._ends[0][0] <= turn.now.monotonic:
            end, job_id = heappop(self._ends)
            if self._state.deadlines.get(job_id) != end:
                continue  # of an operation that was undone; another may have its id by now
            del self._state.deadlines[job_id]
            self._spent.append((end, job_id))
            job = self._state.jobs.get(job_id)
            if job is not None:
                jobs.budget_spent(turn, job)

    def mark(self) -> int:
        return len(self._spent)

    def undo(self, mark: int, delay_seconds: float) -> None:
        """What was spent since ``mark`` was not stored: it is spent again, not at once."""
        for end, job_id in self._spent[mark:]:
            self._set(job_id, end + delay_seconds)
        del self._spent[mark:]

    def durable(self) -> None:
        self._spent.clear()
