"""ZMTP 3.0 (RFC 23) by hand: clients that no library would let us write."""

from __future__ import annotations

import socket
import struct

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
