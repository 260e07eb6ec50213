"""A machine's line in a child of its own: a console's bytes, carried over the channel as JSON lines.

The parent says first what line it wants, as its worker knows it. The child says ``{"open": NOTE}``, or ends with
``{"end": {code, text, hint}}``. From then on ``{"data": BASE64}`` goes both ways, ``{"took": BYTES}`` says how much of
what the parent sent has gone, and the parent may say ``{"break": true}``.
"""

from __future__ import annotations

import binascii
import json
import select
import socket
from collections.abc import Callable
from typing import Any, Protocol

from tashi.run.child import say
from tashi.wire.errors import TashiError

TURN_SECONDS = 0.04  # that a byte of the client may wait while nothing comes from the machine
READ_BYTES = 2**16


class Line(Protocol):
    """What is carried. All raise TashiError when there is no line any more."""

    note: str

    def read(self, seconds: float) -> bytes: ...

    def write(self, data: bytes) -> int: ...

    def send_break(self) -> bool: ...

    def close(self) -> None: ...


def serve(channel: socket.socket, open_line: Callable[[dict[str, Any]], Line]) -> None:
    """Open the line that the parent asks for and carry it until either side ends.

    ``open_line`` raises TashiError.
    """
    rest = bytearray()
    while b"\n" not in rest:
        piece = channel.recv(READ_BYTES)
        if not piece:
            return
        rest += piece
    order, _, begun = bytes(rest).partition(b"\n")
    try:
        line = open_line(json.loads(order))
        try:
            say(channel, {"open": line.note})
            _carry(channel, line, bytearray(begun))
        finally:
            line.close()
    except TashiError as error:
        say(channel, {"end": {"code": error.code, "text": error.text, "hint": error.hint}})


def _carry(channel: socket.socket, line: Line, rest: bytearray) -> None:
    waiting, breaks = bytearray(), 0
    while True:
        while select.select([channel], [], [], 0)[0]:
            piece = channel.recv(READ_BYTES)
            if not piece:
                return
            rest += piece
        while b"\n" in rest:
            said, _, after = bytes(rest).partition(b"\n")
            rest[:] = after
            word = json.loads(said)
            waiting += binascii.a2b_base64(word.get("data", ""))
            breaks += bool(word.get("break"))
        if breaks and line.send_break():
            breaks -= 1
        taken = line.write(bytes(waiting)) if waiting else 0
        if taken:
            del waiting[:taken]
            say(channel, {"took": taken})
        data = line.read(TURN_SECONDS)
        if data:
            say(channel, {"data": binascii.b2a_base64(data, newline=False).decode()})
