"""A VM host's one-shots: the power button, a migration called back, the header of an image looked at."""

from __future__ import annotations

from tashi.agent.desk import Desk, Doing
from tashi.agent.events import Called
from tashi.agent.journal import Told, outcome_record
from tashi.agent.plan import LOOK_SECONDS, migrating
from tashi.agent.shots import Shots
from tashi.wire.agents import Shot, ShotDone

CALLS = {"power-button": "press_power_button", "abort-move": "abort_move", "inspect-image": "inspect_image"}


class GuestShots:
    def __init__(self, desk: Desk, shots: Shots) -> None:
        self._desk, self._shots = desk, shots
        self._early: list[Doing] = []  # called back before the hypervisor knew of the migration

    def take(self, shot: Shot) -> None:
        """Begin it; or tell again how it went, if it was begun before."""
        if not self._shots.begins(shot.job, shot.vm, shot.generation):
            return
        told = self._desk.memory.told.get(shot.vm)
        if shot.action == "abort-move" and (told is None or told.generation < shot.generation):
            # The order to migrate has not come yet. When it does, it is over before it begins.
            noun = self._desk.memory.noun
            self._desk.note({"is": "row", noun: shot.vm, "generation": shot.generation, "role": "source"})
            over = Told(shot.generation, "source", "failed", "called back before it began")
            self._desk.note(outcome_record(noun, shot.vm, over))
            self._shots.over(ShotDone(shot.job, "done"))
            return
        args = {"vm": shot.vm} if shot.vm else dict(shot.args)
        verb = CALLS[shot.action]
        self._desk.call(verb, args, max(1.0, shot.seconds), Doing(verb, shot.vm, job=shot.job))

    def called(self, called: Called, doing: Doing) -> None:
        """Its call is over."""
        if doing.verb == "abort_move" and called.value is False and migrating(self._desk, doing.of) is not None:
            self._early.append(doing)
            return
        self._shots.called(doing.job, called)

    def try_early(self) -> None:
        """Call back once more what could not be called back yet."""
        early, self._early = self._early, []
        for doing in early:
            self._desk.call(doing.verb, {"vm": doing.of}, LOOK_SECONDS, doing)
