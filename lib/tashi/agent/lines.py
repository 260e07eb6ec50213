"""Whom an agent believes to be its controller, and where that is: one key, or two while one takes the other's place.

The controller says with each welcome which of its keys are good, over a connection that one of them has proven. So an
agent that was told once gets through whichever of them is there, and forgets a key that is good no more.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from tashi.wire.messages import ServerKey


class Line(Struct, frozen=True):
    """A key of the controller, and the addresses, ``tcp://HOST:PORT``, where it is to be found."""

    server_key: str
    addresses: tuple[str, ...]


def learned(lines: tuple[Line, ...], used: Line, told: Sequence[ServerKey]) -> tuple[Line, ...]:
    """The lines from now on, the newest first, when ``told`` came on the line ``used``.

    A key that is known stays where it was found; a new one is where the one in use is, at another port.
    """
    if used.server_key not in [key.public for key in told]:
        return lines  # an older controller: it says nothing of keys
    known = {line.server_key: line for line in (used, *lines)}
    return tuple(known.get(key.public) or Line(key.public, _at_port(used.addresses, key.port)) for key in told)


def _at_port(addresses: tuple[str, ...], port: int) -> tuple[str, ...]:
    return tuple(f"{address.rpartition(':')[0]}:{port}" for address in addresses)
