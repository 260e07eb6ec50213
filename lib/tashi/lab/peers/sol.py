"""Serial over LAN, the BMC's side (IPMI 2.0, chapters 15, 24, 26): one client at a time at the machine's serial line.

Bytes of the machine go out in packets of up to `PIECE`, one at a time, each repeated until it is acknowledged; what
comes in is acknowledged and given to the machine once. While nobody is there, what the machine says is lost, as on any
line. Packets come in one thread and the machine's bytes in another: everything holds the session's lock.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

PIECE = 200  # bytes of one packet
QUEUE = 2**16  # bytes that wait; the oldest are dropped
AGAIN_SECONDS, TRIES = 0.5, 8
QUIET_SECONDS = 60.0  # a client that is not heard for so long is gone
NACK, NO_POWER, OFF, BREAK = 0x40, 0x20, 0x10, 0x10  # status to the client; of it: generate a break
PAYLOAD = 1
ACTIVATE, INSTANCE = 0x48, 0x4B  # the first and the last of the commands here
TAKEN, DISABLED, NOT_ACTIVE, NO_PARAMETER = 0x80, 0x81, 0x80, 0x80
BIT_RATE = 0x0A  # 115,200 bit/s


class Machine(Protocol):
    """What is read of the machine behind a BMC. ``sol_taken``: by a client elsewhere, until it is deactivated."""

    line: str
    sol_off: bool
    sol_taken: bool
    breaks: int


class Sol:
    """``write`` gives bytes to the machine."""

    def __init__(self, lock: threading.RLock, machine: Machine, write: Callable[[bytes], None]) -> None:
        self._lock, self._machine, self._write = lock, machine, write
        self._owner: Any = None
        self._queue = bytearray()
        self._sent = b""  # the packet that waits to be acknowledged
        self._number = self._heard_number = self._heard_bytes = self._tries = 0
        self._due = self._heard_at = 0.0

    # -- commands ------------------------------------------------------------------------------------------------------
    def command(self, command: int, port: int, session: Any) -> tuple[int, bytes]:
        """Completion code and data of an application command (24.1 to 24.4). ``port``: where clients reach this BMC."""
        with self._lock:
            match command:
                case 0x48:
                    return self._activate(port, session)
                case 0x49:
                    there, self._machine.sol_taken = self._machine.sol_taken or self._owner is not None, False
                    self.leave(self._owner, tell=session is not self._owner)
                    return (0 if there else NOT_ACTIVE), b""
                case 0x4A:
                    return 0, bytes([1, self._owner is not None or self._machine.sol_taken, 0])
            owner = bytes(self._owner.managedsessionid) if self._owner is not None else bytes(4)
            return 0, owner + bytes([1]) + bytes(7)

    def _activate(self, port: int, session: Any) -> tuple[int, bytes]:
        if self._machine.sol_off or not self._machine.line:
            return DISABLED, b""
        if self._machine.sol_taken or self._owner is not None:
            return TAKEN, b""
        self._owner, self._heard_at = session, time.monotonic()
        self._queue.clear()
        self._sent, self._number, self._heard_number, self._heard_bytes = b"", 0, 0, 0
        size = PIECE.to_bytes(2, "little")
        return 0, bytes(4) + size + size + port.to_bytes(2, "little") + b"\xff\xff"

    def parameter(self, number: int, port: int) -> tuple[int, bytes]:
        """Get SOL Configuration Parameters (26.3)."""
        with self._lock:
            found = {
                0: b"\x00", 1: bytes([not self._machine.sol_off]), 2: b"\x82", 3: b"\x04\x60", 4: b"\x07\x32",
                5: bytes([BIT_RATE]), 6: bytes([BIT_RATE]), 7: b"\x01", 8: port.to_bytes(2, "little"),
            }.get(number)  # fmt: skip
            return (NO_PARAMETER, b"") if found is None else (0, b"\x11" + found)

    def leave(self, session: Any, tell: bool = False) -> None:
        """This client is not there any more; ``tell`` it."""
        with self._lock:
            if session is None or session is not self._owner:
                return
            if tell:
                self._send(bytes([0, 0, 0, OFF]))
            self._owner, self._sent = None, b""
            self._queue.clear()

    # -- bytes ---------------------------------------------------------------------------------------------------------
    def spoken(self, data: bytes) -> None:
        """The machine has written this."""
        with self._lock:
            if self._owner is not None:
                self._queue += data
                del self._queue[:-QUEUE]
                self._next()

    def packet(self, session: Any, payload: bytes) -> None:
        """A packet of a client (15.9)."""
        with self._lock:
            if session is not self._owner or len(payload) < 4:
                return
            self._heard_at = time.monotonic()
            number, acked, status, data = payload[0] & 0xF, payload[1] & 0xF, payload[3], bytes(payload[4:])
            if number:
                if number != self._heard_number:
                    self._heard_number, self._heard_bytes = number, 0
                fresh = data[self._heard_bytes :]
                self._heard_bytes = max(self._heard_bytes, len(data))
                self._machine.breaks += bool(status & BREAK)
                self._send(bytes([0, number, len(data), 0]))
                if fresh:
                    self._write(fresh)
            if acked and self._sent and acked == self._number:
                if status & NACK:
                    self._queue[:0] = self._sent[4 + payload[2] :]
                self._sent = b""
            self._next()

    def heard(self, session: Any) -> None:
        """A client has said something else, and so is alive."""
        if session is self._owner:
            self._heard_at = time.monotonic()

    def tick(self) -> None:
        """Time has passed: what was not acknowledged goes out again, and who is not heard is gone."""
        with self._lock:
            now = time.monotonic()
            if self._owner is not None and now - self._heard_at > QUIET_SECONDS:
                self.leave(self._owner)
            if self._sent and now >= self._due:
                self._tries += 1
                if self._tries > TRIES:
                    self.leave(self._owner, tell=True)
                else:
                    self._due = now + AGAIN_SECONDS
                    self._send(self._sent)

    def _next(self) -> None:
        if self._sent or not self._queue:
            return
        piece = bytes(self._queue[:PIECE])
        del self._queue[:PIECE]
        self._number = self._number % 15 + 1
        self._sent = bytes([self._number, 0, 0, 0]) + piece
        self._tries, self._due = 0, time.monotonic() + AGAIN_SECONDS
        self._send(self._sent)

    def _send(self, packet: bytes) -> None:
        self._owner.send_payload(bytearray(packet), payload_type=PAYLOAD, retry=False)
