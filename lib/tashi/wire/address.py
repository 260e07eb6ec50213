"""Where a controller may be: ``ipc:///DIR`` or ``tcp://HOST:PORT``."""

from __future__ import annotations

PORT_MAX = 65535


def why_not_an_address(text: str) -> str:
    """What is wrong with an address, or an empty text."""
    transport, _, where = text.partition("://")
    if not where or transport not in ("ipc", "tcp"):
        return f"{text!r} is no address: write ipc:///DIR or tcp://HOST:PORT"
    if transport == "ipc":
        return ""
    host, colon, port = where.rpartition(":")
    if not (host and colon and port.isascii() and port.isdecimal()):
        return f"{text!r} is no address: write tcp://HOST:PORT"
    if not 1 <= int(port[:6]) <= PORT_MAX:
        return f"{text!r} is no address: ports are 1 to {PORT_MAX}"
    return ""
