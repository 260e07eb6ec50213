"""Asking the controller: one question or many, until there is an answer or the time is over.

Theory of operation. A request is a frame with an id. While the client has no answer it may send the same frame again,
to the same controller or the next on the list: the id makes the controller give the same answer twice, so asking again
never does anything twice. When to ask again is not guessed: a monitor tells that the connection went away and came
back, and then everything unanswered is unsent. A controller that can't be reached, or is connected and says nothing
for a third of the time, is left for the next one (or for a new socket to the same one). Nothing queues where nobody
listens (IMMEDIATE), nothing lingers at exit. Where this machine itself shows that nobody can answer or that we may not
ask, that is told at once: only at first, because a controller that starts again takes its folder away and brings it
back.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import zmq

from tashi.config import Config
from tashi.wire.address import why_not_an_address
from tashi.wire.envelope import POLL_SECONDS, Answer, Ask, new_id, reply, request
from tashi.wire.errors import Code, Fault, TashiError, Unavailable

WINDOW = 256  # requests under way at once
AGAIN_SECONDS = 0.25  # between two tries when the controller is busy
Open = dict[str, tuple[int, bytes]]  # what is unanswered: request id -> (its number, its frame)


class Page(NamedTuple):
    """A piece of the change log. Go on from ``revision``; at ``head`` it ended when this was answered.

    ``missed``: entries after the one asked for are no longer kept, so whoever followed must look at the records again
    and go on from ``revision``; ``tail`` is then the oldest that is kept.
    """

    entries: list[dict[str, Any]]
    revision: int
    missed: bool
    head: int
    tail: int = 0


class Client:
    """One conversation with whichever controller answers. ``seconds``: how long silence is borne."""

    def __init__(self, addresses: tuple[str, ...], seconds: float, server_key: str = "", key: str = "") -> None:
        if not addresses:
            raise TashiError(Code.BAD_REQUEST, "no controller named", "set client.controller in tashi.toml")
        self.addresses, self.seconds = addresses, seconds
        self._server_key, self._key = server_key, key
        self._turn = 0
        self._context: zmq.Context[zmq.Socket[bytes]] | None = None  # for one connection
        self._socket: zmq.Socket[bytes] | None = None
        self._monitor: zmq.Socket[bytes] | None = None
        self._lost = False  # the connection went away, and is not back
        self.instead = ""  # what tashi.toml should say of the controller, if it said so

    def ask(self, verb: str, body: dict[str, Any], why: str = "", wait: float = 0.0) -> Answer:
        """The answer to one request; ``wait`` seconds are what the controller may take over it by design.

        Raises the controller's error, or TashiError (no-answer).
        """
        for _, answer in self.ask_many([Ask(verb, body)], why, wait):
            if isinstance(answer, TashiError):
                raise answer
            return answer
        raise AssertionError("ask_many answers each request or raises")

    def ask_many(
        self, asks: Iterable[Ask], why: str = "", wait: float = 0.0, owner: str = ""
    ) -> Iterator[tuple[int, Answer | TashiError]]:
        """(number of the request, its answer or error), in the order in which they are answered.

        ``owner``: an administrator asks for this user.

        Up to WINDOW are under way at once. Raises TashiError (no-answer) when nothing at all is heard in time.
        """
        source = enumerate(asks)
        unanswered: Open = {}
        unsent: list[str] = []
        patient = max(1.0, self.seconds / 3) + wait
        deadline = patience = 0.0
        while True:
            while len(unanswered) < WINDOW and (following := next(source, None)) is not None:
                number, (verb, body) = following
                identity = new_id()
                unanswered[identity] = (number, request(identity, verb, body, why, owner))
                unsent.append(identity)
            if not unanswered:
                return
            now = time.monotonic()
            if not deadline:
                deadline, patience = now + self.seconds + wait, now + patient
            heard = self._exchange(unanswered, unsent, min(deadline, patience))
            now = time.monotonic()
            if heard:
                deadline = 0.0
            elif now >= deadline:
                raise self._no_answer(self.seconds + wait)
            elif now >= patience:
                self._hang_up()
                self._turn += 1
                unsent[:], patience = list(unanswered), now + patient
            for identity, answer in heard.items():
                yield unanswered.pop(identity)[0], answer

    def watch(
        self,
        after: int,
        *,
        job: str = "",
        ids: Iterable[str] = (),
        kinds: Iterable[str] = (),
        about: Iterable[str] = (),
        wait: float = POLL_SECONDS,
    ) -> Page:
        """One long poll: entries after revision ``after`` that match (-1: from now on), as soon as there are any.

        After ``wait`` seconds a page without entries.
        """
        wait = max(0.0, min(wait, POLL_SECONDS))
        body: dict[str, Any] = {"after": after, "wait_seconds": wait, "limit": 1000}
        match = {"job": job, "ids": list(ids), "kinds": list(kinds), "about": list(about)}
        body |= {key: value for key, value in match.items() if value}
        answer = self._ask_when_free("changes", body, wait)
        ok = answer.ok
        missed = bool(ok.get("snapshot", False))
        return Page(ok["entries"], int(ok["revision"]), missed, answer.revision, int(ok.get("tail", 0)))

    def _ask_when_free(self, verb: str, body: dict[str, Any], wait: float) -> Answer:
        """The answer, asking again while the controller has as many readers of this user as it bears."""
        until = time.monotonic() + max(self.seconds, wait)
        while True:
            try:
                return self.ask(verb, body, wait=wait)
            except TashiError as error:
                if error.code != Code.BUSY or time.monotonic() > until:
                    raise
            time.sleep(AGAIN_SECONDS)

    def close(self) -> None:
        """Give up the sockets; the client can't be used afterwards."""
        self._hang_up()

    # -- one socket -------------------------------------------------------------------------------------------------
    def _exchange(self, unanswered: Open, unsent: list[str], until: float) -> dict[str, Answer | TashiError]:
        """Send what can be sent, take what has come; returns with at least one answer, or at ``until``."""
        socket, monitor = self._connected()
        poller = zmq.Poller()
        poller.register(monitor, zmq.POLLIN)
        heard: dict[str, Answer | TashiError] = {}
        while not heard:
            left = until - time.monotonic()
            if left <= 0:
                return {}
            poller.register(socket, zmq.POLLIN | zmq.POLLOUT if unsent else zmq.POLLIN)
            ready = dict(poller.poll(math.ceil(left * 1000)))
            if monitor in ready and self._is_back(monitor):
                unsent[:] = list(unanswered)
            if ready.get(socket, 0) & zmq.POLLOUT:
                _send(socket, unanswered, unsent)
            while _readable(socket):
                identity, answer = self._read(socket.recv_multipart())
                if identity in unanswered:
                    heard[identity] = answer
        unsent[:] = [identity for identity in unsent if identity not in heard]
        return heard

    def _is_back(self, monitor: zmq.Socket[bytes]) -> bool:
        """Take what the monitor has to say; whether a connection that went away is there again.

        Not before: for a moment the old one still takes what is sent, and it is lost with it.
        """
        back = False
        while _readable(monitor):
            event = int.from_bytes(monitor.recv_multipart()[0][:2], sys.byteorder)
            back = self._lost and event == zmq.EVENT_HANDSHAKE_SUCCEEDED
            self._lost = event == zmq.EVENT_DISCONNECTED
        return back

    def _read(self, frames: list[bytes]) -> tuple[str, Answer | TashiError]:
        try:
            identity, answer = reply(frames)
        except ValueError as error:
            where = self.addresses[self._turn % len(self.addresses)]
            raise Fault(f"what answers at {where} is not a controller: {error}") from error
        if isinstance(answer, Answer) and answer.instead:
            self.instead = answer.instead
        return identity, answer

    def _connected(self) -> tuple[zmq.Socket[bytes], zmq.Socket[bytes]]:
        if self._socket is not None and self._monitor is not None:
            return self._socket, self._monitor
        if not self._turn:
            self._begin_where_it_may_be()
        address = self.addresses[self._turn % len(self.addresses)]
        self._hang_up()
        why = "" if address.endswith(".sock") else why_not_an_address(address)
        if why:
            raise TashiError(Code.BAD_REQUEST, why, "client.controller in tashi.toml, or $TASHI_CONTROLLER")
        context = self._context = zmq.Context()
        socket = self._socket = context.socket(zmq.DEALER)
        for option, value in (
            (zmq.LINGER, 0),
            (zmq.IMMEDIATE, 1),
            (zmq.IPV6, 1),
            (zmq.RECONNECT_IVL, 20),
            (zmq.RECONNECT_IVL_MAX, 500),
            (zmq.HANDSHAKE_IVL, 2000),
            (zmq.HEARTBEAT_IVL, 2000),
            (zmq.HEARTBEAT_TIMEOUT, 6000),
        ):
            socket.setsockopt(option, value)
        if address.startswith("tcp:"):
            self._encrypt(socket)
        channel = f"inproc://monitor-{self._turn}"
        socket.monitor(channel, zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self._lost = False
        self._monitor = context.socket(zmq.PAIR)
        self._monitor.setsockopt(zmq.LINGER, 0)
        self._monitor.connect(channel)
        try:
            socket.connect(local_socket(address))
        except zmq.ZMQError as error:
            text = f"{address}: not an address of a controller"
            raise TashiError(Code.BAD_REQUEST, text, "ipc:///DIR or tcp://HOST:PORT") from error
        return socket, self._monitor

    def _begin_where_it_may_be(self) -> None:
        """Pass over the addresses where there is no use in asking; raises the first one's error when all are."""
        problems = [obstacle(address) for address in self.addresses]
        if all(problems):
            raise next(problem for problem in problems if problem)
        self._turn = problems.index(None)

    def _encrypt(self, socket: zmq.Socket[bytes]) -> None:
        """CURVE: whom we believe, and who we say we are."""
        from tashi.run.keys import read_pair

        if not self._server_key or not self._key:
            raise TashiError(
                Code.BAD_REQUEST, "tcp needs client.server_key and client.key in tashi.toml", "tashi-keygen makes a key"
            )
        pair = read_pair(os.path.expanduser(self._key))
        try:
            socket.curve_serverkey = self._server_key.encode()
            socket.curve_publickey, socket.curve_secretkey = pair.public.encode(), pair.secret.encode()
        except zmq.ZMQError as error:
            raise TashiError(Code.BAD_REQUEST, "client.server_key: not a key of 40 characters (Z85)") from error

    def _hang_up(self) -> None:
        """Give up the connection, without waiting: its context may be asking a DNS that does not answer."""
        for socket in (self._monitor, self._socket):
            if socket is not None:
                socket.close(0)
        if self._context is not None:
            threading.Thread(target=self._context.term, daemon=True).start()
        self._socket = self._monitor = self._context = None

    def _no_answer(self, seconds: float) -> TashiError:
        where = ", ".join(self.addresses)
        keyed = any(address.startswith("tcp:") for address in self.addresses)
        why = "not running, wrong server key, or key not accepted" if keyed else "not running"
        return Unavailable(f"no answer from {where} in {seconds:g} s: {why}", code=Code.NO_ANSWER)


def client_for(config: Config, seconds: float | None = None) -> Client:
    """The client that tashi.toml describes; ``seconds`` shortens its patience."""
    own = config.client
    patience = own.timeout_seconds if seconds is None else min(own.timeout_seconds, seconds)
    return Client(own.controller, patience, own.server_key, own.key)


def local_socket(address: str) -> str:
    """``ipc:///dir`` as the socket in it: admin.sock for whoever may open that, user.sock for everybody else.

    Where neither exists yet, whoever may write to the folder is who will own admin.sock.
    """
    if not address.startswith("ipc://") or address.endswith(".sock"):
        return address
    folder = address[len("ipc://") :]
    admin = os.path.join(folder, "admin.sock")
    ours = os.access(admin, os.W_OK) if os.path.exists(admin) else os.access(folder, os.W_OK)
    return f"ipc://{admin}" if ours else f"ipc://{os.path.join(folder, 'user.sock')}"


def obstacle(address: str) -> TashiError | None:
    """Why there is no use in asking at a local address; None where there may be, and for every other address.

    A socket that is not there yet is no obstacle: the controller may be about to start.
    """
    if not address.startswith("ipc://"):
        return None
    path = local_socket(address)[len("ipc://") :]
    folder = os.path.dirname(path) or "."
    try:
        os.stat(folder)
    except PermissionError:
        return _denied(folder)
    except OSError as error:
        return Unavailable(f"no answer from {address}: not running; {folder}: {error.strerror}", code=Code.NO_ANSWER)
    if not os.access(folder, os.X_OK):
        return _denied(folder)
    return _denied(path) if os.path.exists(path) and not os.access(path, os.W_OK) else None


def _denied(path: str) -> TashiError:
    """What keeps us from ``path``: its group, or that it is its owner's alone."""
    import grp

    try:
        there = os.stat(path)
        group = grp.getgrgid(there.st_gid).gr_name if there.st_mode & 0o020 else ""
    except (OSError, KeyError):
        group = ""
    if not group:
        return TashiError(Code.DENIED, f"permission denied on {path}", "[controller] group in tashi.toml says who may")
    text = f"permission denied on {path}: you are not in its group"
    return TashiError(Code.DENIED, text, f"as root: adduser YOU {group}; then log in again")


def _readable(socket: zmq.Socket[bytes]) -> bool:
    return bool(int(socket.getsockopt(zmq.EVENTS)) & zmq.POLLIN)


def _send(socket: zmq.Socket[bytes], unanswered: Open, unsent: list[str]) -> None:
    """Send in order until all are sent or the socket takes no more."""
    sent = 0
    for identity in unsent:
        try:
            socket.send(unanswered[identity][1], zmq.NOBLOCK)
        except zmq.Again:
            break
        sent += 1
    del unsent[:sent]
