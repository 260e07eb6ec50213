"""How far the migrations from this host are: asked with each heartbeat, told with the next one, never stored."""

from __future__ import annotations

from tashi.agent.desk import Desk, Doing
from tashi.agent.events import Called
from tashi.agent.plan import LOOK_SECONDS
from tashi.wire.agents import MoveProgress


class Progress:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._moves: dict[str, MoveProgress] = {}

    def all(self) -> list[MoveProgress]:
        return list(self._moves.values())

    def ask(self) -> None:
        """Ask beside each call that migrates a guest, unless an answer is still awaited."""
        asked = {doing.of for doing in self._desk.doing.values() if doing.verb == "moving"}
        for doing in list(self._desk.doing.values()):
            if doing.verb == "migrate" and doing.of not in asked:
                self._desk.call("moving", {"vm": doing.of}, LOOK_SECONDS, Doing("moving", doing.of, doing.row))

    def take(self, called: Called, doing: Doing) -> None:
        """What the hypervisor answered; nothing, when the migration is over."""
        if called.outcome != "ok" or not isinstance(called.value, dict) or doing.row is None:
            self.forget(doing.of)
        else:
            self._moves[doing.of] = MoveProgress(doing.of, doing.row.generation, **called.value)

    def forget(self, vm: str) -> None:
        self._moves.pop(vm, None)
