"""The controller's mind: events in, decisions out. It reads no clock, no file and no socket.

Each method takes one event and is atomic: whatever goes wrong inside leaves the state as it was. The shell stores what
was decided (`puts_since`, the log), and only then sends replies and effects; after a failed commit it rolls back.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from tashi.core import (
    certificates,
    consoles,
    divergence,
    drain,
    handover,
    images,
    jobs,
    keys,
    metal,
    metal_seen,
    queue,
    request,
    reservations,
    rights,
    usage,
    verbs,
)
from tashi.core import contact as agents
from tashi.core.budgets import Budgets
from tashi.core.certificates import Authority
from tashi.core.contact import Contact
from tashi.core.decision import Decision, Entry, Found, Park, entries_of, found_of, problem, request_key
from tashi.core.denied import Denials
from tashi.core.rate import Allowance
from tashi.core.resend import Resend
from tashi.core.secrets import Vault
from tashi.core.settings import Settings
from tashi.core.silence import Silence
from tashi.core.state import State
from tashi.core.turn import CONTROLLER, Principal, Sent, Turn, done_key
from tashi.model.clock import Now
from tashi.model.host import Host
from tashi.model.user import User
from tashi.model.zoniagent import ZoniAgent
from tashi.wire.agents import (
    AgentMessage,
    Beat,
    Certify,
    Hello,
    Inventory,
    Rejected,
    Tell,
)
from tashi.wire.bounds import Alive
from tashi.wire.errors import Code, TashiError
from tashi.wire.messages import Reply, Request
from tashi.wire.zoni import MetalBeat, MetalHello, MetalInventory, MetalMessage, MetalTell

__all__ = [
    "Cluster",
    "Decision",
    "Entry",
    "Found",
    "Mark",
    "Now",
    "Park",
    "Principal",
    "done_key",
    "found_of",
    "problem",
    "request_key",
]


class Mark(Struct, frozen=True, gc=False):
    undo: int
    revision: int
    spent: int


def no_account(uid: int) -> str:
    """Of a machine without accounts."""
    return ""


class Cluster:
    """All records, all rules. ``chance`` gives 32 random bytes when a secret is needed, ``authority`` signs, ``vault``
    seals passwords, ``account`` says what the accounts of this machine call a uid, as far as it knows now.
    """

    def __init__(self, settings: Settings, chance: Callable[[], bytes], authority: Authority | None = None) -> None:
        verbs.check()
        self.settings, self.chance, self.authority = settings, chance, authority
        self.vault: Vault | None = None
        self.account: Callable[[int], str] = no_account
        self.state = State(settings.steady_seconds)
        self.state.pool.capacity_bytes = settings.pool_bytes
        self.state.promise(settings.policy, settings.ratios)
        self.epoch = self.revision = 0
        self.contacts: dict[str, Contact] = {}
        self.resend = Resend(settings)
        self._budgets = Budgets(self.state)
        self._denials = Denials()
        self.refusals = Allowance()  # how many are remembered as decisions
        self._silence = Silence(self.state, self.contacts)
        self._reported: set[str] = set()  # hosts whose inventory came in since the last commit
        self._next_judgement = 0.0

    # -- start and undo ---------------------------------------------------------------------------------------------
    def load(self, table: str, rows: Iterable[tuple[str, bytes]]) -> None:
        self.state.load(table, rows)

    def loaded(self, now: Now, epoch: int, head_revision: int) -> None:
        """All rows are in. Every budget runs anew; every host is unknown until its inventory is in."""
        self.epoch, self.revision = epoch, head_revision
        self._silence.begin(now)
        self.state.grace_until = now.monotonic + self.settings.grace_seconds
        for host in list(self.state.hosts.values()):
            self.state.unknown_hosts[host.id] = f"{host.name} has not reported since the controller started"
            self.state.set_reachable(host.id, "its agent has not reported yet" if host.key else "not enrolled yet")
        divergence.await_hosts(self.state)
        for job in self.state.jobs.values():
            self._budgets.begin(job, now)
        late = 0.0 if any(user.key for user in self.state.users.values()) else self.settings.heartbeat_seconds
        self._next_judgement = now.monotonic + late

    def mark(self) -> Mark:
        """Where the state is now, for `rollback` and `puts_since`."""
        return Mark(self.state.mark(), self.revision, self._budgets.mark())

    def rollback(self, mark: Mark) -> None:
        """Be as at ``mark``: nothing of what was decided since is stored. Agents will say again what they said."""
        self.undo(mark)
        self.resend.rollback()
        for contact in self.contacts.values():
            contact.order.clear()
        for host in self._reported:
            self.contacts.pop(host, None)  # it is told to say hello, and all of it, again
        self._reported.clear()
        self._silence.forget()
        divergence.await_hosts(self.state)

    def take_epoch(self, epoch: int) -> None:
        """From now on orders have this epoch. Every agent is to say hello, and what it has, once more."""
        self.epoch = epoch
        self.contacts.clear()
        self.state.doubts.ahead.clear()
        divergence.await_hosts(self.state)

    def puts_since(self, mark: Mark) -> list[tuple[str, str, bytes | None]]:
        """(table, key, encoded value or None for removed) of everything changed since ``mark``."""
        return self.state.puts_since(mark.undo)

    def durable(self) -> None:
        """All that was decided is stored."""
        self.state.forget_undo()
        self._budgets.durable()
        self.resend.durable()
        self._reported.clear()

    # -- who --------------------------------------------------------------------------------------------------------
    def agent_of_key(self, key: str) -> str | None:
        """The host, or the zoni agent, that comes with this public key."""
        return self.state.host_of_key.get(key) or self.state.zoniagent_of_key.get(key)

    def user_of_key(self, key: str) -> User | None:
        return self.user_named(self.state.user_of_key.get(key, ""))

    def user_of_uid(self, uid: int) -> User | None:
        return self.state.users.get(self.state.user_of_uid.get(uid, ""))

    def user_named(self, name: str) -> User | None:
        ids = self.state.names["user"].get(name, ())
        return self.state.users[ids[0]] if ids else None

    def connection_of(self, host: str) -> Any:
        """The newest connection of a host's agent; None when it has none."""
        known = self.contacts.get(host)
        return known.conn if known is not None else None

    # -- events -----------------------------------------------------------------------------------------------------
    def request(self, who: Principal, raw: Request, found: Found | None, now: Now) -> Decision:
        """One request of a command. ``found``: what its id was answered before, by batch or store."""
        mark = self.mark()
        turn = self._turn(now, rights.lowered(self.state, who), raw.why)
        try:
            return request.answer(self, turn, raw, found, mark)
        except TashiError as error:
            self.undo(mark)
            denied = self.denied(who.name, raw, error, now) if error.code is Code.DENIED else []
            return Decision(reply=problem(raw.id, error, mark.revision), log=denied)
        except Exception:
            self.undo(mark)
            return Decision(reply=request.fault(raw.id, self.revision), fault=traceback.format_exc())

    def denied(self, who: str, raw: Request, error: TashiError, now: Now) -> list[Entry]:
        """The entry of the change log that tells of a refusal for want of a right; none when there are too many."""
        entry = self._denials.entry(who, raw, error.text, now, self.revision + 1)
        if entry is None:
            return []
        self.revision += 1
        return [entry]

    def agent_said(
        self, host: str, conn: Any, message: AgentMessage | MetalMessage, now: Now, server: str = ""
    ) -> Decision:
        """One message of the agent on ``host``, or of a zoni agent; ``back`` in the decision is for the connection on
        which it came.

        ``server``: the key of ours that this connection has.
        """
        mark = self.mark()
        record, zoni = self.state.hosts.get(host), self.state.zoniagents.get(host)
        name = f"agent@{record.name}" if record is not None else f"zoni@{zoni.name}" if zoni is not None else "agent"
        turn = self._turn(now, Principal(name, "agent", host))
        turn.server = server
        try:
            back = self._hear(turn, host, conn, message)
            if isinstance(message, Alive) and self.state.mark() == mark.undo and not turn.effects:
                return Decision(back=back)  # nothing follows from most of them, and there are many
            return self.close(turn, mark, back=back)
        except Exception:
            self.undo(mark)
            return Decision(fault=traceback.format_exc())

    def tick(self, now: Now) -> Decision:
        """Time has passed: silence is judged, budgets end, orders are repeated, the waiting are tried."""
        mark = self.mark()
        turn = self._turn(now)
        try:
            if now.monotonic >= self._next_judgement:
                keys.move(turn)
                self._judge(turn)
            self._budgets.spend(turn)
            decision = self.close(turn, mark)
            repeated = self.resend.due(turn, self.epoch, self.contacts)
            return replace(decision, effects=[*decision.effects, *repeated])
        except Exception:
            self.undo(mark)
            self._next_judgement = now.monotonic + self.settings.heartbeat_seconds
            return Decision(fault=traceback.format_exc())

    def happened(self, what: Callable[[Turn], None], now: Now) -> Decision:
        """Something that the shell had done for an operation is over: ``what`` says so."""
        mark = self.mark()
        turn = self._turn(now)
        try:
            what(turn)
            return self.close(turn, mark)
        except Exception:
            self.undo(mark)
            return Decision(fault=traceback.format_exc())

    def next_tick(self) -> float:
        """When `tick` has something to do, in monotonic seconds."""
        others = (self._budgets.next_end(), self.resend.next_due())
        return min([self._next_judgement, *(time for time in others if time is not None)])

    def _turn(self, now: Now, who: Principal = CONTROLLER, why: str = "") -> Turn:
        turn = Turn(self.state, self.settings, now, who, why)
        turn.contacts, turn.vault = self.contacts, self.vault
        turn.revision = self.revision
        return turn

    # -- inside: agents ---------------------------------------------------------------------------------------------
    def _hear(self, turn: Turn, agent: str, conn: Any, message: AgentMessage | MetalMessage) -> Sequence[Sent]:
        known, zoni = self.contacts.get(agent), self.state.zoniagents.get(agent)
        if zoni is not None:
            return self._hear_zoni(turn, zoni, conn, message, known)
        host: Host | None = self.state.hosts.get(agent)
        return self._hear_host(turn, host, conn, message, known) if host is not None else [Rejected("no such host")]

    def _hear_zoni(
        self, turn: Turn, agent: ZoniAgent, conn: Any, message: AgentMessage | MetalMessage, known: Contact | None
    ) -> Sequence[Sent]:
        if isinstance(message, MetalHello):
            heard = self._silence.heard(agent.id)
            if why_not := agents.why_rejected(turn, agent, message, self.epoch, known, heard):
                return [Rejected(why_not)]
            self.contacts[agent.id] = Contact(conn, message, turn.now.monotonic)
            return metal.hello(turn, agent, message, self.epoch)
        if known is None or known.conn != conn:
            return [Rejected("say hello first")]
        if known.ready or isinstance(message, MetalInventory):
            self._silence.is_back(agent.id)
            agent = metal.is_back(turn, agent)
        if isinstance(message, MetalBeat):
            return metal.beat(turn, agent, known, message, self.epoch)
        if isinstance(message, MetalInventory):
            self._reported.add(agent.id)
            self.resend.host_is_back(turn, agent.id)
            return metal.inventory(turn, agent, known, message, self.epoch)
        return metal.tell(turn, agent, known, message, self.epoch) if isinstance(message, MetalTell) else []

    def _hear_host(
        self, turn: Turn, host: Host, conn: Any, message: AgentMessage | MetalMessage, known: Contact | None
    ) -> Sequence[Sent]:
        host_id = host.id
        if isinstance(message, Hello):
            heard = self._silence.heard(host_id)
            why_not = agents.why_rejected(turn, host, message, self.epoch, known, heard)
            if why_not:
                agents.rejected(turn, host, message, self.epoch)
                return [Rejected(why_not)]
            self.state.doubts.ahead.pop(host_id, None)
            self.contacts[host_id] = Contact(conn, message, turn.now.monotonic)
            return agents.hello(turn, host, message, self.epoch)
        if known is None or known.conn != conn:
            return [Rejected("say hello first")]
        if isinstance(message, Beat):
            return agents.beat(turn, host, known, message, self.epoch)
        if isinstance(message, Certify):
            turn.authority = self.authority
            return [certificates.answer(turn, host, message, self.epoch)]
        if isinstance(message, Inventory):
            back = agents.inventory(turn, host, known, message, self.epoch)
            self._reported.add(host_id)
            self._silence.is_back(host_id)
            self.resend.host_is_back(turn, host_id)
            for job in list(self.state.jobs.values()):
                if job.kind == "image":
                    images.assign(turn, job.id)
            return back
        if not isinstance(message, Tell):
            return []
        if message.shot is not None:
            jobs.shot_done(turn, message.shot)
        return agents.tell(turn, host, known, message)

    # -- inside: time -----------------------------------------------------------------------------------------------
    def _judge(self, turn: Turn) -> None:
        """Whose heartbeat is missing; drains that may go on; the end of the start's grace and of holds."""
        self._next_judgement = turn.now.monotonic + self.settings.heartbeat_seconds
        if turn.now.monotonic < self.state.grace_until:
            return
        self._silence.judge(turn)
        metal_seen.settle_all(turn)
        for job in list(self.state.jobs.values()):
            if job.verb == "host.drain":
                drain.advance(turn, job.id, self.settings.moves_per_host)
            elif job.verb == consoles.CONSOLE:
                consoles.settle(turn, job)
        queue.look_at_the_clock(turn)
        reservations.look_at_the_clock(turn)
        handover.look_after(turn)

    # -- inside: the end of a turn ----------------------------------------------------------------------------------
    def close(self, turn: Turn, mark: Mark, reply: Reply | None = None, back: Sequence[Sent] = ()) -> Decision:
        """Let follow what follows, then say what is to be stored and sent."""
        while turn.ended:
            part = turn.ended.pop()
            parent = self.state.jobs.get(part.parent) if part.parent else None
            if parent is not None and parent.verb == "host.drain":
                drain.part_ended(turn, part)
        if self.state.freed and self.state.waiting:
            queue.retry(turn)
        divergence.settle(turn)
        if self.state.doubts.released:
            self.state.doubts.released = False
            self.state.freed = True
            for host in self.contacts:
                self.resend.host_is_back(turn, host)
        for job in turn.started:
            self._budgets.begin(job, turn.now)
        touched = self.state.touched(mark.undo)
        usage.account(turn, touched)
        effects = turn.effects + self.resend.after(turn, touched, self.epoch, self.contacts)
        log = entries_of(turn, touched, self.revision)
        self.revision += len(log)
        return Decision(
            reply=reply,
            log=log,
            effects=effects,
            back=back,
            wake=frozenset(turn.wake),
            urgent=turn.urgent or turn.who.role == "agent" or turn.who is CONTROLLER,
            epoch_above=turn.epoch_above,
        )

    def undo(self, mark: Mark) -> None:
        """Have records, revision and budgets as at ``mark``."""
        self.state.rollback(mark.undo)
        self.revision = mark.revision
        self._budgets.undo(mark.spent, self.settings.heartbeat_seconds)
