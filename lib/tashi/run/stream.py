"""An agent's stream port: where clients that the controller has sent come with a ticket, and bytes go both ways.

Theory of operation. A ticket names the key of its client; no other key gets so far as to say a word (ZAP), and the key
is worth nothing any more when the stream has ended. Each message comes with the key that CURVE has proven. A ticket is
used once: somebody who comes with its key while another connection has it ends both, for one of them is a thief. What
is kept for a client is bounded; what it has no credit for is dropped, the oldest first, and that is told.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec
import zmq

from tashi.run.keys import KeyPair
from tashi.run.log import Log
from tashi.run.loop import Loop
from tashi.run.zap import Zap
from tashi.wire.address import why_not_an_address
from tashi.wire.errors import Code, Refused, TashiError
from tashi.wire.stream import Beat, Begun, Break, Credit, Data, End, FromAgent, FromClient, Use
from tashi.wire.talk import BEAT_SECONDS, CHUNK_BYTES, CREDIT_MAX, SILENCE_SECONDS

DOMAIN = "stream"
AT_ONCE = 64  # messages in a turn: the loop has others to serve
INPUT_BYTES = 4096  # that a client may send before they are taken
EVERYWHERE = ("tcp://0.0.0.0:", "tcp://[::]:", "tcp://*:")
STREAMS = 64  # tickets at a time
OPTIONS = {
    zmq.LINGER: 1000,  # ms: a last word may still go out
    zmq.IPV6: 1,
    zmq.MAXMSGSIZE: 2 * CHUNK_BYTES,
    zmq.HANDSHAKE_IVL: 5_000,
    zmq.ROUTER_MANDATORY: 1,
    zmq.CURVE_SERVER: 1,
}

_encode = msgspec.json.Encoder().encode
_BEAT = _encode(Beat())
_read = msgspec.json.Decoder(FromClient).decode


def reached_at(listens: str, address: str) -> str:
    """Where clients come: ``address``, or where the port ``listens`` if that is one place. Raises Refused."""
    for key, value in (("stream", listens), ("stream_address", address)):
        if value and (not value.startswith("tcp://") or why_not_an_address(value)):
            raise Refused(Code.BAD_REQUEST, f"[zoni] {key}: {value!r} is no tcp://HOST:PORT")
    if not address and listens.startswith(EVERYWHERE):
        hint = 'stream_address = "tcp://HOST:PORT" says it'
        raise Refused(Code.BAD_REQUEST, f"[zoni] stream: {listens} is no place to come to", hint)
    return address or listens


class Ticket(NamedTuple):
    """What the controller has allowed: ``verb`` to the owner of ``key``, within ``seconds``, for ``object``, which is
    called ``name``."""

    id: str
    key: str
    verb: str
    object: str
    name: str
    seconds: float
    read_only: bool = False


class Service(Protocol):
    """What is behind a stream."""

    def begin(self) -> None:
        """The client is there."""

    def take(self, data: bytes) -> None:
        """Bytes of the client; `Stream.took` says when there is room for more."""

    def send_break(self) -> None: ...

    def ended(self, error: TashiError | None) -> None:
        """Nothing more comes or goes: by the client itself, or because of this."""


class Stream:
    """One ticket, from its arrival to the end of what it was used for."""

    def __init__(self, port: Port, ticket: Ticket, service: Service, now: float) -> None:
        self.ticket, self.service = ticket, service
        self.peer = b""
        self.sent_bytes = self.taken_bytes = 0
        self._port, self._ring, self._lost = port, bytearray(), 0
        self._credit = self._granted = 0
        self.until = now + ticket.seconds  # monotonic; later: when the client is taken for gone

    def open(self, note: str) -> None:
        """What is behind it is ready."""
        self._granted = 0 if self.ticket.read_only else INPUT_BYTES
        self._say(Begun(self._granted, note))

    def give(self, data: bytes) -> None:
        """Bytes for the client."""
        self._ring += data
        over = len(self._ring) - CREDIT_MAX
        if over > 0:
            del self._ring[:over]
            self._lost += over
        self._flush()

    def took(self, count: int) -> None:
        """Bytes of the client have arrived where they were for."""
        if not self.ticket.read_only:
            self._granted += count
            self._say(Credit(count))

    def end(self, error: TashiError | None) -> None:
        """Tell the client, and be done."""
        self._flush()
        self._say(End(error.code, error.text, error.hint) if error is not None else End())
        self._port.forget(self)

    def hear(self, message: FromClient, data: bytes, now: float) -> None:
        """A word of the one client that has it."""
        self.until = now + SILENCE_SECONDS
        match message:
            case Data():
                if len(data) > self._granted:
                    why = "this ticket is for reading only" if self.ticket.read_only else "it sent more than it may"
                    self.cut(Refused(Code.DENIED, f"{self.ticket.name}: {why}"))
                    return
                self._granted -= len(data)
                self.taken_bytes += len(data)
                self.service.take(data)
            case Credit(bytes=count):
                self._credit = min(self._credit + count, CREDIT_MAX)
                self._flush()
            case Break() if not self.ticket.read_only:
                self.service.send_break()
            case End():
                self._port.forget(self)
                self.service.ended(None)

    def use(self, peer: bytes, credit: int, now: float) -> None:
        self.peer, self._credit = peer, credit
        self.until = now + SILENCE_SECONDS
        self.service.begin()

    def cut(self, error: TashiError) -> None:
        """End it for a reason that is not its service's."""
        self.end(error)
        self.service.ended(error)

    def _flush(self) -> None:
        while self._ring and self._credit and self.peer:
            piece = bytes(self._ring[: min(self._credit, CHUNK_BYTES)])
            if not self._say(Data(self._lost), piece):
                return
            del self._ring[: len(piece)]
            self._credit -= len(piece)
            self.sent_bytes += len(piece)
            self._lost = 0

    def _say(self, message: FromAgent, *data: bytes) -> bool:
        return bool(self.peer) and self._port.send(self.peer, _encode(message), *data)


