"""The controller's hand in backups: a child copies for the operation that asks for it, for as long as it is wanted.

Nothing is ordered and nothing remembered: after each commit `attend` compares the operations that are there with the
child that runs. So one that was cancelled, or whose time is up, ends its child, and after a controller's start the
copy is made anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence

from tashi.model.job import Job
from tashi.run.loop import Loop
from tashi.run.workers import Outcome, Pool

WORKER = (sys.executable, "-P", "-m", "tashid.backup")


class Copies:
    """``wake`` is called, from the loop, when a copy has ended."""

    def __init__(self, loop: Loop, state: str, wake: Callable[[], None], worker: Sequence[str] = WORKER) -> None:
        self._loop, self._state, self._wake, self._worker = loop, state, wake, worker
        self._pool: Pool | None = None
        self._doing = ""  # id of the operation whose copy is being made
        self._ended: dict[str, Outcome] = {}
        self.news = False  # something has ended since `ended` was asked

    def attend(self, wanted: Mapping[str, Job]) -> None:
        """Begin what is wanted and not begun; end what is no longer wanted, and forget how it went."""
        if self._doing and self._doing not in wanted:
            self.close()
        self._ended = {job: outcome for job, outcome in self._ended.items() if job in wanted}
        for job in wanted.values():
            if not self._doing and job.id not in self._ended:
                self._begin(job)

    def ended(self) -> list[tuple[str, Outcome]]:
        """(operation, outcome) of each copy that has ended while its operation runs."""
        self.news = False
        return list(self._ended.items())

    def close(self) -> None:
        """Kill the child, if there is one."""
        self._doing = ""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _begin(self, job: Job) -> None:
        def done(outcome: Outcome) -> None:
            if self._doing == job.id:
                self.close()
                self._ended[job.id], self.news = outcome, True
                self._wake()

        self._doing = job.id
        self._pool = Pool(self._loop, self._worker, 1)
        self._pool.call("write", {"state": self._state, "path": job.name}, job.budget_seconds, done)
