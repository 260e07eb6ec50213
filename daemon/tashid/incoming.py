"""One message that came in, and what can be said of it before it is known what it is."""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

import msgspec

from tashi.wire.errors import Code, Refused
from tashid.principal import Peer


class Incoming(NamedTuple):
    """Where an answer goes, who sent it, and its one frame (None: it had several).

    ``address``: where it came from, over tcp.
    """

    connection: Hashable
    peer: Peer
    payload: bytes | memoryview | None
    address: str = ""


def payload_of(message: Incoming) -> bytes | memoryview:
    """Its frame. Raises Refused for several."""
    if message.payload is None:
        raise Refused(Code.BAD_REQUEST, "a message is one frame")
    return message.payload


class _Identified(msgspec.Struct, frozen=True):
    id: str = ""


def id_of(message: Incoming) -> str:
    """The id in what is not a request, so that who sent it knows what is answered; empty if there is none."""
    try:
        return msgspec.json.decode(message.payload or b"", type=_Identified).id[:64]
    except (ValueError, RecursionError):
        return ""
