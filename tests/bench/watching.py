"""Watchers: long polls on the change log from one process, each on a connection of its own, asked anew when answered.

Run as ``python -m tests.bench.watching ADDRESS SERVER_KEY``, with lines "PUBLIC SECRET" on its standard input, one for
each watcher; says `there` when all watch, ends by a signal.
"""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import zmq

from tashi.run.keys import KeyPair
from tashi.run.link import connect, dealer
from tashi.wire.messages import Changes, Problem
from tests.daemon.processes import environment

CONNECT_MS, WAIT_SECONDS, ENTRIES = 20_000, 25, 100


class Answer(msgspec.Struct, frozen=True):
    """A reply to a long poll."""

    ok: Changes | None = None
    error: Problem | None = None


_answer = msgspec.json.Decoder(Answer).decode


@contextmanager
def watching(address: str, server_key: str, pairs: Sequence[KeyPair]) -> Iterator[None]:
    """The process, from when all of them watch on."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.watching", address, server_key],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write("".join(f"{pair.public} {pair.secret}\n" for pair in pairs))
        process.stdin.close()
        assert process.stdout.readline() == "there\n", "the watchers did not get there"
        yield
        assert process.poll() is None, "the watchers have ended"
    finally:
        process.kill()
        process.wait()


def watch(address: str, server_key: str) -> None:
    """Watch for ever."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    poller, sockets = zmq.Poller(), []
    for public, secret in map(str.split, sys.stdin):
        socket = dealer(context, server_key, KeyPair(public, secret))
        connect(socket, address)
        poller.register(socket, zmq.POLLIN)
        sockets.append(socket)
    for socket in sockets:
        if not socket.poll(CONNECT_MS, zmq.POLLOUT):
            raise SystemExit(f"no connection to {address}")
        ask(socket, after=-1, wait=0)
    for socket in sockets:
        if not socket.poll(CONNECT_MS):
            raise SystemExit(f"no answer from {address}")
        ask(socket, revision(socket.recv()), WAIT_SECONDS)
    print("there", flush=True)
    while True:
        for socket, _ in poller.poll():
            ask(socket, revision(socket.recv()), WAIT_SECONDS)


def ask(socket: zmq.Socket[bytes], after: int, wait: float) -> None:
    body: dict[str, Any] = {"after": after, "wait_seconds": wait, "limit": ENTRIES}
    socket.send(msgspec.json.encode({"id": uuid.uuid4().hex, "verb": "changes", "body": body}))


def revision(frame: bytes) -> int:
    """Where to go on from."""
    answer = _answer(frame)
    if answer.ok is None:
        raise SystemExit(f"refused: {answer.error}")
    return answer.ok.revision


if __name__ == "__main__":
    watch(sys.argv[1], sys.argv[2])