class Port:
    """All streams of an agent. ``pair`` is its own: clients are told the public half by the controller."""

    def __init__(self, loop: Loop, log: Log, address: str, pair: KeyPair) -> None:
        """Raises Refused when it can't listen at ``address``, ``tcp://HOST:PORT``."""
        self._loop, self._log = loop, log
        self._streams: dict[str, Stream] = {}  # by key
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._zap = Zap(self._context, loop, log, {DOMAIN: lambda key: key in self._streams})
        self._socket = self._context.socket(zmq.ROUTER)
        for option, value in OPTIONS.items():
            self._socket.setsockopt(option, value)
        self._socket.zap_domain = DOMAIN.encode()
        self._socket.curve_secretkey = pair.secret.encode()
        try:
            self._socket.bind(address)
        except zmq.ZMQError as error:
            hint = "[zoni] stream in tashi.toml is tcp://HOST:PORT"
            raise Refused(Code.IMPOSSIBLE, f"{address}: {error.strerror}", hint) from error
        loop.watch(self._socket, lambda _: self._serve())
        self._timer = loop.after(BEAT_SECONDS, self._beat)

    def expect(self, ticket: Ticket, service: Service) -> Stream:
        """Let the ticket's client in. Raises Refused: too many at a time, or its key has one already."""
        if ticket.key in self._streams:
            raise Refused(Code.CONFLICT, f"{ticket.name}: this key has a ticket already")
        if len(self._streams) >= STREAMS:
            raise Refused(Code.BUSY, f"{ticket.name}: {STREAMS} streams are open already")
        stream = self._streams[ticket.key] = Stream(self, ticket, service, self._loop.now())
        self._loop.at(stream.until, lambda: self._never_used(stream))
        return stream

    def forget(self, stream: Stream) -> None:
        """Its key is worth nothing from now on."""
        if self._streams.get(stream.ticket.key) is stream:
            del self._streams[stream.ticket.key]

    def send(self, peer: bytes, *frames: bytes) -> bool:
        """Without waiting; False when it is not taken now, or never will be."""
        try:
            self._socket.send_multipart([peer, *frames], zmq.NOBLOCK)
        except zmq.ZMQError:  # its buffers are full, or it is gone: the next sign of life tells
            return False
        return True

    def close(self) -> None:
        """Nobody is told but the clients, that it is over."""
        self._timer.cancel()
        for stream in list(self._streams.values()):
            stream.end(TashiError(Code.UNAVAILABLE, f"{stream.ticket.name}: its zoni agent ends"))
        self._zap.close()
        self._loop.forget(self._socket)
        self._context.destroy(linger=OPTIONS[zmq.LINGER])

    def _serve(self) -> None:
        for _ in range(AT_ONCE):
            try:
                peer, head, *rest = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            except ValueError:  # a single frame: no word of ours
                continue
            stream = self._streams.get(str(head.get("User-Id")))
            if stream is not None:
                self._hear(stream, peer.bytes, head.bytes, rest[0].bytes if rest else b"")

    def _hear(self, stream: Stream, peer: bytes, head: bytes, data: bytes) -> None:
        try:
            message = _read(head)
        except (ValueError, RecursionError):
            stream.cut(Refused(Code.BAD_REQUEST, f"{stream.ticket.name}: not the words of a stream"))
            return
        now = self._loop.now()
        if stream.peer and peer != stream.peer:
            self._log.warning("a ticket was used twice", ticket=stream.ticket.id, object=stream.ticket.object)
            why = "its ticket was used twice, and is worth nothing now"
            stolen = Refused(Code.DENIED, f"{stream.ticket.name}: {why}")
            self.send(peer, _encode(End(stolen.code, stolen.text)))
            stream.cut(stolen)
        elif stream.peer:
            stream.hear(message, data, now)
        elif isinstance(message, Use) and message.ticket == stream.ticket.id:
            stream.use(peer, message.credit, now)
        else:
            self.send(peer, _encode(End(Code.DENIED, f"{stream.ticket.name}: say which ticket is used, first")))

    def _never_used(self, stream: Stream) -> None:
        if not stream.peer and self._streams.get(stream.ticket.key) is stream:
            why = f"nobody came within {stream.ticket.seconds:g} s"
            stream.cut(TashiError(Code.UNAVAILABLE, f"{stream.ticket.name}: {why}"))

    def _reaches(self, peer: bytes) -> bool:
        """Give a sign of life; False when there is no such connection any more."""
        try:
            self._socket.send_multipart([peer, _BEAT], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            return error.errno != zmq.EHOSTUNREACH
        return True

    def _beat(self) -> None:
        self._timer = self._loop.after(BEAT_SECONDS, self._beat)
        for stream in [each for each in self._streams.values() if each.peer]:
            why = "" if self._reaches(stream.peer) else "its client has hung up"
            if self._loop.now() > stream.until:
                why = f"its client was not heard for {SILENCE_SECONDS:g} s"
            if why:
                stream.cut(TashiError(Code.UNAVAILABLE, f"{stream.ticket.name}: {why}"))
