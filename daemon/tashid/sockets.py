"""The controller's doors: one ROUTER for each kind of caller, bound, restricted, drained and answered here.

    admin.sock  root and the controller's own uid            gives at most: admin
    user.sock   the group named in tashi.toml                               operator
    user        tcp, CURVE, keys of registered users                        operator
    admin       tcp, CURVE, keys of registered users                        admin
    agent       tcp, CURVE, keys of enrolled hosts                          agent
    enroll      tcp, CURVE, any key, one verb, small messages               enroll

CURVE has one key a socket: while the controller has two, those on tcp are there twice, on ports of their own.

A connection is (port, routing id), where the id is the one that our socket gave it. There is no ROUTER_HANDOVER: with
it, a client that claims another's routing id gets the other's messages.
"""

from __future__ import annotations

import errno
import grp
import os
from collections import deque
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import zmq

from tashi.config import Controller
from tashi.run.log import Log
from tashi.run.loop import Source
from tashi.run.server_keys import ServerKey
from tashi.wire.errors import Code, Refused
from tashid.incoming import Incoming
from tashid.principal import Peer, uid_of_address

MIB = 2**20
NOBLOCK, MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE)  # numbers: the `|` of an enum costs as much as a send
PEERS_KEPT = 1000
Connection = tuple[str, bytes]  # port, routing id


class Door(NamedTuple):
    """A port's name, the most that it gives its callers, the bytes of the largest message it takes, and its key."""

    name: str
    role: str
    largest: int
    server: str = ""


LOCAL = (Door("admin.sock", "admin", MIB), Door("user.sock", "operator", MIB))
REMOTE = (
    Door("user", "operator", MIB),
    Door("admin", "admin", MIB),
    Door("agent", "agent", 16 * MIB),
    Door("enroll", "enroll", 4096),
)

COMMON = {
    zmq.LINGER: 0,
    zmq.ROUTER_MANDATORY: 1,  # an answer to somebody who has gone is an error, not a silent loss
    zmq.SNDHWM: 1000,
    zmq.RCVHWM: 1000,
    zmq.BACKLOG: 4096,
    zmq.HANDSHAKE_IVL: 5_000,  # ms; who says nothing for so long is cut off
}
# What an agent says while the controller is busy stays with it: ten thousand full queues would be the machine's memory.
UNREAD_EACH = {zmq.RCVHWM: 50}
# Not at the agents' door, where thousands have a heartbeat of their own: with each of these, libzmq walks through a
# list of all timers. A dead agent's connection is closed by TCP, which finds its answers unacknowledged.
PINGED = {
    zmq.HEARTBEAT_IVL: 10_000,
    zmq.HEARTBEAT_TIMEOUT: 30_000,
    zmq.HEARTBEAT_TTL: 30_000,
}
ENCRYPTED = {
    zmq.IPV6: 1,
    zmq.TCP_KEEPALIVE: 1,
    zmq.TCP_KEEPALIVE_IDLE: 60,
    zmq.TCP_KEEPALIVE_INTVL: 10,
    zmq.TCP_KEEPALIVE_CNT: 3,
    zmq.TCP_MAXRT: 30_000,  # ms
    zmq.CURVE_SERVER: 1,
}


