"""ZMTP 3.0 (RFC 23) by hand: clients that no library would let us write."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00"  # ZMTP 3.0 (RFC 23): signature and version; mechanism follows


def zmtp_null(plain: socket.socket, metadata: bytes = b"") -> None:
    """Greet as a client of ZMTP 3.0 without security (RFC 23), with these properties in READY."""
    plain.sendall(GREETING[:10] + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31))
    ready = b"\x05READY" + metadata
    plain.sendall(b"\x04" + bytes([len(ready)]) + ready)
    exactly(plain, 64)
    frame(plain)


def exactly(plain: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = plain.recv(count - len(data))
        assert piece, "closed"
        data += piece
    return data


def frame(plain: socket.socket) -> bytes:
    """The content of the next frame, message or command."""
    flags = exactly(plain, 1)[0]
    size = struct.unpack(">Q", exactly(plain, 8))[0] if flags & 2 else exactly(plain, 1)[0]
    return exactly(plain, size)


def one_property(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


class Wire:
    """Leads one connection to a port of ours; on ``far`` more can be said to that port than the client says."""

    def __init__(self, to_port: int) -> None:
        self._door = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._door.getsockname()[1]
        self.far = socket.create_connection(("127.0.0.1", to_port))
        self._near: socket.socket | None = None
        threading.Thread(target=self._lead, daemon=True).start()

    def _lead(self) -> None:
        with contextlib.suppress(OSError):
            self._near, _ = self._door.accept()
            threading.Thread(target=_carry, args=(self.far, self._near), daemon=True).start()
            _carry(self._near, self.far)

    def close(self) -> None:
        for each in (self._door, self._near, self.far):
            if each is not None:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)  # ends who waits in it
                each.close()


def _carry(one: socket.socket, other: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := one.recv(65536):
            other.sendall(piece)


@contextlib.contextmanager
def wire(to_port: int) -> Iterator[Wire]:
    made = Wire(to_port)
    try:
        yield made
    finally:
        made.close()
