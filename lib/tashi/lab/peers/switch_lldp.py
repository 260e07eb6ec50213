"""LLDP as the laboratory's switch hears it: frames that Open vSwitch hands to a controller, and what they say.

A frame says who sent it and for how many seconds that holds (IEEE 802.1AB, 8.5); with 0 seconds he takes it back.
"""

from __future__ import annotations

import os
import re
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from typing import NamedTuple

CHASSIS, PORT, SECONDS, NAME = 1, 2, 3, 5  # types of what a frame says
ETHERTYPE = b"\x88\xcc"
MAC, GIVEN = 4, 5  # kinds: a chassis by its MAC address, a port by its name
ENTERED = re.compile(r"PACKET_IN.* in_port=(\d+)")
DUMPED = re.compile(r"[0-9a-f]{8}  ([0-9a-f]{2}(?:[ -][0-9a-f]{2})*)")


class Neighbour(NamedTuple):
    """Identifiers are the bytes that were sent, with the kind that tells how they are to be read."""

    chassis: tuple[int, bytes]
    port: tuple[int, bytes]
    name: str = ""


class Ear:
    """What is heard at the ports of a bridge, as long as it holds. It listens until the bridge is no more.

    ``run`` is where Open vSwitch has its sockets, and this listener one of its own.
    """

    def __init__(self, run: str, bridge: str) -> None:
        self._heard: dict[tuple[int, tuple[int, bytes], tuple[int, bytes]], tuple[float, Neighbour]] = {}
        command = ["ovs-ofctl", "-O", "OpenFlow14", "monitor", f"unix:{run}/{bridge}.mgmt", "65535", "-mm"]
        listening = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", *command],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=os.environ | {"OVS_RUNDIR": run},
        )  # fmt: skip
        assert listening.stdout is not None
        threading.Thread(target=self._listen, args=(listening.stdout,), daemon=True).start()

    def neighbours(self) -> list[tuple[int, Neighbour]]:
        """Port and who is there, in a lasting order."""
        now = time.monotonic()
        return [(key[0], said) for key, (until, said) in sorted(self._heard.items()) if now < until]

    def _listen(self, lines: Iterable[str]) -> None:
        for port, frame in frames(lines):
            told = read(frame)
            if told is not None:
                seconds, said = told
                self._heard[port, said.chassis, said.port] = (time.monotonic() + seconds, said)


def frames(lines: Iterable[str]) -> Iterator[tuple[int, bytes]]:
    """Port and frame, of each that a monitor prints: once it is whole, which its length tells."""
    port, length, frame = 0, 0, b""
    for line in lines:
        if entered := ENTERED.search(line):
            port, frame = int(entered[1]), b""
            length = int(line.partition("data_len=")[2].split()[0])
        elif dumped := DUMPED.match(line):
            frame += bytes.fromhex(dumped[1].replace("-", " "))
            if len(frame) >= length:
                yield port, frame[:length]


def read(frame: bytes) -> tuple[int, Neighbour] | None:
    """For how many seconds, and what; None for what is no LLDP."""
    if frame[12:14] != ETHERTYPE:
        return None
    said: dict[int, bytes] = {}
    at = 14
    while at + 2 <= len(frame):
        head = int.from_bytes(frame[at : at + 2], "big")
        kind, length = head >> 9, head & 0x1FF
        if kind == 0:
            break
        said.setdefault(kind, frame[at + 2 : at + 2 + length])
        at += 2 + length
    if not (said.get(CHASSIS) and said.get(PORT)) or len(said.get(SECONDS, b"")) != 2:
        return None
    chassis, port = said[CHASSIS], said[PORT]
    name = said.get(NAME, b"").decode("utf-8", "replace")
    seconds = int.from_bytes(said[SECONDS], "big")
    return seconds, Neighbour((chassis[0], chassis[1:]), (port[0], port[1:]), name)
