"""Listening to the Linux guests' hearts: when did beats arrive, and how long was the longest silence.

A guest sends a datagram every 10 ms. The kernel stamps each at arrival, so a busy listener measures no gaps of its own.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import msgspec

from tashi.lab.address import BEAT_PORT
from tashi.model.units import stamp
from tashi.wire.errors import Unavailable

INTERVAL_SECONDS = 0.01
_STAMP = getattr(socket, "SO_TIMESTAMPNS", 35)  # asm-generic/socket.h; the value is a struct timespec
_TIMESPEC = struct.Struct("@ll")
_BUFFER_BYTES = 4 * 2**20


class Beat(NamedTuple):
    """``at``: arrival, seconds since 1970; ``number``: the guest's own; ``clock``: the guest's monotonic clock."""

    at: float
    number: int
    clock: float


class Silence(msgspec.Struct):
    """What `tashi-lab beats` prints.

    ``gap_seconds`` is the longest time between two arrivals and began ``gap_at``; ``downtime_seconds`` is the gap
    without the interval that is always there; ``lost`` beats were sent and never came; ``restarts``: how often the
    guest began to count again.
    """

    mac: str
    address: str
    seconds: float
    beats: int
    lost: int
    restarts: int
    gap_seconds: float | None
    gap_at: str | None
    downtime_seconds: float | None


class Listener:
    """Beats by the sender's MAC, as they arrive, until `close`. Raises Unavailable when the address can't be had."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, _STAMP, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        self._socket.settimeout(0.1)
        try:
            self._socket.bind((address, BEAT_PORT))
        except OSError as error:
            self._socket.close()
            raise Unavailable(
                f"{address} port {BEAT_PORT}: {error.strerror}", "one listener at a time hears a lab's guests"
            ) from error
        self._beats: dict[str, list[Beat]] = {}
        self._senders: dict[str, str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="beats", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._socket.close()

    def macs(self) -> list[str]:
        """Who was heard so far."""
        return sorted(self._beats)

    def beats(self, mac: str, since: float = 0.0) -> list[Beat]:
        """The beats of one guest that arrived at ``since`` (seconds since 1970) or later."""
        return [beat for beat in list(self._beats.get(mac, [])) if beat.at >= since]

    def silence(self, mac: str, since: float = 0.0) -> Silence:
        """The longest silence of one guest from ``since`` until its last beat."""
        beats = self.beats(mac, since)
        return measure(mac, self._senders.get(mac, ""), beats)

    def _listen(self) -> None:
        while not self._stop.is_set():
            try:
                data, extra, _, sender = self._socket.recvmsg(200, 64)
            except TimeoutError:
                continue
            try:
                mac, count, clock = data.split()
                beat = Beat(_arrival(extra), int(count), float(clock))
            except ValueError:
                continue  # not a guest's
            name = mac.decode(errors="replace")
            self._senders[name] = sender[0]
            self._beats.setdefault(name, []).append(beat)


@contextmanager
def listening(address: str) -> Iterator[Listener]:
    """A listener while the block runs."""
    listener = Listener(address)
    try:
        yield listener
    finally:
        listener.close()


def measure(mac: str, address: str, beats: list[Beat]) -> Silence:
    """The longest gap between two beats that follow each other, and what was lost on the way."""
    pairs = list(pairwise(beats))
    gap, at = max(((after.at - before.at, before.at) for before, after in pairs), default=(None, None))
    return Silence(
        mac=mac,
        address=address,
        seconds=round(beats[-1].at - beats[0].at, 4) if beats else 0.0,
        beats=len(beats),
        lost=sum(max(0, after.number - before.number - 1) for before, after in pairs),
        restarts=sum(after.number < before.number for before, after in pairs),
        gap_seconds=None if gap is None else round(gap, 4),
        gap_at=None if at is None else stamp(at),
        downtime_seconds=None if gap is None else round(max(0.0, gap - INTERVAL_SECONDS), 4),
    )


def _arrival(extra: list[tuple[int, int, bytes]]) -> float:
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == _STAMP:
            seconds, nanoseconds = _TIMESPEC.unpack(data[: _TIMESPEC.size])
            return float(seconds + nanoseconds / 1e9)
    return time.time()
