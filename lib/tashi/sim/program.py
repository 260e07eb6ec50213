"""An agent's process in the simulation: the real mind, and the shell around it.

The shell writes the journal, begins the calls, carries messages and wakes the mind. It is killed between any two of
these steps. What a host's agent has of its own, and a zoni agent, is in the two that stand on this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from typing import Any, Protocol

import msgspec
from msgspec.structs import replace

from tashi.agent import events
from tashi.sim.network import Network
from tashi.sim.world import Haste, Timer, World
from tashi.wire.agents import Rejected
from tashi.wire.bounds import Alive

RECONNECT_SECONDS = 0.3
PATIENCE_SECONDS = 3.0  # without a welcome; then another connection
REJECTED_SECONDS = 3.0  # until another hello
COMPACT_RECORDS = 100  # of the journal; then it is written anew
TICK_SECONDS = 0.001
LATE = 0.3  # probability that a message outlives its connection


class Listener(Protocol):
    """The controller's agent port."""

    def listens(self) -> bool: ...

    def hear_agent(self, host: str, key: str, conn: int, message: Any) -> None: ...


class Thought(Protocol):
    """What both minds are to the shell around them."""

    memory: Any

    def step(self, event: events.Event, now: events.Now) -> events.Steps: ...

    @property
    def welcomed(self) -> bool: ...

    def next_tick(self) -> float: ...

    def deaf(self, now: events.Now) -> bool: ...


class Running(Protocol):
    """A call that was begun."""

    def abandon(self) -> None: ...


class Done(Protocol):
    """Hears how a call ended."""

    def __call__(self, outcome: str, value: Any, text: str, code: str = "") -> None: ...


