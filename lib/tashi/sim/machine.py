"""A VM host in the simulation: power, a hypervisor, a disk with the agent's journal, and the agent's process.

The process is the real mind; this is the shell around it: it writes the journal, makes the calls, carries messages,
wakes the mind. It is killed between any two of these steps.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Protocol, cast

from msgspec.structs import replace

from tashi.agent import events
from tashi.agent.mind import Mind
from tashi.sim import words
from tashi.sim.call import WorkerCall
from tashi.sim.hypervisor import Hypervisor
from tashi.sim.invariants import Invariants
from tashi.sim.network import Network
from tashi.sim.world import Haste, Timer, World
from tashi.wire.agents import AgentMessage, Beat, ControllerMessage, Rejected

POWER_ON_SECONDS = 5.0
RECONNECT_SECONDS = 0.3
PATIENCE_SECONDS = 3.0  # without a welcome; then another connection
REJECTED_SECONDS = 3.0  # until another hello
COMPACT_RECORDS = 100  # of the journal; then it is written anew
TICK_SECONDS = 0.001
LATE = 0.3  # probability that a message outlives its connection
EVENT_SECONDS = 0.005
CLONED_CONNECTIONS = 1_000_000  # numbers of connections that are a clone's


class Listener(Protocol):
    """The controller's agent port."""

    def listens(self) -> bool: ...

    def hear_agent(self, host: str, key: str, conn: int, message: AgentMessage) -> None: ...


