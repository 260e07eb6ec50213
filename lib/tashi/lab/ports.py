"""TCP ports for a lab: below the range that the kernel gives to outgoing connections, and nobody else's."""

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
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError:
            return False
        return True
