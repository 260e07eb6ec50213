"""What every agent's main is: a mind, its journal, and the line to the controller, wired together.

Theory of operation. Each event goes into the mind, which says what is to be written down, begun and sent, in this
order. What follows from all events of one turn of the loop is written down together: a disk takes as long for a little
as for much. What the journal does not take waits, and so does all that comes after it. The line is judged by what is
heard: one that is deaf is built anew, at the next controller on the list. Whatever belongs to one kind of agent (its
calls, what it adds to a heartbeat) is given by its own main.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import msgspec

from tashi.agent.events import Call, Connected, Disconnected, Event, Heard, Now, Steps, Tick
from tashi.agent.greeting import why_unfit
from tashi.agent.journal import Memory
from tashi.agent.lines import learned
from tashi.model.shorten import shorten
from tashi.run.enroll import Enrolled, Place, keep_lines
from tashi.run.link import Link
from tashi.run.log import Log
from tashi.run.loop import Loop, Timer
from tashi.run.outbox import Outbox
from tashi.wire.agents import Rejected, Welcome
from tashi.wire.bounds import Alive
from tashi.wire.errors import Unavailable

CHECK_SECONDS = 0.5
PATIENCE_SECONDS, PATIENCE_MAX_SECONDS = 2.0, 10.0  # without a welcome; then another socket
HELLO_SECONDS = 3.0  # without a welcome on a line that is up; then another hello, for the first may be lost
RENEW_BEATS, RENEW_SECONDS = 5, 60.0  # until the controller's newest key is tried, and tried again
COMPACT_LINES = 2000

_encode = msgspec.json.Encoder().encode


def clock() -> Now:
    """The machine's two clocks."""
    return Now(time.monotonic(), time.time())


class Mind(Protocol):
    """What decides; `tashi.agent` has one for each kind of agent."""

    memory: Memory

    @property
    def welcomed(self) -> bool: ...

    def step(self, event: Event, now: Now) -> Steps: ...

    def next_tick(self) -> float: ...

    def deaf(self, now: Now) -> bool: ...


class Own(NamedTuple):
    """What one kind of agent has of its own.

    ``decode`` reads a frame of the controller's and raises ValueError; ``begin`` starts a call; ``unwell``: what is
    wrong with what only the main knows; ``dress`` adds to a heartbeat what else that is; ``heard`` gets what the mind
    has heard, too.
    """

    decode: Callable[[bytes], Any]
    begin: Callable[[Call], None]
    unwell: Callable[[], str]
    dress: Callable[[Alive], Alive] = lambda beat: beat
    heard: Callable[[Any], None] = lambda message: None