class Machine:
    """One host. ``name`` is the host's; ``key`` its agent's public key, by which the controller knows it."""

    def __init__(
        self,
        world: World,
        network: Network,
        listener: Listener,
        hypervisor: Hypervisor,
        key: str,
        invariants: Invariants,
    ) -> None:
        self.world, self.network, self.listener, self.hypervisor = world, network, listener, hypervisor
        self.name, self.key, self.uuid = hypervisor.name, key, f"uuid-{hypervisor.name}"
        self.host = self.name  # the host that it says it is
        self.boots = 1
        self.starts = 0
        self.journal: list[dict[str, Any]] = []
        self.mind: Mind | None = None
        self.conn = self._connections = 0
        self.crash_at = ""  # acting, telling: with what was decided written down; with it done and nobody told
        self._disk_full = False
        self._held: deque[events.Steps] = deque()  # decided, and not written down yet
        self.invariants = invariants
        self._calls: dict[int, WorkerCall] = {}
        self._tick: Timer | None = None
        self._patient_until = 0.0
        self._rejected = ""
        self._haste = Haste(f"the agent of {self.name}")
        hypervisor.tell = self._hypervisor_says

    @property
    def boot_id(self) -> str:
        return f"{self.name}-boot-{self.boots}"

    # -- power and process ---------------------------------------------------------------------------------------------
    def start_agent(self) -> None:
        """Start the process, if there is power and it does not run."""
        if self.mind is not None or not self.hypervisor.power:
            return
        self.starts += 1
        identity = events.Identity(self.host, self.uuid, self.boot_id, self.starts)
        self.mind = Mind(list(self.journal), identity, self.hypervisor.what_it_has())
        self.world.tell(self.name, f"agent {self.starts} starts")
        self._connect()

    def crash_agent(self) -> None:
        """Kill the process: the journal and the guests stay."""
        if self.mind is None:
            return
        self.world.tell(self.name, "agent killed")
        self.mind = None
        self.conn = 0
        if self._tick is not None:
            self._tick.drop()
        for call in self._calls.values():
            call.abandon()
        self._calls.clear()
        self._held.clear()

    def cut_power(self) -> None:
        self.crash_agent()
        self.world.tell(self.name, "power cut")
        self.hypervisor.cut_power()

    def restore_power(self) -> None:
        """Power again: a new boot id, and after a while an agent."""
        if self.hypervisor.power:
            return
        self.world.tell(self.name, "power is back")
        self.hypervisor.power, self.hypervisor.serves = True, True
        self.boots += 1
        self.world.after(POWER_ON_SECONDS, self.start_agent)

    def reinstall(self) -> None:
        """Another machine under the same name, with the same key: nothing of the old one is on it."""
        self.cut_power()
        self.hypervisor.domains.clear()
        self.journal.clear()
        self.uuid += "-anew"
        self.starts = 0
        self.restore_power()

    def clone(self, hypervisor: Hypervisor) -> Machine:
        """A machine whose disk was copied from this one: the same key, machine id and journal, another boot."""
        other = Machine(self.world, self.network, self.listener, hypervisor, self.key, self.invariants)
        other.host, other.uuid, other.starts = self.host, self.uuid, self.starts
        other.journal, other.crash_at = list(self.journal), ""
        other._connections = CLONED_CONNECTIONS
        return other

    def set_hypervisor(self, serves: bool) -> None:
        """Stop or start the hypervisor's daemon; guests live on."""
        if self.hypervisor.serves == serves:
            return
        self.world.tell(self.name, f"hypervisor {'is back' if serves else 'does not answer'}")
        self.hypervisor.serves = serves
        self._step(events.DriverUp(serves, "" if serves else "it does not answer"))

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
        self._step(events.Connected())

    def reconnect(self) -> None:
        """The connection breaks; messages under way on it are lost."""
        if self.mind is not None and self.conn:
            self.conn = 0
            self._step(events.Disconnected())
            current = self.mind
            self.world.after(RECONNECT_SECONDS, lambda: self._connect() if self.mind is current else None)

    def hear(self, conn: int, message: ControllerMessage) -> None:
        """A message of the controller arrives. One of a connection that is no more is lost, but not always: nothing
        may depend on it."""
        if self.mind is None or not self.conn or (conn != self.conn and not self.world.happens(LATE)):
            return
        stale = self.invariants.stale(self.name, message)
        steps = self._step(events.Heard(message))
        if steps is not None:
            self.invariants.obeyed(self.name, message, stale, steps)
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

    def _step(self, event: events.Event) -> events.Steps | None:
        if self.mind is None:
            return None
        steps = self.mind.step(event, events.Now(self.world.seconds, self.world.wall))
        self._held.append(steps)
        self._carry_on()
        self._wake()
        return steps

    def _carry_on(self) -> None:
        """Journal, then call, then send. What can't be written down waits, and so does all that comes after it."""
        while self._held:
            steps = self._held[0]
            if steps.journal and self._disk_full:
                self._only_beat()
                return
            self._held.popleft()
            if steps.journal and not self._written(steps.journal):
                return
            for call in steps.calls:
                self._start_call(call)
            for message in steps.messages:
                self._send(cast(AgentMessage, message))
        if self.mind is not None and len(self.journal) >= COMPACT_RECORDS:
            self.journal = self.mind.memory.snapshot()

    def _only_beat(self) -> None:
        for message in self._held[-1].messages:
            if isinstance(message, Beat):
                self._send(replace(message, degraded="journal: no space left on the simulated disk"))

    def _written(self, records: list[dict[str, Any]]) -> bool:
        """Write into the journal; False when the process ends there."""
        self.journal += records
        if self.crash_at == "acting":
            self.crash_at = ""
            self.crash_agent()
            return False
        return True

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
        self._step(events.Tick())

    def _start_call(self, call: events.Call) -> None:
        current = self.mind
        self.invariants.called(self.name, call.verb, call.args)
        asked = words.call(call.verb, call.args)
        if asked:
            self.world.say(self.name, asked)

        def done(outcome: str, value: Any, text: str) -> None:
            if asked:
                self.world.say(self.name, f"{asked}: {outcome} {text}".rstrip())
            if self.mind is current:
                self._calls.pop(call.id, None)
                if self.crash_at == "telling" and asked:
                    self.crash_at = ""
                    self.crash_agent()
                    return
                self._step(events.Called(call.id, outcome, value, text))

        self._calls[call.id] = WorkerCall(self.world, self.hypervisor, call.verb, call.args, call.seconds, done)

    def _send(self, message: AgentMessage) -> None:
        conn = self.conn
        if conn:
            self.network.send(
                self.name,
                "controller",
                lambda: self.listener.hear_agent(self.name, self.key, conn, message),
                type(message).__name__.lower(),
            )

    def _hypervisor_says(self, vm: str, what: str) -> None:
        """An event of the hypervisor; now and then one is lost, as when its child process is between two lives."""
        if self.hypervisor.serves and not self.world.happens(0.05):
            self.world.after(EVENT_SECONDS, lambda: self._happened(vm, what))

    def _happened(self, vm: str, what: str) -> None:
        self._step(events.DriverEvent(vm, what))
