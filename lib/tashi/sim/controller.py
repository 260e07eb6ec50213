"""The controller in the simulation: the real shell, core and store in memory, started, crashed and frozen at will.

It is loaded by name, because this library stands below the daemons. What leaves it is held against the invariants at
the moment when it leaves, before the network has its way with it.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator
from hashlib import blake2b
from importlib import import_module
from typing import Any, NamedTuple

import msgspec

from tashi.core.cluster import Cluster
from tashi.core.settings import Settings
from tashi.model.clock import Now
from tashi.sim import words
from tashi.sim.invariants import Invariants
from tashi.sim.world import Haste, Timer, Violation, World
from tashi.wire.agents import AgentMessage, ControllerMessage
from tashi.wire.errors import Unavailable
from tashi.wire.zoni import MetalMessage, MetalOrder

RESTART_SECONDS = 1.0  # as a supervisor waits
BATCH_SECONDS = 0.001  # what arrives so close together is one batch
SETTINGS = Settings(
    start_seconds=30.0, stop_seconds=15.0, move_seconds=60.0, image_seconds=60.0, resend_max_seconds=8.0
)

_orders = msgspec.json.Decoder(ControllerMessage).decode
_metal_orders = msgspec.json.Decoder(MetalOrder).decode
_encode = msgspec.json.Encoder().encode


# Where the store ends a process, and how that is told.
MOMENTS = {"before-write": "before the commit", "after-write": "after the commit, before the reply"}


class Crash(BaseException):
    """The process dies here. Not an Exception: nothing may catch it."""


class Caller(NamedTuple):
    """A connection of a person's program; ``hear`` takes what is sent to it."""

    by: str
    hear: Callable[[bytes], None]


class AgentLine(NamedTuple):
    """A connection of an agent, as the controller sees it: another one after the controller was started anew.

    ``zoni``: it is a zoni agent's, in whose words it is spoken to.
    """

    host: str
    key: str
    conn: int
    controller: int
    zoni: bool = False

    def read(self, frame: bytes) -> ControllerMessage | MetalOrder:
        message: ControllerMessage | MetalOrder = (_metal_orders if self.zoni else _orders)(frame)
        return message


class Controller:
    """One process after the other on the same store."""

    def __init__(
        self,
        world: World,
        invariants: Invariants,
        deliver: Callable[[AgentLine, Any], None],
        settings: Settings = SETTINGS,
    ) -> None:
        self.world, self.invariants, self.deliver, self.settings = world, invariants, deliver, settings
        self.on_commit: Callable[[list[bytes]], None] = lambda entries: None  # the change log's new entries
        self.on_hang_up: Callable[[], None] = lambda: None  # all connections break
        self.store = import_module("tashid.store.memory").MemoryStore(crash=self._at_store)
        invariants.tables = invariants.metal.tables = self.store.contents.tables
        self.keys: dict[str, str] = {}  # person: public key
        self.starts = 0
        self.process: Process | None = None
        self.frozen: list[Process] = []
        self.crash_at = ""  # before-write, after-write, orders, sending: where the next batch ends the process
        self.disk_fails = False
        self._puts: list[tuple[str, str, bytes | None]] = []
        self._log: list[bytes] = []

    # -- life ----------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Start a process on what is stored, unless one runs."""
        if self.process is not None:
            return
        self.starts += 1
        self.world.tell("controller", f"starts, the {self.starts}. time")
        self.store = self.store.reopened()
        self.guard(self._load)
        self.invariants.restarted()

    def _load(self) -> None:
        try:
            self.process = Process(self, self.store, self.starts)
        except Unavailable as error:
            self.world.tell("controller", f"can't start: {error}")
            self.world.after(RESTART_SECONDS, self.start)
        else:
            self.process.wake()

    def crash(self) -> None:
        if self.process is not None:
            self.world.tell("controller", "killed")
            self._bury()

    def _bury(self) -> None:
        if self.process is not None:
            self.process.die()
            self.process = None
            self.on_hang_up()

    def freeze(self) -> None:
        """Stop it as SIGSTOP would; another may be started meanwhile."""
        if self.process is not None:
            self.world.tell("controller", "frozen")
            self.process.frozen = True
            self.frozen.append(self.process)
            self.process = None

    def thaw(self) -> None:
        """The frozen go on where they were, knowing nothing, for a while beside the one that took over."""
        for process in self.frozen:
            self.world.tell("controller", f"number {process.number} goes on")
            process.frozen = False
            process.wake()
            self.world.after(self.world.chance.uniform(0.0, 10.0), process.die)
        self.frozen.clear()

    def guard(self, act: Callable[[], None]) -> None:
        """Do something as the process, which may die of it."""
        try:
            act()
        except Crash as where:
            self.world.tell("controller", f"killed {where}")
            self._bury()
        except Violation:
            raise
        except Exception as error:
            raise Violation(f"I4 the controller dies of {type(error).__name__}: {error}") from error

    # -- doors ---------------------------------------------------------------------------------------------------------
    def ask(self, by: str, request: bytes, answer: Callable[[bytes], None]) -> None:
        """A request of a person arrives; without a process there is nobody to answer."""
        process = self._receiver()
        if process is not None:
            process.arrive(Caller(by, answer), request)

    def listens(self) -> bool:
        """Whether a connection can be made."""
        return self.process is not None

    def hear_agent(self, host: str, key: str, conn: int, message: AgentMessage | MetalMessage) -> None:
        process = self._receiver()
        if process is not None:
            told = words.report(message)
            if told:
                self.world.say("controller", f"hears {host}: {told}")
            line = AgentLine(host, key, conn, process.number, isinstance(message, MetalMessage))
            process.arrive(line, _encode(message))

    def _receiver(self) -> Process | None:
        """Whose sockets take what arrives: those of a frozen process do too, it reads them when it goes on."""
        return self.process or (self.frozen[-1] if self.frozen else None)

    # -- store ---------------------------------------------------------------------------------------------------------
    def note_commit(self, puts: list[tuple[str, str, bytes | None]], log: list[bytes]) -> None:
        self._puts, self._log = puts, log

    def _at_store(self, where: str) -> None:
        if where == "before-write" and self.disk_fails:
            raise Unavailable("no space left on the simulated disk")
        if where == "after-write":
            self.invariants.committed(self._puts)
            self.on_commit(self._log)
        if where == self.crash_at:
            self.crash_at = ""
            raise Crash(MOMENTS[where])