class Agent:
    """Everything with a file descriptor that agents share. ``loop`` is run by who made it."""

    def __init__(
        self, loop: Loop, log: Log, outbox: Outbox, state: str, place: Place, me: Enrolled, own: Own
    ) -> None:  # fmt: skip
        self._loop, self._log, self._outbox = loop, log, outbox
        self._state, self._place, self._me, self._own = state, place, me, own
        self._link = Link(loop, me.lines, me.pair, self._linked, self._hear)
        self._mind: Mind | None = None
        self._held: list[Steps] = []  # what the mind decided and the journal has not taken yet
        self._journal_trouble = ""
        self._timer: Timer | None = None
        self._welcomed = False
        self._patience = PATIENCE_SECONDS
        self._patient_until = self._hello_at = 0.0
        self._renew_at = float("inf")
        self._compact_at = COMPACT_LINES
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.on_signal(number, loop.stop)
        loop.on_signal(signal.SIGHUP, lambda: log.notice("SIGHUP: settings are read at a start only"))

    def start(self, mind: Mind) -> None:
        """Begin to think, and to look for the controller."""
        self._mind = mind
        self._rebuild()
        self._check()
        self.step(Tick())

    def close(self) -> None:
        self._link.close()

    # -- the mind's steps ---------------------------------------------------------------------------------------------
    def step(self, event: Event) -> None:
        """Something has happened."""
        assert self._mind is not None
        if not self._held:
            self._loop.after(0, self._carry_on)  # at the end of this turn, or in the next one
        self._held.append(self._mind.step(event, clock()))
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.at(self._mind.next_tick(), lambda: self.step(Tick()))

    def _carry_on(self) -> None:
        """Journal, then call, then send."""
        assert self._mind is not None
        if self._write_down():
            written, self._held = self._held, []
            for steps in written:
                for call in steps.calls:
                    self._own.begin(call)
                for message in steps.messages:
                    self.send(message)
            if self._outbox.lines >= self._compact_at:
                self._compact()
        if self._mind.welcomed != self._welcomed:
            self._welcomed = self._mind.welcomed
            self._log.notice("welcome" if self._welcomed else "without controller", controller=self._link.address)
            self._patience = PATIENCE_SECONDS

    def _write_down(self) -> bool:
        """Whether the journal has taken all that was decided."""
        records = [record for steps in self._held for record in steps.journal]
        if records:
            try:
                self._outbox.append(records)
            except Unavailable as error:
                self._journal_failed(error)
                return False
        if self._journal_trouble:
            self._log.notice("the journal can be written again")
            self._journal_trouble = ""
        return True

    def _journal_failed(self, error: Unavailable) -> None:
        """Nothing is done that could be forgotten. That we are alive, and unwell, is said all the same."""
        if error.text != self._journal_trouble:
            self._log.error("can't write the journal: nothing is done until it works", error=error.text)
            self._journal_trouble = error.text
        for steps in self._held:
            for message in [each for each in steps.messages if isinstance(each, Alive)]:
                self.send(message)
                steps.messages.remove(message)

    def _compact(self) -> None:
        assert self._mind is not None
        records = self._mind.memory.snapshot()
        try:
            self._outbox.rewrite(records)
        except Unavailable as error:
            self._log.warning("can't shorten the journal", error=error.text)
        self._compact_at = max(COMPACT_LINES, 2 * self._outbox.lines)

    # -- the controller -----------------------------------------------------------------------------------------------
    def send(self, message: msgspec.Struct) -> None:
        """Say it, if anybody listens."""
        if isinstance(message, Alive):
            journal = f"journal: {self._journal_trouble}" if self._journal_trouble else ""
            if why := "" if message.degraded else journal or self._own.unwell():
                message = msgspec.structs.replace(message, degraded=shorten(why, 200))
            message = self._own.dress(message)
        self._link.send(_encode(message))

    def _hear(self, frame: bytes) -> None:
        try:
            message = self._own.decode(frame)
        except (ValueError, RecursionError) as error:
            self._log.warning("the controller said what this agent does not understand", error=error)
            return
        assert self._mind is not None
        if isinstance(message, Welcome) and (why := why_unfit(message, self._mind.memory.cluster)):
            message = Rejected(why)
        if isinstance(message, Rejected):
            self._log.warning("not accepted", controller=self._link.address, reason=message.reason)
            self._hello_at = min(self._hello_at, self._later())
            self._patient_until = self._hello_at + PATIENCE_MAX_SECONDS
        self.step(Heard(message))
        if isinstance(message, Welcome) and self._mind.welcomed:
            self._learn(message)
        self._own.heard(message)

    def _learn(self, welcome: Welcome) -> None:
        """Which keys the controller has: kept before they are used. With the newest one it is tried soon."""
        lines = learned(self._link.lines, self._link.line, welcome.keys)
        if lines != self._link.lines:
            try:
                keep_lines(self._state, self._place, self._me.name, lines)
            except OSError as error:
                self._log.error("can't keep the controller's keys", error=error)
                return
            self._link.lines = lines
            self._log.notice("keys of the controller", server_keys=" ".join(line.server_key for line in lines))
        beats = random.uniform(0, RENEW_BEATS)  # not all agents at once
        self._renew_at = self._loop.now() + beats * welcome.heartbeat_seconds

    def _linked(self, up: bool) -> None:
        if up or self._welcomed:  # who takes calls and hangs up gets no more patience by that
            self._patient_until = self._later()
        self._hello_at = self._hello_again() if up else float("inf")
        self.step(Connected() if up else Disconnected())

    def _check(self) -> None:
        """Whether the line still works; if not, another."""
        assert self._mind is not None
        self._loop.after(CHECK_SECONDS, self._check)
        now = clock()
        if self._held:
            self._carry_on()
        if self._mind.deaf(now):
            self._log.warning("the controller is not heard any more", controller=self._link.address)
            self.step(Disconnected())
            self._rebuild()
        elif not self._mind.welcomed and now.monotonic >= self._hello_at:
            self._hello_at = self._hello_again()
            self.step(Connected())
        elif not self._mind.welcomed and now.monotonic >= self._patient_until:
            self._rebuild()
        elif self._mind.welcomed and now.monotonic >= self._renew_at:
            self._renew_at = self._loop.now() + RENEW_SECONDS
            self._link.renew()

    def _rebuild(self) -> None:
        self._hello_at = float("inf")
        self._patient_until = self._later()
        self._link.rebuild()

    def _hello_again(self) -> float:
        return self._loop.now() + HELLO_SECONDS * random.uniform(0.5, 1.5)

    def _later(self) -> float:
        """When to try again: later each time, and never all agents at once."""
        seconds = self._patience * random.uniform(0.5, 1.0)
        self._patience = min(self._patience * 2, PATIENCE_MAX_SECONDS)
        return self._loop.now() + seconds
