"""What is fuzzed of an agent's stream port: the words of a client that has a ticket, and bytes with them."""

from __future__ import annotations

from typing import Any, cast

from tashi.run.stream import INPUT_BYTES, Port, Stream, Ticket
from tashi.run.stream import _read as read
from tashi.wire.errors import TashiError
from tashi.wire.stream import Use
from tashi.wire.talk import CREDIT_MAX

BYTES = b"\x1b[31m" * 1000


class _Port:
    """It sends to nobody."""

    def send(self, peer: bytes, *frames: bytes) -> bool:
        return True

    def forget(self, stream: Stream) -> None:
        """There is no other."""


class _Echo:
    def __init__(self) -> None:
        self.stream: Stream
        self.got = self.over = 0

    def begin(self) -> None:
        self.stream.open("")

    def take(self, data: bytes) -> None:
        self.got += len(data)
        self.stream.give(data)
        self.stream.took(len(data))

    def send_break(self) -> None:
        self.stream.give(BYTES)

    def ended(self, error: TashiError | None) -> None:
        self.over += 1


def words(data: bytes) -> None:
    """A word a line, and the bytes that follow it in the next one: what is kept is bounded, and it ends once."""
    service: Any = _Echo()
    stream = service.stream = Stream(cast(Port, _Port()), Ticket("j-1", "k", "console", "m-1", "m1", 5.0), service, 0.0)
    stream.use(b"peer", 0, 0.0)
    lines = data.split(b"\n")
    for number, line in enumerate(lines):
        try:
            word = read(line)
        except (ValueError, RecursionError):
            continue
        if service.over or isinstance(word, Use):
            continue
        rest = lines[number + 1] if number + 1 < len(lines) else b""
        before = service.got
        stream.hear(word, rest, float(number))
        assert service.got - before <= INPUT_BYTES
        assert len(stream._ring) <= CREDIT_MAX and 0 <= stream._credit <= CREDIT_MAX and service.over <= 1
