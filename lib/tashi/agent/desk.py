"""Where one step of the mind is put together: what is written down, which calls begin, what is said.

The desk numbers calls and messages, and knows what each call under way is for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from tashi.agent.events import Call, Called, Identity, Steps
from tashi.agent.journal import Memory
from tashi.wire.agents import (
    Acked,
    AgentMessage,
    Inventory,
    Row,
    Seen,
    ShotDone,
    Tell,
)


class Doing(NamedTuple):
    """What a call under way is for: a row, a one-shot (``job``), or only a look; ``ask``: the question it answers."""

    verb: str
    vm: str = ""
    row: Row | None = None
    job: str = ""
    ask: int = 0


def seen_by(called: Called, doing: Doing) -> Seen:
    """What a call saw, as the answer to the question that was open when it began."""
    return msgspec.structs.replace(msgspec.convert(called.value, Seen), answer=doing.ask)


class Desk:
    def __init__(self, memory: Memory, identity: Identity) -> None:
        self.memory, self.identity = memory, identity
        self.listening = False  # the controller has greeted us
        self.doing: dict[int, Doing] = {}
        self._seq = self._call = self._inventory = 0
        self._out = Steps([], [], [])

    def clear(self) -> Steps:
        """A new step; the list that it fills."""
        self._out = Steps([], [], [])
        return self._out

    def note(self, record: dict[str, Any]) -> None:
        """Into the journal, and into memory."""
        self.memory.apply(record)
        self._out.journal.append(record)

    def call(self, verb: str, args: dict[str, Any], seconds: float, doing: Doing) -> int:
        """Begin a driver call; its number."""
        self._call += 1
        self.doing[self._call] = doing
        ours = {"cluster": self.memory.cluster} if self.memory.cluster else {}
        self._out.calls.append(Call(self._call, verb, args | ours, seconds))
        return self._call

    def migrating(self, vm: str) -> Doing | None:
        """The call that migrates a guest away, if one is under way."""
        return next((each for each in self.doing.values() if each.verb == "migrate" and each.vm == vm), None)

    def send(self, message: AgentMessage) -> None:
        self._out.messages.append(message)

    def tell(self, seen: Seen | None = None, shot: ShotDone | None = None) -> None:
        """Into the outbox; sent at once when somebody listens."""
        self._seq += 1
        who = self.identity
        message = Tell(who.incarnation, self._seq, who.boot_id, seen=seen, shot=shot)
        self.note({"is": "tell", "message": msgspec.to_builtins(message)})
        if self.listening:
            self.send(message)

    def tell_again(self) -> None:
        """All that was not acknowledged yet, in order."""
        for kept in self.memory.outbox.values():
            self.send(msgspec.convert(kept, Tell))

    def is_heard(self, acked: Acked) -> bool:
        """Drop what was heard from the outbox; whether the last inventory was."""
        seqs = [seq for seq in acked.seqs if (acked.incarnation, seq) in self.memory.outbox]
        if seqs:
            self.note({"is": "acked", "incarnation": acked.incarnation, "seqs": seqs})
        return acked.incarnation == self.identity.incarnation and self._inventory in acked.seqs

    def tell_all(self, guests: list[Seen], wall_seconds: float) -> None:
        """The whole inventory. A lost one is not repeated: the next is newer, and made the sooner."""
        self._seq += 1
        self._inventory = self._seq
        who = self.identity
        self.send(Inventory(who.incarnation, self._seq, who.boot_id, guests, wall_seconds))
