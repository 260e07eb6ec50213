"""Ports for a lab, of TCP and UDP both: nobody else's, and below the range that the kernel gives to outgoing
connections."""

from __future__ import annotations

import socket
from collections.abc import Collection

from tashi.wire.errors import Unavailable

PORTS = range(21000, 30000)


def free_ports(count: int, address: str, taken: Collection[int]) -> list[int]:
    """``count`` ports that can be listened on at ``address`` and are not ``taken`` by a lab that is down just now."""
    found: list[int] = []
    for port in PORTS:
        if len(found) == count:
            return found
        if port not in taken and _listenable(address, port):
            found.append(port)
    raise Unavailable(f"{address}: no {count} free ports from {PORTS.start} to {PORTS.stop - 1}")


def _listenable(address: str, port: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with socket.socket(socket.AF_INET, kind) as probe:
            if kind == socket.SOCK_STREAM:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                return False
    return True
