"""The least that a Python server can do for a request: take it, decode and validate it, encode an answer, send that.

One ROUTER, drained as the controller drains its own. Run as ``python -m tests.bench.echo ADDRESS``; ends by a signal.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import zmq

from tashi.wire.messages import Reply, Request
from tests.daemon.processes import environment

AT_ONCE = 256  # messages in one turn
NOBLOCK, MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE)


@contextmanager
def echo(address: str) -> Iterator[int]:
    """A process that echoes at this address; its pid."""
    process = subprocess.Popen([sys.executable, "-m", "tests.bench.echo", address], env=environment())
    try:
        yield process.pid
    finally:
        process.kill()
        process.wait()


def serve(address: str) -> None:
    """Answer for ever."""
    decode, encode = msgspec.json.Decoder(Request).decode, msgspec.json.Encoder().encode
    socket = zmq.Context().socket(zmq.ROUTER)
    socket.bind(address)
    while True:
        socket.poll()
        for _ in range(AT_ONCE):
            try:
                sender = socket.recv(NOBLOCK)
            except zmq.Again:
                break
            request = decode(socket.recv())
            socket.send(sender, MORE)
            socket.send(encode(Reply(request.id, request.body)), NOBLOCK)


if __name__ == "__main__":
    serve(sys.argv[1])
