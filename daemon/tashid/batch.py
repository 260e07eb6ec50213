"""What one commit will make durable, and what leaves after it."""

from __future__ import annotations

from typing import Any

import msgspec

from tashi.core.cluster import Decision, Mark, Park
from tashi.core.decision import Entry
from tashi.core.turn import Sent
from tashi.wire.agents import Rows
from tashi.wire.messages import Reply
from tashid.incoming import Incoming

_encode = msgspec.json.Encoder().encode


class Batch:
    """``mark`` is where the core was before, ``began`` when that was, in monotonic seconds."""

    def __init__(self, mark: Mark, began: float) -> None:
        self.mark, self.began = mark, began
        self.events: list[Incoming | None] = []  # None: time passed
        self.log: list[Entry] = []
        self.bytes = 0
        self.urgent = True
        self.sending: list[tuple[Any, list[bytes]]] = []
        self.orders: dict[str, list[Sent]] = {}  # by host
        self.replies: list[tuple[Any, Reply, bytes | None]] = []
        self.parks: list[tuple[Incoming, Park]] = []
        self.wake: set[str] = set()
        self.epoch_above = 0

    def note(self, decision: Decision, reply: Reply | None, message: Incoming | None) -> None:
        """Take in what was decided about a message, or about the time; ``reply`` is what to answer."""
        connection = message.connection if message is not None else None
        if decision.log:
            for entry in decision.log:
                self.log.append(entry)
                self.bytes += len(entry.value)
            self.urgent = self.urgent and decision.urgent
        if reply is not None:
            self.replies.append((connection, reply, decision.rows))
        if decision.park is not None and message is not None:
            self.parks.append((message, decision.park))
        for each in decision.back:
            self.sending.append((connection, [_encode(each)]))
        for host, order in decision.effects:
            _append(self.orders.setdefault(host, []), order)
        if decision.wake:
            self.wake |= decision.wake
        self.epoch_above = max(self.epoch_above, decision.epoch_above)


def _append(orders: list[Sent], message: Sent) -> None:
    """Rows that follow one another leave as one message: one to encode, encrypt and send."""
    if orders and isinstance(message, Rows) and isinstance(orders[-1], Rows):
        orders[-1].rows.extend(message.rows)
    else:
        orders.append(message)
