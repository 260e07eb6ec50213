"""Hosts that cost nothing: agents that are there, have no guests, and do nothing that they are told.

They enrol, say hello with a great deal of room, send an empty inventory and their beats, and look into an image when
asked, so that placement, rows and encryption are real, and what is measured is the controller alone.

Run as ``python -m tests.bench.hosts ENROL CONTROLLER SERVER_KEY SECONDS`` (two addresses, a key, a beat's interval),
with lines "HOST TOKEN" on its standard input; ends by a signal.
"""

from __future__ import annotations

import math
import sys
import time
import uuid

import msgspec
import zmq

from tashi.model.host import Facts
from tashi.run.enroll import Answer
from tashi.run.keys import KeyPair, new_pair
from tashi.run.link import connect, dealer
from tashi.wire.agents import (
    Beat,
    ControllerMessage,
    Hello,
    Inventory,
    Rejected,
    Shot,
    ShotDone,
    Tell,
    Welcome,
)
from tashi.wire.messages import Enroll, Request

CORES, MEMORY_BYTES, POOL_BYTES = 4096, 2**50, 2**60  # of each host; of the pool
ENROL_MS = 10_000
HELLO_SECONDS = 3.0  # without a welcome; then another hello, as agents do

_encode = msgspec.json.Encoder().encode
_message = msgspec.json.Decoder(ControllerMessage).decode


class Host:
    """One agent's side of the conversation."""

    def __init__(self, name: str, socket: zmq.Socket[bytes]) -> None:
        self.name, self.socket = name, socket
        self._boot, self._seq = str(uuid.uuid4()), 1
        facts = Facts(CORES, MEMORY_BYTES, pool_bytes=POOL_BYTES, migrate_uri=f"fake://{name}")
        self._hello = Hello(name, uuid.uuid4().hex, self._boot, 1, 0, facts)
        self.welcome, self._hello_at = False, 0.0
        self.beat()

    def beat(self) -> None:
        """Say that it is there; who it is, where nobody has greeted it yet."""
        now = time.monotonic()
        if self.welcome:
            self._say(Beat())
        elif now >= self._hello_at and self._say(self._hello):
            self._hello_at = now + HELLO_SECONDS

    def listen(self) -> None:
        """Take what has come."""
        while True:
            try:
                frame = self.socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            if not frame.startswith(b'{"say":"rows"'):
                self._hear(_message(frame))

    def _hear(self, message: ControllerMessage) -> None:
        if isinstance(message, Rejected):  # another process of the controller, which has not been told who this is
            self._astray()
        elif isinstance(message, Welcome):
            self.welcome = True
            self._say(Inventory(1, self._seq, self._boot, []))
        elif isinstance(message, Shot):
            self._seq += 1
            done = ShotDone(message.job, "done", result={"size_bytes": str(2**30)})
            self._say(Tell(1, self._seq, self._boot, shot=done))

    def _astray(self) -> None:
        self.welcome, self._hello_at = False, 0.0

    def _say(self, message: Hello | Inventory | Beat | Tell) -> bool:
        try:
            self.socket.send(_encode(message), zmq.NOBLOCK)
        except zmq.Again:  # the connection is gone, and libzmq is making another
            self._astray()
            return False
        return True


def enrol(context: zmq.Context[zmq.Socket[bytes]], address: str, server_key: str, name: str, token: str) -> KeyPair:
    """Buy this host's key its place."""
    pair = new_pair()
    socket = dealer(context, server_key, pair)
    connect(socket, address)
    socket.poll(ENROL_MS, zmq.POLLOUT)
    socket.send(_encode(Request(uuid.uuid4().hex, "enroll", msgspec.Raw(_encode(Enroll(token, name, pair.public))))))
    if not socket.poll(ENROL_MS):
        raise SystemExit(f"{name}: no answer from {address}")
    reply = msgspec.json.decode(socket.recv(), type=Answer)
    if reply.error is not None:
        raise SystemExit(f"{name}: {reply.error.text}")
    socket.close(0)
    return pair


def serve(enrolment: str, controller: str, server_key: str, seconds: float) -> None:
    """Be there for ever."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    poller, hosts = zmq.Poller(), {}
    for name, token in map(str.split, sys.stdin):
        socket = dealer(context, server_key, enrol(context, enrolment, server_key, name, token))
        connect(socket, controller)
        socket.poll(ENROL_MS, zmq.POLLOUT)
        hosts[socket] = Host(name, socket)
        poller.register(socket, zmq.POLLIN)
    while True:
        for host in hosts.values():
            host.beat()
        next_beat = time.monotonic() + seconds
        while (left := next_beat - time.monotonic()) > 0:
            for socket, _ in poller.poll(math.ceil(left * 1000)):
                hosts[socket].listen()


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4]))
