"""Carries out what the core decides: store, then send.

Theory of operation. Messages that wait are handled as one batch, each as one event of the core, which sees what those
before it changed. Then all changes of the batch are committed in one durable transaction, and only then do replies,
answers and orders leave: nothing is said that a crash could take back. When the commit fails the core is rolled back to
where the batch began, everybody who asked is told `unavailable`, and nothing else leaves. When it fails because the
store is above its limit, the messages are handled again one by one, so that those that may use the reserve get through.

There is no socket and no clock in here, so the same code runs in the simulator.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from functools import partial
from itertools import chain
from typing import Any

import msgspec

from tashi.core import backups
from tashi.core.choices import keys_of
from tashi.core.cluster import Cluster, Decision, Found, Now, Principal, done_key, found_of, problem, request_key
from tashi.core.plainly import plainly
from tashi.core.rate import Rate
from tashi.core.server_keys import told_of_next
from tashi.core.turn import Turn
from tashi.core.verbs import VERBS
from tashi.run.log import Log
from tashi.wire.agents import AgentMessage
from tashi.wire.errors import Code, Refused, TashiError, Unavailable
from tashi.wire.messages import Metrics, Named, Reply, Request, Sample
from tashi.wire.zoni import MetalMessage
from tashid.accounts import Accounts
from tashid.batch import Batch
from tashid.copies import Copies
from tashid.floods import Floods
from tashid.incoming import Incoming, id_of, payload_of
from tashid.principal import Directory, Peer, Unnamed
from tashid.store.interface import Full, LogEntry, Store
from tashid.tail import Retention, Tail
from tashid.vitals import Vitals
from tashid.watch import Watchers

BATCH_MESSAGES, BATCH_BYTES, BATCH_SECONDS = 512, 2**20, 0.005
ENROLMENTS_PER_SECOND, ENROLMENTS_AT_ONCE = 5.0, 50
REQUESTS_PER_SECOND, REQUESTS_AT_ONCE = 500.0, 5000  # of each user; where administrators come there is no limit
USERS_KEPT = 1000

NAMING_JOBS = ("list", "changes", "job.cancel", "decision")
RECALLED_AT_ONCE = 100
_JOB = re.compile(rb'"(j-[1-9][0-9]{0,17})"')

_named = msgspec.json.Decoder(Named).decode
_request = msgspec.json.Decoder(Request).decode
_agent_message = msgspec.json.Decoder(AgentMessage).decode
_metal_message = msgspec.json.Decoder(MetalMessage).decode
_encode = msgspec.json.Encoder().encode


Send = Callable[[Any, list[bytes]], object]


class Shell:
    """The controller without its sockets. ``send`` must not wait and may lose what it is given."""

    def __init__(
        self, cluster: Cluster, store: Store, directory: Directory, send: Send, clock: Callable[[], Now], log: Log,
        retention: Retention, copies: Copies | None = None, accounts: Accounts | None = None,
    ) -> None:  # fmt: skip
        self._cluster, self._store, self._directory = cluster, store, directory
        self._send, self._clock, self._log = send, clock, log
        self._copies = copies  # None: nobody makes copies here
        self._accounts = accounts  # None: names have to be waited for nowhere
        self._watchers = Watchers(store, store.head())
        self._enrolments = Rate(ENROLMENTS_PER_SECOND, ENROLMENTS_AT_ONCE)
        self._requests: dict[str, Rate] = {}
        self._floods = Floods()
        self._tail = Tail(store, retention, log)
        self._vitals = Vitals(clock().monotonic)

    def serve(self, incoming: Iterable[Incoming]) -> None:
        """Handle messages, as many as one batch takes, and what time has brought due. Never raises for a message."""
        now = self._clock()
        batch = self._begin()
        if now.monotonic >= self._cluster.next_tick() or (self._copies is not None and self._copies.news):
            self._handle(batch, None, now)
        until = now.monotonic + BATCH_SECONDS
        for message in chain(self._named(), incoming):
            self._handle(batch, message, now)
            now = self._clock()
            if len(batch.events) >= BATCH_MESSAGES or batch.bytes >= BATCH_BYTES or now.monotonic >= until:
                break
        self._finish(batch)
        if self._copies is not None:
            self._copies.attend(self._cluster.state.copying)
        self._watchers.tick(self._clock().monotonic)
        self._tail.cut(self._clock())

    def happened(self, what: Callable[[Turn], None]) -> bool:
        """Decide about what no message brought; false when it could not be stored, and so is as if it had not been."""
        batch = self._begin()
        self._note(batch, self._cluster.happened(what, self._clock()), None)
        return self._finish(batch)

    def next_time(self) -> float:
        """When `serve` has something to do although no message came, in monotonic seconds."""
        waiting = self._watchers.next_tick()
        times = [self._cluster.next_tick(), self._tail.due]
        if self._accounts is not None and self._accounts.news:
            times.append(self._clock().monotonic)
        return min(times if waiting is None else [*times, waiting])

    # -- one event --------------------------------------------------------------------------------------------------
    def _begin(self) -> Batch:
        return Batch(self._cluster.mark(), self._clock().monotonic)

    def _named(self) -> Iterable[Incoming]:
        """Messages that waited until it was known whose they are."""
        return self._accounts.released(self._refuse) if self._accounts is not None else ()

    def _handle(self, batch: Batch, message: Incoming | None, now: Now) -> None:
        if message is None:
            batch.events.append(None)
            for job, end in self._copies.ended() if self._copies is not None else ():
                over = partial(backups.ended, job_id=job, outcome=end.outcome, text=end.text, result=end.value or {})
                self._note(batch, self._cluster.happened(over, now), None)
            self._note(batch, self._cluster.tick(now), None)
            return
        try:
            who = self._directory.who(message.peer)
        except Unnamed:
            self._hold(message)
            return
        batch.events.append(message)
        self._vitals.messages += 1
        if message.peer.role == "agent":
            if not self._floods.heard(message.peer.key, message.payload, now.monotonic):
                self._flooded(message.peer.key, who, now)
            elif who is None:
                # Its key was taken away while the connection lived on. It is told nothing more.
                self._log.warning("message from a host that is not ours", key=message.peer.key)
            else:
                self._hear(batch, message, who.host, now)
        else:
            self._note(batch, self._answer(message, who, now), message)

    def _hold(self, message: Incoming) -> None:
        assert self._accounts is not None
        try:
            self._accounts.hold(message)
        except Unavailable as error:
            self._refuse(message, error)

    def _refuse(self, message: Incoming, error: TashiError) -> None:
        self._reply_to(message.connection, problem(id_of(message), error))

    def _flooded(self, key: str, who: Principal | None, now: Now) -> None:
        if self._floods.begins(key, now.monotonic):
            self._log.warning("an agent says too much: some of it is not heard", host=who.host if who else key)
        contact = self._cluster.contacts.get(who.host) if who is not None else None
        if contact is not None:
            contact.flooded = now.monotonic  # its next beat finds it unwell for that

    def _hear(self, batch: Batch, message: Incoming, host: str, now: Now) -> None:
        try:
            decode = _metal_message if host in self._cluster.state.zoniagents else _agent_message
            said: AgentMessage | MetalMessage = decode(payload_of(message))
        except (ValueError, RecursionError, TashiError) as error:
            self._log.warning("nonsense from an agent", host=host, error=error)
            return
        decision = self._cluster.agent_said(host, message.connection, said, now, message.peer.server)
        self._note(batch, decision, message)

    def _answer(self, message: Incoming, who: Principal | None, now: Now) -> Decision:
        """What to do about one request; always with a reply, or a long poll that will be answered."""
        if who is not None and message.address:
            self._cluster.state.uses.note(message.peer.key, message.address, message.peer.server, now.wall)
        try:
            request = _request(payload_of(message))
        except (ValueError, RecursionError, TashiError) as error:
            refusal = problem(id_of(message), Refused(Code.BAD_REQUEST, plainly(str(error))))
            return self._vitals.decided("", Decision(reply=refusal))
        return self._vitals.decided(request.verb, self._decide(request, message.peer, who, now))

    def _decide(self, request: Request, peer: Peer, who: Principal | None, now: Now) -> Decision:
        if who is None:
            self._log.warning("not served", uid=peer.uid, key=peer.key, verb=request.verb)
            refusal = Refused(Code.DENIED, "you are not served here")
            name = peer.key or f"uid:{peer.uid}"
            return Decision(reply=problem(request.id, refusal), log=self._cluster.denied(name, request, refusal, now))
        if who.role == "enroll" and not self._enrolments.take(now.monotonic):
            return Decision(reply=problem(request.id, Refused(Code.BUSY, "too many enrolments at a time")))
        if peer.role == "operator" and not self._rate_of(who.name).take(now.monotonic):
            text = f"{who.name} asks more than {REQUESTS_PER_SECOND:g} times a second"
            return Decision(reply=problem(request.id, Refused(Code.BUSY, text)))
        try:
            if request.verb in NAMING_JOBS:
                self._recall(request)
            found = self._found(who, request)
        except TashiError as error:  # what is on the disk can't be read; who asks for something else is served
            return Decision(reply=problem(request.id, self._unreadable(error)))
        decision = self._cluster.request(who, request, found, now)
        if request.verb == "metrics" and decision.reply is not None and decision.reply.error is None:
            return msgspec.structs.replace(decision, rows=_encode(Metrics(self._measure(now.monotonic))))
        return decision

    def _rate_of(self, user: str) -> Rate:
        if len(self._requests) >= USERS_KEPT:
            self._requests.clear()
        return self._requests.setdefault(user, Rate(REQUESTS_PER_SECOND, REQUESTS_AT_ONCE))

    def _unreadable(self, error: TashiError) -> TashiError:
        self._log.error("the store can't be read", error=error.text, hint=error.hint)
        return error

    def _measure(self, now: float) -> list[Sample]:
        used, limit = self._store.usage()
        store = [Sample("tashi_store_used_bytes", used), Sample("tashi_store_limit_bytes", limit)]
        state = self._cluster.state
        agents = state.hosts | state.zoniagents
        named = {agents[who].name: key for key in self._floods.dropped if (who := self._cluster.agent_of_key(key))}
        dropped = [
            Sample("tashi_agent_messages_dropped_total", self._floods.dropped[key], [name])
            for name, key in sorted(named.items())
        ]
        return [*self._vitals.samples(now), *dropped, Sample("tashi_readers", self._watchers.count()), *store]

    def _recall(self, request: Request) -> None:
        """Give the core the ended operations that a request names: it remembers the latest, the store all."""
        state = self._cluster.state
        for name in _JOB.findall(bytes(request.body))[:RECALLED_AT_ONCE]:
            key = done_key(name.decode())
            if key not in state.done and name.decode() not in state.jobs:
                value = self._store.get("done", key)
                if value is not None:
                    self._cluster.load("done", [(key, value)])
        if request.verb == "decision":
            self._recall_decision(request)

    def _recall_decision(self, request: Request) -> None:
        """Give the core the decision that is asked for; what the request says wrongly is for the core to refuse."""
        state = self._cluster.state
        try:
            named = _named(bytes(request.body)).name
        except (ValueError, RecursionError):
            return
        for key in keys_of(state, named)[:RECALLED_AT_ONCE]:
            value = self._store.get("decision", key) if key not in state.decisions else None
            if value is not None:
                self._cluster.load("decision", [(key, value)])

    def _found(self, who: Principal, request: Request) -> Found | None:
        """What this request id was answered before: in this batch, or ever."""
        verb = VERBS.get(request.verb)
        if verb is None or verb.act is None:
            return None
        key = request_key(who.name, request.id)
        lately = self._cluster.state.requests.get(key)
        if lately is not None:
            return Found(lately.hash, bytes(lately.ok), lately.revision)
        value = self._store.get("request", key)
        return None if value is None else found_of(value)

    def _note(self, batch: Batch, decision: Decision, message: Incoming | None) -> None:
        if decision.fault:
            self._log.error("fault, nothing was changed", trace=decision.fault[-480:])
        reply = decision.reply
        if reply is not None and message is not None and message.peer.server:
            reply = told_of_next(self._cluster.settings, reply, message.peer.server, message.peer.role)
        batch.note(decision, reply, message)

    # -- the end of a batch -----------------------------------------------------------------------------------------
    def _finish(self, batch: Batch) -> bool:
        """Commit, then send. False when nothing of the whole batch was stored."""
        try:
            self._commit(batch)
        except Full as error:
            self._cluster.rollback(batch.mark)
            if len(batch.events) > 1:
                self._one_by_one(batch.events)
            else:
                self._tell_unavailable(batch, error)
            return False
        except Unavailable as error:
            self._cluster.rollback(batch.mark)
            self._tell_unavailable(batch, error)
            return False
        if batch.epoch_above >= self._cluster.epoch:
            self._take_epoch(batch.epoch_above)
        now = self._clock().monotonic
        self._vitals.stored(now - batch.began)
        for connection, reply, rows in batch.replies:
            self._send(connection, [_encode(reply)] if rows is None else [_encode(reply), rows])
        for connection, frames in batch.sending:
            self._send(connection, frames)
        self._send_orders(batch)
        self._watchers.committed(batch.log)
        self._watchers.wake(batch.wake)
        self._park(batch, now)
        return True

    def _take_epoch(self, above: int) -> None:
        """An administrator says that this store is the one, though agents have obeyed a higher epoch."""
        try:
            self._cluster.take_epoch(self._store.acquire(above + 1 - self._cluster.epoch))
            self._log.notice("a higher epoch is taken", epoch=self._cluster.epoch)
        except Unavailable as error:
            self._log.error("can't take a higher epoch: adopt the host once more", error=error.text)

    def _send_orders(self, batch: Batch) -> None:
        for host, orders in batch.orders.items():
            newest = self._cluster.connection_of(host)
            if newest is not None:
                for order in orders:
                    self._send(newest, [_encode(order)])

    def _commit(self, batch: Batch) -> None:
        puts = self._cluster.puts_since(batch.mark)
        if puts or batch.log:
            entries = [LogEntry(each.revision, each.wall, each.value, each.refers) for each in batch.log]
            self._store.commit(puts, entries, epoch=self._cluster.epoch, reserve=batch.urgent)
        self._cluster.durable()

    def _one_by_one(self, events: list[Incoming | None]) -> None:
        for event in events:
            alone = self._begin()
            self._handle(alone, event, self._clock())
            self._finish(alone)

    def _tell_unavailable(self, batch: Batch, error: TashiError) -> None:
        """Nothing was stored. Who asked is told so; agents and orders are not, they will be heard and sent again."""
        self._vitals.failed += 1
        self._log.error("commit failed", error=error.text, events=len(batch.events))
        for connection, reply, _ in batch.replies:
            self._send(connection, [_encode(problem(reply.id, error, self._cluster.revision))])
        self._park(batch, self._clock().monotonic)

    def _park(self, batch: Batch, now: float) -> None:
        for message, park in batch.parks:
            reply = partial(self._reply_to, message.connection)
            if self._watchers.full(park.principal):
                busy = Refused(Code.BUSY, f"{park.principal} watches too often at a time")
                reply(problem(park.request, busy))
                continue
            try:
                self._watchers.add(reply, park, now, self._directory.unchanged(message.peer))
            except TashiError as error:
                reply(problem(park.request, self._unreadable(error)))

    def _reply_to(self, connection: Hashable, reply: Reply) -> None:
        self._send(connection, [_encode(reply)])