class Process:
    """One life of the controller."""

    def __init__(self, controller: Controller, store: Any, number: int) -> None:
        self.controller, self.world, self.number = controller, controller.world, number
        shell, principal = import_module("tashid.shell"), import_module("tashid.principal")
        interface = import_module("tashid.store.interface")
        self._incoming, self._peer = import_module("tashid.incoming").Incoming, principal.Peer
        self._queue: deque[Any] = deque()
        self._timer: Timer | None = None
        self._due = 0.0
        self._haste = Haste("the controller")
        self.alive, self.frozen = True, False
        self.cluster = Cluster(controller.settings, lambda: self.world.chance.randbytes(32))
        self.cluster.vault = _Vault()
        for table in interface.WORKING_TABLES:
            self.cluster.load(table, store.load(table))
        self.cluster.loaded(self._now(), store.acquire(), store.head())
        self._shell = shell.Shell(
            self.cluster,
            Watched(store, controller),
            principal.Directory(self.cluster),
            self._send,
            self._now,
            Faults(self.world),
            import_module("tashid.tail").Retention(100_000, 7 * 86_400.0),
        )

    def _now(self) -> Now:
        return Now(self.world.seconds, self.world.wall)

    def die(self) -> None:
        self.alive = False
        self._queue.clear()
        if self._timer is not None:
            self._timer.drop()

    def arrive(self, connection: Caller | AgentLine, payload: bytes) -> None:
        if isinstance(connection, AgentLine):
            peer = self._peer("agent", key=connection.key)
        elif connection.by == "root":
            peer = self._peer("admin", uid=0)
        elif connection.by == "enroll":
            peer = self._peer("enroll", key="anybody")
        else:
            peer = self._peer("operator", key=self.controller.keys[connection.by])
        self._queue.append(self._incoming(connection, peer, payload))
        self._wake_at(self.world.seconds + BATCH_SECONDS)

    def wake(self) -> None:
        """Serve when something is due."""
        if self.alive:
            due = self._shell.next_time()
            self._haste.note(due, self.world.seconds)
            self._wake_at(max(self.world.seconds + BATCH_SECONDS, 0.0 if self._queue else due))

    def _wake_at(self, when: float) -> None:
        if self._timer is not None:
            if self._due <= when:
                return
            self._timer.drop()
        self._due = when
        self._timer = self.world.after(when - self.world.seconds, lambda: self.controller.guard(self._turn))

    def _turn(self) -> None:
        self._timer = None
        if self.alive and not self.frozen:
            self.serve()
            self.wake()

    def serve(self) -> None:
        self._shell.serve(self._waiting())

    def _waiting(self) -> Iterator[Any]:
        while self._queue:
            yield self._queue.popleft()

    def _send(self, connection: Any, frames: list[bytes]) -> bool:
        controller = self.controller
        if controller.crash_at == "sending" and self is controller.process and self.world.happens(0.3):
            controller.crash_at = ""
            raise Crash("between two messages")
        orders = controller.crash_at == "orders" and isinstance(connection, AgentLine)
        if orders and words.order(connection.read(frames[0])):
            controller.crash_at = ""
            raise Crash("after the replies, before the orders")
        if isinstance(connection, Caller):
            controller.invariants.reply_leaves(connection.by, json.loads(frames[0]))
            connection.hear(frames[0])
        else:
            message = connection.read(frames[0])
            told = words.order(message)
            if told:
                self.world.say("controller", f"tells {connection.host}: {told}")
            controller.invariants.order_leaves(connection.host, message, controller.store.contents.epoch)
            controller.deliver(connection, message)
        return True


class _Vault:
    """Passwords of simulated devices are no secret."""

    def seal(self, name: str, plain: bytes, nonce: bytes) -> str:
        return plain.hex()

    def open(self, name: str, sealed: str) -> bytes:
        return bytes.fromhex(sealed)

    def digest(self, plain: bytes) -> str:
        return blake2b(plain, digest_size=16).hexdigest()


class Watched:
    """The store as the shell sees it; what it commits is shown to the invariants."""

    def __init__(self, store: Any, controller: Controller) -> None:
        self._store, self._controller = store, controller
        self.get, self.changes, self.head = store.get, store.changes, store.head
        self.prune, self.usage = store.prune, store.usage

    def commit(self, puts: Any, log: Any, *, epoch: int, reserve: bool = False) -> None:
        self._controller.note_commit([tuple(put) for put in puts], [entry.value for entry in log])
        try:
            self._store.commit(puts, log, epoch=epoch, reserve=reserve)
        finally:
            self._controller.note_commit([], [])


class Faults:
    """The shell's log: what it calls an error of its own is a finding."""

    def __init__(self, world: World) -> None:
        self._world = world

    def error(self, event: str, **facts: Any) -> None:
        self._world.say("controller", f"{event} {facts}")
        if event.startswith("fault"):
            raise Violation(f"I4 the controller has a fault: {facts.get('trace', '')}")

    def warning(self, event: str, **facts: Any) -> None:
        self._world.say("controller", f"{event} {facts}")
