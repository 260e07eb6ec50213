"""The conversation with the controller, the same for every mind: greeting, fence, heartbeats, what is said again."""

from __future__ import annotations

from typing import Any

from tashi.agent.desk import Desk, Tongue
from tashi.agent.events import Identity
from tashi.agent.journal import Memory
from tashi.agent.rhythm import INVENTORY_SECONDS, Rhythm
from tashi.agent.shots import Shots
from tashi.model.clock import Now
from tashi.wire.agents import Acked, Rejected, Welcome


class Session:
    """``noun`` is what rows are about; ``journal`` what was written by former steps, of former incarnations too."""

    def __init__(
        self, noun: str, journal: list[dict[str, Any]], identity: Identity, tongue: Tongue, marked: bool = False
    ) -> None:
        self.memory = Memory(noun)
        for record in journal:
            self.memory.apply(record)
        self.desk = Desk(self.memory, identity, tongue, marked)
        self.rhythm = Rhythm()
        self.shots = Shots(self.desk)

    @property
    def listening(self) -> bool:
        """Whether the controller has greeted us on this connection."""
        return self.desk.listening

    def hang_up(self) -> None:
        """There is no connection, or a new one that says hello first."""
        self.desk.listening = False

    def hear(self, message: Any, now: Now) -> Any:
        """What the mind has to see of a message: None for what is seen to here, or comes from a controller that another

        has replaced. A welcome is seen to, and given on.
        """
        self.rhythm.pulse(now.monotonic)
        if isinstance(message, Rejected):
            self.hang_up()
            return None
        if isinstance(message, Acked):
            if self.desk.is_heard(message):
                self.rhythm.look_at(now.monotonic + INVENTORY_SECONDS)
            return None
        if message.epoch < self.memory.epoch:
            return None
        if message.epoch > self.memory.epoch:
            self.desk.note({"is": "epoch", "epoch": message.epoch})
        if isinstance(message, Welcome):
            self._welcome(message, now)
        return message

    def _welcome(self, message: Welcome, now: Now) -> None:
        self.desk.listening = True
        if message.cluster and not self.memory.cluster:
            self.desk.note({"is": "cluster", "cluster": message.cluster})
        self.shots.tell_interrupted()
        self.rhythm.begin(now.monotonic, message.heartbeat_seconds, message.missed)

    def beats(self, now: Now) -> bool:
        """Whether a heartbeat is due."""
        return self.listening and self.rhythm.beats(now.monotonic)

    def tell_again(self, now: Now) -> None:
        """What was not heard, when it is time for that."""
        if self.listening and self.rhythm.tells_again(now.monotonic, bool(self.memory.outbox)):
            self.desk.tell_again()

    def next_due(self, looking: bool) -> float:
        """When any of it is due, in monotonic seconds; ``looking``: all is looked at already."""
        return self.rhythm.next_due(self.listening, looking, bool(self.memory.outbox))

    def deaf(self, now: Now) -> bool:
        """Whether the controller should have been heard by now: time to build the socket anew."""
        return self.listening and self.rhythm.silent(now.monotonic)
