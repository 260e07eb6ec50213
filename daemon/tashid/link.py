"""The agent's line to the controller: one DEALER, built anew when it turns out to be dead.

A socket may be connected and deaf (a firewall that forgot, a peer that hangs), so who uses this judges by what it hears
and calls `rebuild`. Each rebuild goes to the next controller on the list.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Callable

import zmq

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


class Link:
    """``up`` is told when the controller is connected and when it is not any more; ``heard`` gets each frame."""

    def __init__(
        self,
        loop: Loop,
        addresses: tuple[str, ...],
        server_key: str,
        pair: KeyPair,
        up: Callable[[bool], None],
        heard: Callable[[bytes], None],
    ) -> None:
        self._loop, self._addresses, self._server_key, self._pair = loop, addresses, server_key, pair
        self._up, self._heard = up, heard
        self._context = zmq.Context()
        self._builds = -1
        self._open: tuple[zmq.Socket[bytes], zmq.Socket[bytes]] | None = None

    @property
    def address(self) -> str:
        """The controller that is tried now."""
        return self._addresses[self._builds % len(self._addresses)]

    def rebuild(self) -> None:
        """Drop the socket, if there is one, and connect a new one to the next controller."""
        self._drop()
        self._builds += 1
        socket = dealer(self._context, self._server_key, self._pair)
        channel = f"inproc://link-{self._builds}"
        socket.monitor(channel, zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
        monitor = self._context.socket(zmq.PAIR)
        monitor.connect(channel)
        self._open = (socket, monitor)
        self._loop.watch(monitor, lambda _: self._watch(monitor))
        self._loop.watch(socket, lambda _: self._read(socket))
        connect(socket, self.address)

    def send(self, frame: bytes) -> bool:
        """Without waiting; False when nobody takes it now."""
        if self._open is None:
            return False
        try:
            self._open[0].send(frame, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def close(self) -> None:
        """Hang up for good."""
        self._drop()
        self._context.term()

    def _drop(self) -> None:
        if self._open is not None:
            socket, monitor = self._open
            self._open = None
            self._loop.forget(monitor)
            self._loop.forget(socket)
            socket.disable_monitor()
            monitor.close(0)
            socket.close(0)

    def _watch(self, monitor: zmq.Socket[bytes]) -> None:
        """Each event is two frames, of which the first begins with its number (zmq_socket_monitor(3))."""
        while True:
            try:
                event, _ = monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._up(int.from_bytes(event[:2], sys.byteorder) == zmq.EVENT_HANDSHAKE_SUCCEEDED)
            if self._open is None or self._open[1] is not monitor:
                return

    def _read(self, socket: zmq.Socket[bytes]) -> None:
        while self._open is not None and self._open[0] is socket:
            try:
                frames = socket.recv_multipart(zmq.NOBLOCK)
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
