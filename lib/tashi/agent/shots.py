"""One-shots: what is done at most once. Each is written down before it is begun; an interrupted one is `unknown`."""

from __future__ import annotations

from typing import Literal

import msgspec

from tashi.agent.desk import Desk, Doing
from tashi.agent.events import Called
from tashi.agent.journal import Told, outcome_record
from tashi.agent.plan import LOOK_SECONDS
from tashi.model.shorten import shorten
from tashi.wire.agents import Shot, ShotDone

OUTCOMES: dict[str, Literal["done", "failed", "unknown"]] = {"ok": "done", "failed": "failed", "unknown": "unknown"}
CALLS = {"power-button": "press_power_button", "abort-move": "abort_move", "inspect-image": "inspect_image"}


class Shots:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._early: list[Doing] = []  # called back before the hypervisor knew of the migration
        self._interrupted = [job for job, done in desk.memory.shots.items() if done is None]

    def tell_interrupted(self) -> None:
        """A former incarnation began these; whether it did them nobody knows."""
        for job in self._interrupted:
            self._over(ShotDone(job, "unknown", "the agent was interrupted"))
        self._interrupted = []

    def take(self, shot: Shot) -> None:
        """Begin it; or tell again how it went, if it was begun before."""
        memory = self._desk.memory
        if shot.job in memory.shots:
            done = memory.shots[shot.job]
            if done is not None and not memory.is_telling(shot.job):
                self._desk.tell(shot=msgspec.convert(done, ShotDone))
            return
        told = memory.told.get(shot.vm)
        if shot.vm and told is not None and shot.generation < told.generation:
            self._over(ShotDone(shot.job, "failed", f"generation {shot.generation} is older than {told.generation}"))
            return
        self._desk.note({"is": "shot", "job": shot.job})
        if shot.action == "abort-move" and (told is None or told.generation < shot.generation):
            # The order to migrate has not come yet. When it does, it is over before it begins.
            self._desk.note({"is": "row", "vm": shot.vm, "generation": shot.generation, "role": "source"})
            over = Told(shot.generation, "source", "failed", "called back before it began")
            self._desk.note(outcome_record(shot.vm, over))
            self._over(ShotDone(shot.job, "done"))
            return
        args = {"vm": shot.vm} if shot.vm else dict(shot.args)
        verb = CALLS[shot.action]
        self._desk.call(verb, args, max(1.0, shot.seconds), Doing(verb, shot.vm, job=shot.job))

    def called(self, called: Called, doing: Doing) -> None:
        """Its call is over."""
        if doing.verb == "abort_move" and called.value is False and self._desk.migrating(doing.vm) is not None:
            self._early.append(doing)
            return
        result = {key: str(value) for key, value in called.value.items()} if isinstance(called.value, dict) else {}
        self._over(ShotDone(doing.job, OUTCOMES[called.outcome], shorten(called.text, 200), result))

    def try_early(self) -> None:
        """Call back once more what could not be called back yet."""
        early, self._early = self._early, []
        for doing in early:
            self._desk.call(doing.verb, {"vm": doing.vm}, LOOK_SECONDS, doing)

    def _over(self, done: ShotDone) -> None:
        self._desk.note({"is": "shot", "job": done.job, "done": msgspec.to_builtins(done)})
        self._desk.tell(shot=done)
