"""A client's end of a stream: one connection to an agent, for the one ticket that the controller gave.

The words are those of `tashi.wire.stream`, built by hand: a command loads no msgspec. Nothing is tried twice: a ticket
is used once, and a connection that is lost is the end of what it was for.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, NamedTuple

import zmq

from tashi.wire.envelope import error
from tashi.wire.errors import Code, Fault, TashiError, Unavailable
from tashi.wire.talk import BEAT_SECONDS, CREDIT_MAX, SILENCE_SECONDS

LOST = zmq.EVENT_DISCONNECTED | zmq.EVENT_CLOSED | zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
LOST |= zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_CONNECT_RETRIED
OPTIONS = {
    zmq.LINGER: 1000,  # ms: the last word may still go out
    zmq.IPV6: 1,
    zmq.RECONNECT_IVL: -1,
    zmq.HANDSHAKE_IVL: 10_000,
    zmq.MAXMSGSIZE: 2 * CREDIT_MAX,
}


class Keys(NamedTuple):
    """A pair that is made for one stream. Z85 text."""

    public: str
    secret: str


def new_keys() -> Keys:
    public, secret = zmq.curve_keypair()
    return Keys(public.decode(), secret.decode())


class Word(NamedTuple):
    """What an agent has said: ``open`` with a credit and a note, ``data`` after ``lost`` bytes, ``credit``, ``end``."""

    say: str
    data: bytes
    head: dict[str, Any]


class Stream:
    """``whose``: what the stream is of, for errors. Sockets to poll: `socket` and `monitor`."""

    def __init__(self, whose: str, address: str, server_key: str, keys: Keys, ticket: str) -> None:
        self._whose, self._address = whose, address
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = self._context.socket(zmq.DEALER)
        for option, value in OPTIONS.items():
            self.socket.setsockopt(option, value)
        try:
            self.socket.curve_serverkey = server_key.encode()
            self.socket.curve_publickey, self.socket.curve_secretkey = keys.public.encode(), keys.secret.encode()
            self.socket.monitor("inproc://stream", LOST)
            self.monitor = self._context.socket(zmq.PAIR)
            self.monitor.connect("inproc://stream")
            self.socket.connect(address)
        except zmq.ZMQError as wrong:
            raise Unavailable(f"{whose}: {address}: {wrong.strerror}", "[zoni] stream_address says where") from wrong
        self._heard_at = time.monotonic()
        self._beat_at = self._heard_at + BEAT_SECONDS
        self._say("use", ticket=ticket, credit=CREDIT_MAX)

    @property
    def due(self) -> float:
        """When `keep_up` has to be called, in monotonic seconds."""
        return min(self._beat_at, self._heard_at + SILENCE_SECONDS)

    def keep_up(self) -> None:
        """Give a sign of life, and look for the agent's. Raises Unavailable when there is none."""
        now = time.monotonic()
        if now >= self._heard_at + SILENCE_SECONDS:
            raise Unavailable(f"{self._whose}: its zoni agent at {self._address} is not heard any more")
        if now >= self._beat_at:
            self._beat_at = now + BEAT_SECONDS
            self._say("beat")

    def words(self) -> list[Word]:
        """What has come. Raises what the agent says that it ended with, Unavailable when the connection is lost."""
        found = []
        while _readable(self.socket):
            head, *rest = self.socket.recv_multipart()
            self._heard_at = time.monotonic()
            try:
                word = json.loads(head)
                said = Word(str(word["say"]), rest[0] if rest else b"", word)
            except (ValueError, KeyError, TypeError, RecursionError) as wrong:
                raise Fault(f"what answers at {self._address} is no zoni agent: {wrong}") from wrong
            found.append(said)
        if not found and _readable(self.monitor):
            raise self._lost()
        return found

    def give(self, data: bytes) -> None:
        """Bytes, no more than there is credit for."""
        self._say("data", data)

    def took(self, count: int) -> None:
        """So many bytes have gone where they were for."""
        self._say("credit", bytes=count)

    def send_break(self) -> None:
        self._say("break")

    def close(self, last: bool) -> None:
        """Hang up; with a ``last`` word, that it is done with."""
        if last:
            self._say("end")
        self.socket.disable_monitor()
        self.monitor.close(0)
        self.socket.close(OPTIONS[zmq.LINGER] if last else 0)
        self._context.term()

    def _say(self, word: str, *data: bytes, **more: Any) -> None:
        try:
            self.socket.send_multipart([json.dumps({"say": word} | more).encode(), *data], zmq.NOBLOCK)
        except zmq.Again:
            raise self._lost() from None

    def _lost(self) -> TashiError:
        event = 0
        if _readable(self.monitor):
            event = int.from_bytes(self.monitor.recv_multipart()[0][:2], sys.byteorder)
        if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            return TashiError(Code.DENIED, f"{self._whose}: its zoni agent does not know this ticket, or no more")
        return Unavailable(f"{self._whose}: the connection to its zoni agent at {self._address} is lost")


def end_of(word: Word) -> TashiError | None:
    """What a stream ended with, by its last word; None for an end as it should be."""
    return error(word.head) if word.head.get("code") else None


def _readable(socket: zmq.Socket[bytes]) -> bool:
    events = socket.getsockopt(zmq.EVENTS)
    return isinstance(events, int) and bool(events & zmq.POLLIN)
