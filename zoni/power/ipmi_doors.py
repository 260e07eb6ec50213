"""Ways into a BMC that stand open to everybody: looked for as a stranger would, with two packets and no password.

The first asks which kinds of login there are (Get Channel Authentication Capabilities, IPMI 2.0 22.13), the second for
a session of cipher suite 0: no authentication, no integrity, no confidentiality (13.17, tables 13-9 and 13-17; with it
any user's name lets one in). Packets are put together here: libraries offer no ciphers that are none.
"""

from __future__ import annotations

import os
import socket
import time
from contextlib import closing

TRIES, SECONDS = 3, 1.0
RMCP = bytes.fromhex("0600ff07")
SUITE_0 = bytes.fromhex("0000000800000000 0100000800000000 0200000800000000")


def look(address: str, port: int) -> list[str]:
    """What stands open, in words. Silence is not an open door. Raises OSError when nothing can be sent."""
    found = []
    login = _exchange(address, port, _capabilities(), _is_ipmi15)
    if login:
        kinds, status = login[22], login[23]
        if kinds & 0x01:
            found.append("takes sessions without authentication (IPMI 1.5, none)")
        if status & 0x01:
            found.append("lets in without user and password")
    tag = os.urandom(1)
    opened = _exchange(address, port, _open_session(tag), lambda data: data[5] & 0x3F == 0x11 and data[16:17] == tag)
    if opened and len(opened) >= 28 and opened[17] == 0 and _chosen(opened) == 0:
        found.append("takes cipher suite 0: any password lets in")
    return found


def _capabilities() -> bytes:
    body = bytes([0x20, 0x18, 0xC8, 0x81, 0x04, 0x38, 0x8E, 0x04])
    return RMCP + bytes(9) + bytes([len(body) + 1]) + body + bytes([-sum(body[3:]) & 0xFF])


def _open_session(tag: bytes) -> bytes:
    body = tag + bytes([4, 0, 0]) + os.urandom(4) + SUITE_0
    return RMCP + bytes([6, 0x10]) + bytes(8) + len(body).to_bytes(2, "little") + body


def _chosen(answer: bytes) -> int:
    """The authentication algorithm of an Open Session Response (table 13-10); one that is cut short chose none."""
    return answer[32] if len(answer) > 32 else -1


def _is_ipmi15(data: bytes) -> bool:
    return data[4] == 0 and len(data) >= 24 and data[19] == 0x38 and data[20] == 0


def _exchange(address: str, port: int, packet: bytes, fits: object) -> bytes:
    """The answer that fits, empty for none. The socket is connected: nobody else's packets come in."""
    assert callable(fits)
    family, kind, _, _, where = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)[0]
    with closing(socket.socket(family, kind)) as door:
        door.settimeout(SECONDS)
        door.connect(where)
        for _ in range(TRIES):
            try:
                door.send(packet)
                data = door.recv(1024)
                if len(data) > 17 and data.startswith(RMCP) and fits(data):
                    return data
            except TimeoutError:
                continue
            except ConnectionRefusedError:  # told at once, as by one that is just starting: it gets the same time
                time.sleep(SECONDS)
    return b""
