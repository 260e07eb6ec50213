"""Which keys may connect at all: ZAP (ZeroMQ RFC 27), answered in our own loop.

Each tcp port has one fixed domain, its own name. A key that is refused here never gets to send a message; one that is
let in is looked up again for each message, because a connection outlives the right to have it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import zmq
from zmq.utils import z85

from tashi.run.log import Log
from tashi.run.loop import Loop

ENDPOINT = "inproc://zeromq.zap.01"
Known = Callable[[str], bool]  # may this key (Z85) connect?
TOLD_EVERY_SECONDS = 10.0  # refusals are counted, not told one by one


class Zap:
    """The one authenticator of a context. ``known``: one answer for each domain."""

    def __init__(
        self, context: zmq.Context[zmq.Socket[bytes]], loop: Loop, log: Log, known: Mapping[str, Known]
    ) -> None:
        self._loop, self._log, self._known = loop, log, dict(known)
        self.refused: dict[str, int] = {}
        self._told_at = float("-inf")
        self._socket = context.socket(zmq.ROUTER)
        self._socket.linger = 0
        self._socket.bind(ENDPOINT)
        loop.watch(self._socket, lambda _: self._serve())

    def close(self) -> None:
        """Stop answering: from now on nobody new gets in."""
        self._loop.forget(self._socket)
        self._socket.close(0)

    def _serve(self) -> None:
        while True:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            # The libzmq that asks is our own process: frames are as the RFC says.
            sender, _, version, request, domain, address, _, mechanism, *credentials = frames
            key = z85.encode(credentials[0]).decode() if mechanism == b"CURVE" and credentials else ""
            known = self._known.get(domain.decode("ascii", "replace"))
            allowed = bool(key) and known is not None and known(key)
            status = (b"200", b"OK", key.encode()) if allowed else (b"400", b"key not known", b"")
            self._socket.send_multipart([sender, b"", version, request, *status, b""])
            if not allowed:
                self._count(domain.decode("ascii", "replace"), address.decode("ascii", "replace"), key)

    def _count(self, domain: str, address: str, key: str) -> None:
        self.refused[domain] = self.refused.get(domain, 0) + 1
        if self._loop.now() - self._told_at >= TOLD_EVERY_SECONDS:
            self._told_at = self._loop.now()
            self._log.warning("key refused", port=domain, address=address, key=key, so_far=self.refused[domain])