class Sockets:
    """All open doors."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], settings: Controller, keys: Sequence[ServerKey], log: Log
    ) -> None:
        self._context, self._log = context, log
        self._open: dict[str, tuple[Door, zmq.Socket[bytes]]] = {}
        self.dropped = 0  # answers that found nobody, or a full queue
        try:
            for door in LOCAL:
                self._bind_local(door, settings)
            for key in keys if settings.listen else ():
                self._bind_remote(settings, key)
        except BaseException:
            self.close()
            raise

    @property
    def all(self) -> list[zmq.Socket[bytes]]:
        return [socket for _, socket in self._open.values()]

    def drain(self, ready: list[Source]) -> Iterator[Incoming]:
        """What waits at these doors, one message of each in turn, so that no door starves another."""
        waiting = deque((door, socket) for door, socket in self._open.values() if socket in ready)
        while waiting:
            door, socket = waiting.popleft()
            try:
                sender = socket.recv(NOBLOCK)
            except zmq.Again:
                continue
            waiting.append((door, socket))
            yield _read(door, socket, sender)

    def send(self, connection: Connection, frames: list[bytes]) -> bool:
        """Send without waiting; False when the peer has gone or does not take its messages."""
        name, sender = connection
        send = self._open[name][1].send  # send_multipart would look at each frame first
        try:
            send(sender, MORE)
            for frame in frames[:-1]:
                send(frame, MORE)
            send(frames[-1], NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno not in (errno.EHOSTUNREACH, errno.EAGAIN):
                raise
            self.dropped += 1
            return False
        return True

    def close(self) -> None:
        """Close every door; what was not sent is lost."""
        for _, socket in self._open.values():
            socket.close(0)
        self._open.clear()

    # -- opening ----------------------------------------------------------------------------------------------------
    def _socket(self, door: Door) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.ROUTER)
        self._open[door.name] = (door, socket)
        for option, value in (COMMON | (UNREAD_EACH if door.role == "agent" else PINGED)).items():
            socket.setsockopt(option, value)
        socket.maxmsgsize = door.largest
        return socket

    def _bind_local(self, door: Door, settings: Controller) -> None:
        path = os.path.join(settings.run, door.name)
        socket = self._socket(door)
        # Nobody may connect between bind and chmod: the socket is made in this thread, with this mask.
        before = os.umask(0o177)
        try:
            _bind(socket, f"ipc://{path}")
        finally:
            os.umask(before)
        if door.role != "admin":
            try:
                group = grp.getgrnam(settings.group).gr_gid
            except KeyError:
                self._log.warning("no such group: only root may use the user socket", group=settings.group)
                return
            os.chown(path, -1, group)
            os.chmod(path, 0o660)

    def _bind_remote(self, settings: Controller, key: ServerKey) -> None:
        ports = ports_of(settings, key.second)
        for each in REMOTE:
            name = f"second {each.name}" if key.second else each.name
            door = each._replace(name=name, server=key.pair.public)
            socket = self._socket(door)
            for option, value in ENCRYPTED.items():
                socket.setsockopt(option, value)
            socket.curve_secretkey = key.pair.secret.encode()
            socket.setsockopt(zmq.ZAP_DOMAIN, each.name.encode())
            for address in addresses(settings.listen):
                host = f"[{address}]" if ":" in address else address
                _bind(socket, f"tcp://{host}:{ports[each.name]}")


def ports_of(settings: Controller, second: bool) -> dict[str, int]:
    """The ports of the key that has the first ones, or of the one that has the second ones, by door."""
    return {
        each.name: getattr(settings, f"second_{each.name}_port" if second else f"{each.name}_port") for each in REMOTE
    }


def addresses(listen: tuple[str, ...]) -> list[str]:
    """What to bind: ``::`` takes IPv4 callers too, so ``0.0.0.0`` beside it is left out, where there is IPv6 at all."""
    if "::" in listen and "0.0.0.0" in listen:
        return [each for each in listen if each != ("0.0.0.0" if os.path.exists("/proc/net/if_inet6") else "::")]
    return list(listen)


def _bind(socket: zmq.Socket[bytes], address: str) -> None:
    try:
        socket.bind(address)
    except zmq.ZMQError as error:
        raise Refused(Code.IMPOSSIBLE, f"{address}: {error.strerror}", "see [controller] in tashi.toml") from error


def _read(door: Door, socket: zmq.Socket[bytes], sender: bytes) -> Incoming:
    """The rest of a message whose first frame was ``sender``."""
    frame = socket.recv(copy=False)
    peer = _peer(door, str(frame.get("User-Id" if door.server else "Peer-Address")))
    address = ""
    if door.server and door.role != "agent":
        address = str(frame.get("Peer-Address")).removeprefix("::ffff:")  # IPv4 on a socket of both (RFC 4291)
    payload: memoryview | None = frame.buffer
    while frame.more:
        payload = None
        frame = socket.recv(copy=False)
    return Incoming((door.name, sender), peer, payload, address)


@lru_cache(PEERS_KEPT)
def _peer(door: Door, proven: str) -> Peer:
    """Who is at this door, by what the transport proves of this very message: an address that has a uid, or a key."""
    if door.server:
        return Peer(door.role, key=proven, server=door.server)
    return Peer(door.role, uid=uid_of_address(proven))