class Program(ABC):
    """One agent. ``name`` is its name, ``key`` its public key, by which the controller knows it."""

    def __init__(self, world: World, network: Network, listener: Listener, name: str, key: str) -> None:
        self.world, self.network, self.listener = world, network, listener
        self.name, self.key = name, key
        self.starts = 0
        self.journal: list[dict[str, Any]] = []
        self.mind: Thought | None = None
        self.conn = self._connections = 0
        self.crash_at = ""  # acting, telling: with what was decided written down; with it done and nobody told
        self._disk_full = False
        self._held: deque[events.Steps] = deque()  # decided, and not written down yet
        self._calls: dict[int, Running] = {}
        self._tick: Timer | None = None
        self._patient_until = 0.0
        self._rejected = ""
        self._haste = Haste(f"the agent {name}")

    # -- what each has of its own --------------------------------------------------------------------------------------
    @abstractmethod
    def new_mind(self) -> Thought:
        """The mind of a process that starts now, on the journal."""

    @abstractmethod
    def words_of(self, call: events.Call) -> str:
        """What the log says of a call; empty for what is asked all the time."""

    @abstractmethod
    def begin(self, call: events.Call, done: Done) -> Running:
        """Begin a call."""

    @abstractmethod
    def listen(self, message: Any) -> None:
        """A message of the controller is heard: let the mind step, and see that it may do what it does."""

    def can_run(self) -> bool:
        return True

    # -- the process ---------------------------------------------------------------------------------------------------
    def start_agent(self) -> None:
        """Start the process, unless it runs."""
        if self.mind is not None or not self.can_run():
            return
        self.starts += 1
        self.mind = self.new_mind()
        self.world.tell(self.name, f"agent {self.starts} starts")
        self._connect()

    def crash_agent(self) -> None:
        """Kill the process: the journal stays, and what it has begun."""
        if self.mind is None:
            return
        self.world.tell(self.name, "agent killed")
        self.mind = None
        self.conn = 0
        if self._tick is not None:
            self._tick.drop()
        for call in list(self._calls.values()):
            call.abandon()
        self._calls.clear()
        self._held.clear()

    # -- the line to the controller -----------------------------------------------------------------------------------
    def _connect(self) -> None:
        """Until it works: a connection needs both directions, and somebody who listens."""
        current = self.mind
        if current is None or self.conn:
            return
        there = self.network.reaches(self.name, "controller") and self.network.reaches("controller", self.name)
        if not there or not self.listener.listens():
            self.world.after(RECONNECT_SECONDS, lambda: self._connect() if self.mind is current else None)
            return
        self._connections += 1
        self.conn = self._connections
        self._say_hello()

    def _say_hello(self) -> None:
        self._patient_until = self.world.seconds + PATIENCE_SECONDS
        self.step(events.Connected())

    def reconnect(self) -> None:
        """The connection breaks; messages under way on it are lost."""
        if self.mind is not None and self.conn:
            self.conn = 0
            self.step(events.Disconnected())
            current = self.mind
            self.world.after(RECONNECT_SECONDS, lambda: self._connect() if self.mind is current else None)

    def hear(self, conn: int, message: Any) -> None:
        """A message of the controller arrives. One of a connection that is no more is lost, but not always: nothing
        may depend on it."""
        if self.mind is None or not self.conn or (conn != self.conn and not self.world.happens(LATE)):
            return
        self.listen(message)
        if isinstance(message, Rejected):
            say = self.world.say if message.reason == self._rejected else self.world.tell
            say(self.name, f"is not accepted: {message.reason}")
            self._rejected = message.reason
            self.world.after(REJECTED_SECONDS, lambda: self._say_hello() if conn == self.conn else None)

    # -- the mind's surroundings ---------------------------------------------------------------------------------------
    def set_disk_full(self, full: bool) -> None:
        """Nothing can be written down; or it can again, and what waited for that is done."""
        if self._disk_full != full:
            self.world.tell(self.name, f"disk of the agent {'is full' if full else 'has room again'}")
            self._disk_full = full
            self._carry_on()

    def step(self, event: events.Event) -> events.Steps | None:
        """Let the mind take an event in, and do what it says."""
        if self.mind is None:
            return None
        steps = self.mind.step(event, events.Now(self.world.seconds, self.world.wall))
        self._held.append(steps)
        self._carry_on()
        self._wake()
        return steps

    def ends_here(self, moment: str) -> bool:
        """Whether the process was to be killed at this moment; then it is."""
        if self.crash_at != moment:
            return False
        self.crash_at = ""
        self.crash_agent()
        return True

    def _carry_on(self) -> None:
        """Journal, then call, then send. What can't be written down waits, and so does all that comes after it."""
        while self._held:
            steps = self._held[0]
            if steps.journal and self._disk_full:
                self._only_beat()
                return
            self._held.popleft()
            if steps.journal:
                self.journal += steps.journal
                if self.ends_here("acting"):
                    return
            for call in steps.calls:
                self._start(call)
            for message in steps.messages:
                self._send(message)
        if self.mind is not None and len(self.journal) >= COMPACT_RECORDS:
            self.journal = self.mind.memory.snapshot()

    def _start(self, call: events.Call) -> None:
        current, asked = self.mind, self.words_of(call)
        if asked:
            self.world.say(self.name, asked)

        def done(outcome: str, value: Any, text: str, code: str = "") -> None:
            if asked:
                self.world.say(self.name, f"{asked}: {outcome} {text}".rstrip())
            if self.mind is current:
                self._calls.pop(call.id, None)
                if asked and self.ends_here("telling"):
                    return
                self.step(events.Called(call.id, outcome, value, text, code))

        self._calls[call.id] = self.begin(call, done)

    def _only_beat(self) -> None:
        for message in self._held[-1].messages:
            if isinstance(message, Alive):
                self._send(replace(message, degraded="journal: no space left on the simulated disk"))

    def _wake(self) -> None:
        if self._tick is not None:
            self._tick.drop()
        if self.mind is not None:
            due = self.mind.next_tick()
            self._haste.note(due, self.world.seconds)
            if self.conn and not self.mind.welcomed:
                due = min(due, self._patient_until)
            self._tick = self.world.after(max(due - self.world.seconds, TICK_SECONDS), self._on_tick)

    def _on_tick(self) -> None:
        if self.mind is None:
            return
        deaf = self.mind.deaf(events.Now(self.world.seconds, self.world.wall))
        if self.conn and (deaf or (not self.mind.welcomed and self.world.seconds >= self._patient_until)):
            self.world.say(self.name, "hears nothing, connects anew")
            self.reconnect()
        self.step(events.Tick())

    def _send(self, message: msgspec.Struct) -> None:
        conn = self.conn
        if conn:
            self.network.send(
                self.name,
                "controller",
                lambda: self.listener.hear_agent(self.name, self.key, conn, message),
                type(message).__name__.lower().removeprefix("metal"),
            )
