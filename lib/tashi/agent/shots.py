"""One-shots: what is done at most once. Each is written down before it is begun; an interrupted one is `unknown`."""

from __future__ import annotations

from typing import Literal

import msgspec

from tashi.agent.desk import Desk
from tashi.agent.events import Called
from tashi.model.shorten import shorten
from tashi.wire.agents import ShotDone

OUTCOMES: dict[str, Literal["done", "failed", "unknown"]] = {"ok": "done", "failed": "failed", "unknown": "unknown"}


class Shots:
    """The book of them, for every kind of agent."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._interrupted = [job for job, done in desk.memory.shots.items() if done is None]

    def tell_interrupted(self) -> None:
        """A former incarnation began these; whether it did them nobody knows."""
        for job in self._interrupted:
            self.over(ShotDone(job, "unknown", "the agent was interrupted"))
        self._interrupted = []

    def begins(self, job: str, of: str, generation: int) -> bool:
        """Whether it is to be done now: then it is written down. What was begun before is told again, and what is

        ``of`` an object that has newer orders has failed.
        """
        memory = self._desk.memory
        if job in memory.shots:
            done = memory.shots[job]
            if done is not None and not memory.is_telling(job):
                self._desk.tell(shot=msgspec.convert(done, ShotDone))
            return False
        told = memory.told.get(of)
        if of and told is not None and generation < told.generation:
            self.over(ShotDone(job, "failed", f"generation {generation} is older than {told.generation}"))
            return False
        self._desk.note({"is": "shot", "job": job})
        return True

    def called(self, job: str, called: Called) -> None:
        """Its call is over."""
        result = {key: str(value) for key, value in called.value.items()} if isinstance(called.value, dict) else {}
        self.over(ShotDone(job, OUTCOMES[called.outcome], shorten(called.text, 200), result))

    def over(self, done: ShotDone) -> None:
        """Tell how it went, once and for all."""
        self._desk.note({"is": "shot", "job": done.job, "done": msgspec.to_builtins(done)})
        self._desk.tell(shot=done)
