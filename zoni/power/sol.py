"""Serial over LAN, the client's side (IPMI 2.0, chapter 15): packets in, packets and bytes out. It does no I/O.

Either side has one packet of bytes under way and sends it again until it is acknowledged. An acknowledgement says how
many bytes were taken; what was not goes out once more in a packet of its own. A packet that comes again, longer than
it was, brings what is new behind what is known.
"""

from __future__ import annotations

PAYLOAD = 1  # the payload type of RMCP+ (table 13-16)
ACTIVATE, DEACTIVATE, INSTANCE = 0x48, 0x49, 0x4B  # commands 24.1, 24.2, 24.4
WANTED = (PAYLOAD, 1, 0xC0, 0, 0, 0)  # first instance, encrypted and authenticated, no alerts (table 24-2)
TAKEN = 0x80
REFUSALS = {
    0x81: "serial over LAN is disabled in this BMC",
    0x82: "this BMC bears no more sessions with serial over LAN",
    0x83: "this BMC gives serial over LAN only without encryption",
}
NACK, NO_POWER, OFF = 0x40, 0x20, 0x10  # status of the BMC (table 15-2)
BREAK = 0x10  # of the client: generate a break
AGAIN_SECONDS, TRIES = 1.0, 7
FULL_SECONDS = 0.1  # that a BMC gets which has taken nothing, until it is tried again
LEAST, MOST = 8, 255  # bytes of a packet that are believed of what a BMC says it takes


class Line:
    """One open line. ``size``: bytes of a packet that the BMC takes, its header of 4 among them."""

    def __init__(self, size: int) -> None:
        self.out: list[bytes] = []  # packets to be sent
        self.data = bytearray()  # what the machine has written
        self.ended = ""  # why there is no line any more
        self._room = size - 4 if LEAST <= size <= MOST else 60
        self._number = self._heard = self._heard_bytes = self._tries = 0
        self._sent = b""  # the packet that waits to be acknowledged
        self._due = 0.0

    @property
    def free(self) -> bool:
        """Whether the machine can be written to now."""
        return not self._sent and not self.ended

    def write(self, data: bytes, now: float) -> int:
        """Send as much as goes into one packet; how many bytes. None while the one before waits."""
        if not self.free or not data:
            return 0
        piece = data[: self._room]
        self._send(piece, 0, now)
        return len(piece)

    def send_break(self, now: float) -> bool:
        """Have a break generated; False while a packet waits."""
        if self.free:
            self._send(b"", BREAK, now)
            return True
        return False

    def packet(self, payload: bytes, now: float) -> None:
        """A packet of the BMC."""
        if len(payload) < 4 or self.ended:
            return
        number, acked, taken, status = payload[0] & 0xF, payload[1] & 0xF, payload[2], payload[3]
        if number:
            if number != self._heard:
                self._heard, self._heard_bytes = number, 0
            data = payload[4:]
            self.data += data[self._heard_bytes :]
            self._heard_bytes = max(self._heard_bytes, len(data))
            self.out.append(bytes([0, number, len(data), 0]))
        if acked and self._sent and acked == self._number:
            rest = self._sent[4 + taken :] if status & NACK else b""
            self._sent = b""
            if rest and not status & (NO_POWER | OFF):
                self._send(rest, 0, now, 0.0 if taken else FULL_SECONDS)
        if status & OFF:
            self.ended = "the BMC has ended serial over LAN; somebody else may have it now"

    def tick(self, now: float) -> None:
        """Time has passed: what was not acknowledged goes out again."""
        if self._sent and now >= self._due and not self.ended:
            self._tries += 1
            if self._tries >= TRIES:
                self.ended = "the BMC does not answer any more"
            else:
                self._due = now + AGAIN_SECONDS
                self.out.append(self._sent)

    def _send(self, piece: bytes, operation: int, now: float, wait: float = 0.0) -> None:
        """Send a new packet, ``wait`` seconds from now."""
        self._number = self._number % 15 + 1
        self._sent = bytes([self._number, 0, 0, operation]) + piece
        self._tries, self._due = 0, now + (wait or AGAIN_SECONDS)
        self.out += [] if wait else [self._sent]
