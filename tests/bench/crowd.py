"""Thousands of agents in a few processes: each with its own key and its own encrypted connection, all at their beat.

They are hosts that cost nothing (see hosts.py). They join a few at a time, as hosts of a cluster that is switched on
do, and their beats are spread over the interval; what the controller says is heard when a beat is due. One that has
lost its controller says hello as soon as there is one.

Run as ``python -m tests.bench.crowd CONTROLLER SERVER_KEY SECONDS`` (an address, a key, a beat's interval), with lines
"HOST PUBLIC SECRET" on its standard input; says `there` when all are welcome, ends by a signal.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from heapq import heappush, heapreplace
from itertools import islice

import zmq

from tashi.run.keys import KeyPair
from tashi.run.link import connect, dealer
from tests.bench.hosts import Host
from tests.daemon.processes import environment

OF_A_PROCESS = 2500  # each takes two descriptors
AT_ONCE = 50  # that join in one turn
JOIN_MS = 60_000
ASTRAY_SECONDS = 0.2  # between two looks of one that is not welcome


@contextmanager
def crowd(controller: str, server_key: str, seconds: float, pairs: Sequence[KeyPair]) -> Iterator[None]:
    """All of them, from when they are there on, in as many processes as it takes. Their hosts are host1, host2..."""
    numbered = list(enumerate(pairs, 1))
    with ExitStack() as undo:
        for first in range(0, len(numbered), OF_A_PROCESS):
            some = numbered[first : first + OF_A_PROCESS]
            undo.enter_context(process_of(controller, server_key, seconds, some))
        yield


@contextmanager
def process_of(controller: str, server_key: str, seconds: float, some: Sequence[tuple[int, KeyPair]]) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.crowd", controller, server_key, str(seconds)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    try:
        assert process.stdin is not None and process.stdout is not None
        lines = (f"host{number} {pair.public} {pair.secret}\n" for number, pair in some)
        process.stdin.write("".join(lines))
        process.stdin.close()
        assert process.stdout.readline() == "there\n", "the agents did not get there"
        yield
    finally:
        process.kill()
        process.wait()


def serve(controller: str, server_key: str, seconds: float) -> None:
    """Be there for ever."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    coming = [(name, KeyPair(public, secret)) for name, public, secret in map(str.split, sys.stdin)]
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    context.set(zmq.MAX_SOCKETS, len(coming) + 100)
    expected, rest = len(coming), iter(coming)
    due: list[tuple[float, int, Host]] = []  # a heap: when, its number, the host
    while True:
        now = time.monotonic()
        while due and due[0][0] <= now:
            when, number, host = due[0]
            host.listen()
            host.beat()
            heapreplace(due, (when + seconds if host.welcome else now + ASTRAY_SECONDS, number, host))
        if len(due) == expected:
            time.sleep(max(0.0, due[0][0] - time.monotonic()))
            continue
        for host in join(context, controller, server_key, islice(rest, AT_ONCE)):
            heappush(due, (now + seconds, len(due), host))
        if len(due) == expected:
            due = [(now + seconds * number / expected, number, host) for _, number, host in sorted(due)]
            print("there", flush=True)


def join(
    context: zmq.Context[zmq.Socket[bytes]], controller: str, server_key: str, some: Iterator[tuple[str, KeyPair]]
) -> list[Host]:
    """Connect these, and be welcome."""
    sockets = []
    for name, pair in some:
        socket = dealer(context, server_key, pair)
        connect(socket, controller)
        sockets.append((name, socket))
    hosts = []
    for name, socket in sockets:
        if not socket.poll(JOIN_MS, zmq.POLLOUT):
            raise SystemExit(f"{name}: no connection to {controller}")
        hosts.append(Host(name, socket))
    for host in hosts:
        if not host.socket.poll(JOIN_MS):
            raise SystemExit(f"{host.name}: not welcome")
        host.listen()
    return hosts


if __name__ == "__main__":
    serve(sys.argv[1], sys.argv[2], float(sys.argv[3]))
