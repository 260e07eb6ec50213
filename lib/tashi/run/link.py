"""The agent's line to the controller: one DEALER, built anew when it turns out to be dead.

A socket may be connected and deaf (a firewall that forgot, a peer that hangs), so who uses this judges by what it hears
and calls `rebuild`. Each rebuild goes to the next controller on the list, with the next key that it may have.
"""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable

import zmq

from tashi.agent.lines import Line
from tashi.run.keys import KeyPair
from tashi.run.loop import Loop
from tashi.wire.errors import Code, Refused

OPTIONS = {
    zmq.LINGER: 0,
    zmq.IMMEDIATE: 1,  # nothing is queued for somebody who is not there
    zmq.IPV6: 1,
    zmq.SNDHWM: 10_000,
    zmq.RCVHWM: 10_000,
    zmq.CONNECT_TIMEOUT: 5_000,  # ms, as all below
    zmq.HANDSHAKE_IVL: 5_000,
    zmq.HEARTBEAT_IVL: 10_000,
    zmq.HEARTBEAT_TIMEOUT: 30_000,
    zmq.TCP_KEEPALIVE: 1,
}
# ms between two tries to connect: the first, doubled up to the longest. Soon enough for a controller that starts, which
# judges after some heartbeats who is not there. libzmq draws no lots where there is a longest, so each socket has times
# of its own (SPREAD): agents that lost their controller in one moment must not come back in one.
FIRST_TRY, LONGEST_TRY = 100, 800
SPREAD = (0.5, 1.5)


class _Wire:
    """One socket on its way to one controller, with a context of its own."""

    def __init__(self, line: Line, address: str, pair: KeyPair) -> None:
        self.line, self.address = line, address
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.socket = dealer(self._context, line.server_key, pair)
        self.socket.monitor("inproc://link", zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        self.monitor = self._context.socket(zmq.PAIR)
        self.monitor.connect("inproc://link")

    def hang_up(self) -> None:
        """Without waiting: the context's own thread may be asking a DNS that does not answer."""
        self.socket.disable_monitor()
        self.monitor.close(0)
        self.socket.close(0)
        threading.Thread(target=self._context.term, daemon=True).start()


class Link:
    """``up`` is told when the controller is connected and when it is not any more; ``heard`` gets each frame.

    ``lines``: the controller's keys, the newest first. All are tried in turn; from one that is not the newest `renew`
    goes over to the newest, and lets go of what works only when that does.
    """

    def __init__(
        self,
        loop: Loop,
        lines: tuple[Line, ...],
        pair: KeyPair,
        up: Callable[[bool], None],
        heard: Callable[[bytes], None],
    ) -> None:
        self._loop, self.lines, self._pair = loop, lines, pair
        self._up, self._heard = up, heard
        self._builds = self._turn = -1
        self._wire: _Wire | None = None
        self._next: _Wire | None = None  # to the newest key, while the one in use works

    @property
    def line(self) -> Line:
        """The key and the addresses that are tried now."""
        return self._wire.line if self._wire is not None else self.lines[0]

    @property
    def address(self) -> str:
        """The controller that is tried now."""
        return self._wire.address if self._wire is not None else self.lines[0].addresses[0]

    def rebuild(self) -> None:
        """Drop the socket, if there is one, and connect a new one to the next controller."""
        self.close_next()
        self._drop(self._wire)
        self._turn += 1
        places = [(line, address) for line in self.lines for address in line.addresses]
        self._wire = self._build(*places[self._turn % len(places)])

    def renew(self) -> None:
        """Try the newest key beside the one in use. Does nothing where that is the newest."""
        newest = self.lines[0]
        if self.line.server_key != newest.server_key:
            self.close_next()
            self._next = self._build(newest, newest.addresses[self._builds % len(newest.addresses)])

    def close_next(self) -> None:
        """Give up on the newest key for now."""
        wire, self._next = self._next, None
        self._drop(wire)

    def send(self, frame: bytes) -> bool:
        """Without waiting; False when nobody takes it now."""
        if self._wire is None:
            return False
        try:
            self._wire.socket.send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def close(self) -> None:
        """Hang up for good."""
        self.close_next()
        wire, self._wire = self._wire, None
        self._drop(wire)

    def _build(self, line: Line, address: str) -> _Wire:
        self._builds += 1
        wire = _Wire(line, address, self._pair)
        self._loop.watch(wire.monitor, lambda _: self._watch(wire))
        self._loop.watch(wire.socket, lambda _: self._read(wire))
        connect(wire.socket, address)
        return wire

    def _drop(self, wire: _Wire | None) -> None:
        if wire is not None:
            self._loop.forget(wire.monitor)
            self._loop.forget(wire.socket)
            wire.hang_up()

    def _watch(self, wire: _Wire) -> None:
        """Each event is two frames, of which the first begins with its number (zmq_socket_monitor(3))."""
        while wire in (self._wire, self._next):
            try:
                event, _ = wire.monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            up = int.from_bytes(event[:2], sys.byteorder) == zmq.EVENT_HANDSHAKE_SUCCEEDED
            if wire is self._wire:
                self._up(up)
            elif up:
                self._go_over()

    def _go_over(self) -> None:
        """The newest key has been proven: the line is that one from now on."""
        former, self._wire, self._next = self._wire, self._next, None
        self._turn = 0
        self._drop(former)
        self._up(True)

    def _read(self, wire: _Wire) -> None:
        while wire is self._wire:
            try:
                frames = wire.socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._heard(frames[0])


def dealer(context: zmq.Context[zmq.Socket[bytes]], server_key: str, pair: KeyPair) -> zmq.Socket[bytes]:
    """A socket that believes only the controller with ``server_key``, and says with ``pair`` who we are."""
    socket = context.socket(zmq.DEALER)
    for option, value in OPTIONS.items():
        socket.setsockopt(option, value)
    socket.reconnect_ivl = int(FIRST_TRY * random.uniform(*SPREAD))
    socket.reconnect_ivl_max = int(LONGEST_TRY * random.uniform(*SPREAD))
    try:
        socket.curve_serverkey = server_key.encode()
    except zmq.ZMQError as error:
        socket.close(0)
        raise Refused(Code.BAD_REQUEST, f"server_key {server_key!r}: not a key of 40 characters (Z85)") from error
    socket.curve_publickey, socket.curve_secretkey = pair.public.encode(), pair.secret.encode()
    return socket


def connect(socket: zmq.Socket[bytes], address: str) -> None:
    """Begin to connect. Raises Refused for what is no address."""
    try:
        socket.connect(address)
    except zmq.ZMQError as error:
        raise Refused(Code.BAD_REQUEST, f"{address}: {error.strerror}", "an address is tcp://HOST:PORT") from error
