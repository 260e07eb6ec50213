"""Consoles at an agent's stream port: each a ticket, the client that comes with it, and a child that has the line.

One line of a machine at a time: a client waits until the child of the one before has let go of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tashi.run.carrier import Carrier
from tashi.run.loop import Loop
from tashi.run.stream import Port, Stream, Ticket
from tashi.run.workers import Outcome
from tashi.wire.errors import Code, TashiError

Opened = Callable[[], None]
Over = Callable[[Outcome], None]


class Consoles:
    """``argv`` starts a child that carries a line (line.py)."""

    def __init__(self, loop: Loop, port: Port, argv: Sequence[str]) -> None:
        self._loop, self._port, self._argv = loop, port, list(argv)
        self._all: dict[int, Console] = {}  # by the number of the call
        self._lines: dict[str, Console] = {}  # by machine: who has a child

    def begin(self, call: int, ticket: Ticket, order: dict[str, Any], opened: Opened, over: Over) -> None:
        """Let the client of a ticket come to the line that is had with ``order``.

        ``opened`` is told when both are there, ``over`` once, from the loop, when it is closed.
        """
        console = Console(self, call, ticket, order, opened, over)
        try:
            console.stream = self._port.expect(ticket, console)
        except TashiError as error:
            refused = _outcome(error)
            self._loop.after(0, lambda: over(refused))
            return
        self._all[call] = console

    def cut(self, call: int, code: str, reason: str) -> None:
        """End one, if it is still there."""
        console = self._all.get(call)
        if console is not None:
            known = Code(code) if code in Code.__members__.values() else Code.FAULT
            console.stream.cut(TashiError(known, f"{console.name}: {reason}"))

    def close(self) -> None:
        """The daemon ends: clients are told by the port."""
        for console in self._lines.values():
            console.kill()

    # -- for consoles --------------------------------------------------------------------------------------------------
    def has_line(self, console: Console) -> bool:
        """Whether this one may have a child now; it is told when it may."""
        return self._lines.setdefault(console.stream.ticket.object, console) is console

    def start(self, console: Console) -> Carrier | None:
        try:
            return Carrier(self._loop, self._argv, console.order, console)
        except OSError as error:
            text = f"{console.name}: no worker: {self._argv[0]}: {error.strerror}"
            console.stream.cut(TashiError(Code.UNAVAILABLE, text))
            return None

    def left(self, console: Console) -> None:
        """It has no child any more: the next one that waits gets one."""
        machine = console.stream.ticket.object
        if self._lines.get(machine) is console:
            del self._lines[machine]
            for other in self._all.values():
                if other.waits and other.stream.ticket.object == machine:
                    other.begin()
                    return

    def over(self, console: Console, outcome: Outcome) -> None:
        del self._all[console.call]
        self._loop.after(0, lambda: console.over(outcome))


class Console:
    """One of them: `tashi.run.stream.Service` to its client, `tashi.run.carrier.Hearer` to its child."""

    stream: Stream

    def __init__(
        self, all: Consoles, call: int, ticket: Ticket, order: dict[str, Any], opened: Opened, over: Over
    ) -> None:  # fmt: skip
        self.call, self.name, self.order, self.over = call, ticket.name, order, over
        self.waits = False  # its client is there, somebody else's child has the line
        self._all, self._opened = all, opened
        self._carrier: Carrier | None = None
        self._ended = False

    # -- its client ----------------------------------------------------------------------------------------------------
    def begin(self) -> None:
        self.waits = not self._all.has_line(self)
        if not self.waits:
            self._carrier = self._all.start(self)

    def take(self, data: bytes) -> None:
        if self._carrier is not None:
            self._carrier.write(data)

    def send_break(self) -> None:
        if self._carrier is not None:
            self._carrier.send_break()

    def ended(self, error: TashiError | None) -> None:
        """By its client, or because of what is said."""
        if self._ended:
            return
        self._ended, self.waits = True, False
        if self._carrier is not None:
            self._carrier.leave()
        else:
            self._all.left(self)
        self._all.over(self, _outcome(error))

    # -- its child -----------------------------------------------------------------------------------------------------
    def opened(self, note: str) -> None:
        self.stream.open(note)
        self._opened()

    def said(self, data: bytes) -> None:
        self.stream.give(data)

    def took(self, count: int) -> None:
        self.stream.took(count)

    def closed(self, error: TashiError | None) -> None:
        self._carrier = None
        if not self._ended:
            told = error or TashiError(Code.UNAVAILABLE, "its line has ended")
            self.stream.cut(TashiError(told.code, f"{self.name}: {told.text}", told.hint))
        self._all.left(self)

    def kill(self) -> None:
        if self._carrier is not None:
            self._carrier.kill()


def _outcome(error: TashiError | None) -> Outcome:
    return Outcome("ok") if error is None else Outcome("failed", text=error.text, code=error.code)
