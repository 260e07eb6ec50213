"""Where one step of a mind is put together: what is written down, which calls begin, what is said.

The desk numbers calls and messages, and knows what each call under way is for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from tashi.agent.events import Call, Identity, Steps
from tashi.agent.journal import Memory
from tashi.wire.agents import Acked, ShotDone


class Doing(NamedTuple):
    """What a call under way is for: a row ``of`` an object, a one-shot (``job``), or only a look; ``ask``: the question
    it answers."""

    verb: str
    of: str = ""
    row: Any = None
    job: str = ""
    ask: int = 0


class Tongue(NamedTuple):
    """What this kind of agent says: ``tell`` of (incarnation, seq, boot id) and what is told, and ``inventory`` of the
    same, all of it, and wall."""

    tell: Callable[..., msgspec.Struct]
    inventory: Callable[[int, int, str, list[Any], float], msgspec.Struct]


class Desk:
    """``marked``: each call says whose objects are ours."""

    def __init__(self, memory: Memory, identity: Identity, tongue: Tongue, marked: bool = False) -> None:
        self.memory, self.identity = memory, identity
        self.listening = False  # the controller has greeted us
        self.doing: dict[int, Doing] = {}
        self._tongue, self._marked = tongue, marked
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
        ours = {"cluster": self.memory.cluster} if self._marked and self.memory.cluster else {}
        self._out.calls.append(Call(self._call, verb, args | ours, seconds))
        return self._call

    def send(self, message: msgspec.Struct) -> None:
        self._out.messages.append(message)

    def tell(self, seen: Any = None, shot: ShotDone | None = None, **more: Any) -> None:
        """Into the outbox; sent at once when somebody listens. ``more``: what else this kind of agent tells of."""
        self._seq += 1
        who = self.identity
        message = self._tongue.tell(who.incarnation, self._seq, who.boot_id, seen=seen, shot=shot, **more)
        self.note({"is": "tell", "message": msgspec.to_builtins(message)})
        if self.listening:
            self.send(message)

    def tell_again(self) -> None:
        """All that was not acknowledged yet, in order."""
        for kept in self.memory.outbox.values():
            self.send(msgspec.convert(kept, self._tongue.tell))

    def is_heard(self, acked: Acked) -> bool:
        """Drop what was heard from the outbox; whether the last inventory was."""
        seqs = [seq for seq in acked.seqs if (acked.incarnation, seq) in self.memory.outbox]
        if seqs:
            self.note({"is": "acked", "incarnation": acked.incarnation, "seqs": seqs})
        return acked.incarnation == self.identity.incarnation and self._inventory in acked.seqs

    def tell_all(self, every: list[Any], wall_seconds: float) -> None:
        """The whole inventory. A lost one is not repeated: the next is newer, and made the sooner."""
        self._seq += 1
        self._inventory = self._seq
        who = self.identity
        self.send(self._tongue.inventory(who.incarnation, self._seq, who.boot_id, every, wall_seconds))
