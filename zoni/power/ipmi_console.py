"""A machine's serial line over a session of pyghmi's.

pyghmi brings the packets, sol.py knows what they mean: pyghmi's own console stands still when packets are lost, and
does not notice a BMC that is gone.
"""

from __future__ import annotations

import time
from typing import Any

from tashi.wire.errors import Code
from zoni.power import sol
from zoni.power.interface import PowerError

IDLE_SECONDS = 5.0  # without a word of a BMC, until it is asked whether it is there
ASK_SECONDS, ASKED_MOST = 1.5, 4  # between two such questions, and how many go without an answer
LEAVE_SECONDS, LEAVE_TRIES = 0.5, 3
APP = 0x06  # the network function of payload commands
NO_ANSWER = 0xFFFF  # pyghmi's word for it


class SolConsole:
    """Implements `zoni.power.interface.Console`. The payload is active in ``session``, which is pyghmi's own.

    What is sent is never left to pyghmi's repetitions: while they go on it sends nothing else.
    """

    def __init__(self, where: str, session: Any, size: int) -> None:
        self.note = ""
        self._where, self._session = where, session
        self._line = sol.Line(size)
        self._asked = 0
        self._ask_at = time.monotonic() + IDLE_SECONDS
        session.sol_handler = self._packet
        type(session).keepalive_sessions.pop(session, None)  # our own questions keep it alive

    def read(self, seconds: float) -> bytes:
        if time.monotonic() >= self._ask_at:
            self._look()
        if not self._line.data:
            self._carry(seconds)
        data, self._line.data = bytes(self._line.data), bytearray()
        if self._line.ended and not data:
            raise PowerError(Code.UNAVAILABLE, f"{self._where}: {self._line.ended}")
        return data

    def write(self, data: bytes) -> int:
        taken = self._line.write(data, time.monotonic())
        self._carry(0.0)
        return taken

    def send_break(self) -> bool:
        sent = self._line.send_break(time.monotonic())
        self._carry(0.0)
        return sent

    def close(self) -> None:
        """A BMC that does not answer frees the line by itself."""
        self._session.sol_handler = None
        answers: list[Any] = []
        try:
            for _ in range(0 if self._line.ended else LEAVE_TRIES):
                self._send(sol.DEACTIVATE, sol.WANTED, answers.append)
                end = time.monotonic() + LEAVE_SECONDS
                while not answers and time.monotonic() < end:
                    self._session.wait_for_rsp(end - time.monotonic())
                if answers:
                    return
        except Exception as error:
            del error  # it was to end

    def _carry(self, seconds: float) -> None:
        """Send what is to be sent, and take packets in; pyghmi meets trouble with exceptions of all kinds."""
        try:
            self._flush()
            self._session.wait_for_rsp(seconds)
            self._line.tick(time.monotonic())
            self._flush()
        except Exception as error:
            raise PowerError(Code.UNAVAILABLE, f"{self._where}: {error or type(error).__name__}") from error

    def _flush(self) -> None:
        packets, self._line.out = self._line.out, []
        for packet in packets:
            self._session.send_payload(bytearray(packet), payload_type=sol.PAYLOAD, retry=False)

    def _packet(self, payload: Any) -> None:
        """pyghmi's callback: a packet, or a dict when the session has ended."""
        if isinstance(payload, dict):
            self._line.ended = self._line.ended or "its session has ended"
            return
        self._heard()
        self._line.packet(bytes(payload), time.monotonic())

    def _look(self) -> None:
        """Whether it is there still, and the line is ours."""
        self._asked += 1
        self._ask_at = time.monotonic() + ASK_SECONDS
        if self._asked > ASKED_MOST:
            self._line.ended = self._line.ended or "no answer any more"
            return
        self._send(sol.INSTANCE, (sol.PAYLOAD, 1), self._owner)

    def _owner(self, answer: dict[str, Any]) -> None:
        """Get Payload Instance Info: the session that has it, 0 for none; some BMCs don't know this question."""
        if answer.get("code") == NO_ANSWER:
            return
        self._heard()
        owner = int.from_bytes(bytes(answer.get("data", b""))[:4], "little")
        if not answer.get("code") and owner != self._session.sessionid:
            self._line.ended = "somebody else has serial over LAN now"

    def _heard(self) -> None:
        self._asked, self._ask_at = 0, time.monotonic() + IDLE_SECONDS

    def _send(self, command: int, data: tuple[int, ...], answered: Any) -> None:
        """A command, once; what else is sent meanwhile need not wait for its answer."""
        self._session.raw_command(APP, command, data=data, retry=False, callback=answered)
        self._session.incommand = False
