"""The controller's side of the conversation with agents: who is there, who is silent, who still has to be told what.

Nothing here is stored but what a host's record says. A contact lasts from an accepted hello to the next one; until its
inventory is in, what runs on the host is not known.
"""

from __future__ import annotations

from math import inf
from typing import Any, Protocol

from msgspec.structs import replace

from tashi.core import certificates, divergence, doubts, move
from tashi.core.observe import Order, observe
from tashi.core.turn import Turn
from tashi.model.host import Facts, Health, Host
from tashi.model.units import stamp
from tashi.wire.agents import (
    Acked,
    Beat,
    ControllerMessage,
    Hello,
    Inventory,
    Row,
    Rows,
    Seen,
    Tell,
    Welcome,
)
from tashi.wire.messages import OLDEST, PROTOCOL

RIVAL_SECONDS = 60.0  # a host is unwell so long after another machine came with its key
FLOOD_SECONDS = 60.0  # and after its agent said more than is heard
DISK_STEP = 2**30  # a host's used disk is stored anew when it moved by so much


class Greeting(Protocol):
    """What every agent's hello says; ``host`` is the name that it enrolled with."""

    @property
    def host(self) -> str: ...
    @property
    def uuid(self) -> str: ...
    @property
    def boot_id(self) -> str: ...
    @property
    def incarnation(self) -> int: ...
    @property
    def epoch(self) -> int: ...
    @property
    def protocol(self) -> int: ...
    @property
    def oldest(self) -> int: ...


class Enrolled(Protocol):
    """What is known of whoever may say hello."""

    @property
    def name(self) -> str: ...
    @property
    def uuid(self) -> str: ...
    @property
    def boot_id(self) -> str: ...


class Contact:
    """One agent's newest connection. ``heard`` is monotonic seconds."""

    __slots__ = (
        "boot_id", "clock_ahead", "conn", "flooded", "foreign", "heard", "incarnation", "marks", "order", "protocol",
        "ready", "rival", "silent", "stream",
    )  # fmt: skip

    def __init__(self, conn: Any, hello: Greeting, heard: float) -> None:
        self.conn, self.heard, self.ready = conn, heard, False
        self.incarnation, self.boot_id = hello.incarnation, hello.boot_id
        self.protocol = hello.protocol
        self.silent = False  # it was judged silent: heard again, it is asked what runs there
        self.clock_ahead = 0.0  # seconds that the host's clock is before ours; behind it when negative
        self.foreign: list[Seen] = []  # guests that are not ours, as of the last inventory
        self.order: dict[str, tuple[int, int]] = {}  # object -> (incarnation, seq) of the newest word on it
        self.marks: dict[str, str] = {}  # machine -> mark of the row that its zoni agent has
        self.stream: str = getattr(hello, "stream", "")  # where clients reach its stream port
        self.flooded = -inf  # when it said more than is heard
        self.rival = -inf  # when another machine said hello with the same key


def why_rejected(
    turn: Turn, host: Enrolled, hello: Greeting, epoch: int, known: Contact | None, heard: float
) -> str:  # fmt: skip
    """Why this hello is not accepted; empty when it is. ``heard``: when the agent was, or could have been, last."""
    if hello.protocol < OLDEST:
        return f"it speaks protocol {hello.protocol}, this controller {OLDEST} to {PROTOCOL}: upgrade the agent"
    if hello.oldest > PROTOCOL:
        return f"it speaks protocol {hello.oldest} and newer, this controller {PROTOCOL}: upgrade the controller"
    if hello.host != host.name:
        return f"this key belongs to {host.name}, not to {hello.host}"
    if host.uuid and hello.uuid != host.uuid:
        return f"another machine enrolled as {host.name}; remove it and enrol this one"
    if hello.epoch > epoch:
        return f"the agent has obeyed epoch {hello.epoch}, this controller is at {epoch}: its store is older"
    if known is not None and known.boot_id == hello.boot_id and hello.incarnation < known.incarnation:
        return f"a newer agent ({known.incarnation}) of {host.name} is there already"
    # A new boot proves that the old one's guests are dead, but not while the old one is heard: a cloned disk.
    boot_id = known.boot_id if known is not None else host.boot_id
    if boot_id and boot_id != hello.boot_id and turn.now.monotonic - heard <= turn.settings.silence_seconds:
        if known is None:
            return f"it may be that another boot of {host.name} is about to be heard"
        known.rival = turn.now.monotonic
        return f"another boot of {host.name} is heard; if both go on, two machines have one key"
    return ""


def hello(turn: Turn, host: Host, message: Hello, epoch: int) -> list[ControllerMessage]:
    """Greet it. What its guests are is unknown until the inventory is in."""
    facts = message.facts
    if host.facts is not None and abs(host.facts.disk_used_bytes - facts.disk_used_bytes) < DISK_STEP:
        facts = replace(facts, disk_used_bytes=host.facts.disk_used_bytes)
    server = turn.server or host.server_key
    if facts != host.facts or message.uuid != host.uuid or server != host.server_key or host.off:
        seen = stamp(turn.now.wall)
        turn.put(replace(host, facts=facts, uuid=message.uuid, server_key=server, seen_at=seen, off=""))
    if not turn.settings.pool_bytes:
        _see_pool(turn, facts)
    return [welcome(turn, message.protocol, epoch)]


def welcome(turn: Turn, protocol: int, epoch: int) -> Welcome:
    """What makes an agent tell all that it has."""
    settings, cluster = turn.settings, turn.state.meta.get("cluster", "")
    spoken, keys = min(protocol, PROTOCOL), list(settings.server_keys)
    return Welcome(epoch, settings.heartbeat_seconds, settings.missed, spoken, cluster, keys)


def _see_pool(turn: Turn, facts: Facts) -> None:
    """The pool is as large as the host says that sees least of it."""
    known = turn.state.pool.capacity_bytes
    if facts.pool_bytes:
        turn.state.pool.capacity_bytes = min(known, facts.pool_bytes) if known else facts.pool_bytes


def beat(turn: Turn, host: Host, contact: Contact, message: Beat, epoch: int) -> list[ControllerMessage]:
    """It is alive. Touches no record unless it became well or unwell."""
    contact.heard = turn.now.monotonic
    turn.state.progress.update({moving.vm: moving for moving in message.moves})
    if contact.silent:  # the line was cut so shortly that the agent has noticed nothing
        contact.silent = False
        return [welcome(turn, contact.protocol, epoch)]
    if contact.ready:
        _set_health(turn, host, message.degraded or _odd(contact, turn.now.monotonic))
    return [certificates.pulse(turn, turn.state.hosts[host.id], message, epoch)]


def _odd(contact: Contact, now: float) -> str:
    """What the controller noticed of an agent lately; empty when it behaves."""
    if now - contact.rival <= RIVAL_SECONDS:
        return "another machine comes with its key"
    return "its agent says more than is heard" if now - contact.flooded <= FLOOD_SECONDS else ""


def _set_health(turn: Turn, host: Host, degraded: str) -> None:
    health = Health.DEGRADED if degraded else Health.UP
    if host.health is not health or host.reason != degraded:
        turn.put(replace(host, health=health, reason=degraded))


def inventory(turn: Turn, host: Host, contact: Contact, message: Inventory, epoch: int) -> list[ControllerMessage]:
    """All that is on a host. From here on it is known, and what it still owes us is asked of it."""
    contact.heard = turn.now.monotonic
    rebooted = bool(host.boot_id) and host.boot_id != message.boot_id
    order = Order(message.incarnation, message.seq, message.boot_id, rebooted)
    was_unknown = turn.state.unknown_hosts.pop(host.id, "")
    contact.clock_ahead = message.wall_seconds - turn.now.wall if message.wall_seconds else 0.0
    contact.foreign = [seen for seen in message.guests if seen.foreign]
    there = {seen.vm: seen for seen in message.guests if not seen.foreign}
    host = _bury(turn, host, there, epoch)
    turn.mentions += sorted(doubts.compare(turn.state, host.id, there))
    for vm in [vm for vm in turn.state.doubts.strays if vm not in there]:
        doubts.no_stray(turn.state, host.id, vm)
    for seen in there.values():
        _observe(turn, host.id, contact, seen, order)
    for vm in sorted(turn.state.vms_of_host.get(host.id, set()) - there.keys()):
        _observe(turn, host.id, contact, Seen(vm, "absent"), order)
    doubts.compared(turn.state, host.id)
    host = turn.state.hosts[host.id]
    after = replace(
        _count_strays(turn, host, contact),
        boot_id=message.boot_id,
        off="",
        health=Health.UP if host.health is Health.UNKNOWN else host.health,
        reason="" if host.health is Health.UNKNOWN else host.reason,
    )
    if after != host:
        turn.put(after)
    contact.ready = True
    if was_unknown:
        turn.state.troubles.is_back(host.id, turn.now.monotonic)
    turn.state.set_reachable(host.id, "")
    if was_unknown:
        turn.wake |= turn.state.vms_of_host.get(host.id, set()) | {host.id}
        if host.health is Health.UNKNOWN:
            turn.mentions += sorted(turn.state.vms_of_host.get(host.id, ()))
        turn.mentions += sorted(turn.state.told_unknown.pop(host.id, ()))
    return [Acked(message.incarnation, [message.seq])]


def _bury(turn: Turn, host: Host, there: dict[str, Seen], epoch: int) -> Host:
    """What was destroyed while this host was off is removed, as it would have been had the host been heard then."""
    left = {vm: generation for vm, generation in host.buried.items() if vm in there and there[vm].state != "absent"}
    ours = turn.state.vms_of_host.get(host.id, ())  # of which the record says what is to be done
    rows = [Row(vm, "absent", left[vm], keep_disk=True) for vm in sorted(left) if vm not in ours]
    if rows:
        turn.send(host.id, Rows(epoch, rows))
    for row in rows:
        del there[row.vm]
    return turn.put(replace(host, buried=left)) if left != host.buried else host


def tell(turn: Turn, host: Host, contact: Contact, message: Tell) -> list[ControllerMessage]:
    """One observation from the agent's outbox."""
    contact.heard = turn.now.monotonic
    if message.seen is not None and not message.seen.foreign:
        order = Order(message.incarnation, message.seq, message.boot_id)
        _observe(turn, host.id, contact, message.seen, order)
        record = turn.state.hosts[host.id]
        counted = _count_strays(turn, record, contact)
        if contact.ready and counted != record:
            turn.put(counted)
    return [Acked(message.incarnation, [message.seq])]


def _count_strays(turn: Turn, host: Host, contact: Contact) -> Host:
    """Its record with the strays that it has now, and with what they and foreign guests use."""
    strays = {vm: hosts[host.id] for vm, hosts in turn.state.doubts.strays.items() if host.id in hosts}
    using = [seen for seen in (*contact.foreign, *strays.values()) if seen.state in ("running", "paused")]
    return replace(
        host,
        strays=tuple(sorted(strays)),
        left=tuple(vm for vm in host.left if vm in strays),
        foreign_cores=sum(seen.cores for seen in using),
        foreign_memory_bytes=sum(seen.memory_bytes for seen in using),
    )


def _observe(turn: Turn, host: str, contact: Contact, seen: Seen, order: Order) -> None:
    """Take it in unless something newer was said of this guest already."""
    stands = (order.incarnation, order.seq)
    if contact.order.get(seen.vm, (-1, -1)) >= stands:
        return
    contact.order[seen.vm] = stands
    before = _differs(turn, seen.vm)
    if observe(turn, host, seen, order):
        doubts.no_stray(turn.state, host, seen.vm)
    else:
        doubts.stray(turn.state, host, seen)
        divergence.see_number(turn, seen.vm)
    if _differs(turn, seen.vm) != before:
        turn.mentions.append(seen.vm)


def _differs(turn: Turn, vm_id: str) -> bool:
    vm = turn.state.vms.get(vm_id)
    return vm is not None and bool(doubts.differs(turn.state, vm))


def rejected(turn: Turn, host: Host, hello: Hello, epoch: int) -> None:
    """Its agent was not accepted. One that has obeyed more than this store knows is somebody's to decide about."""
    if hello.epoch > epoch:
        turn.state.doubts.ahead[host.id] = hello.epoch


def silent(turn: Turn, host: Host, seconds: float, was_heard: bool) -> None:
    """No heartbeat for too long: what runs there is not known any more. It is not dead for that."""
    since = "silent" if was_heard else "not heard"
    reason = f"{since} since {stamp(turn.now.wall - seconds)}"
    turn.state.unknown_hosts[host.id] = f"{host.name} is {reason}"
    turn.state.troubles.fell_silent(host.id, turn.now.monotonic)
    turn.state.set_reachable(host.id, reason)
    if host.health is not Health.UNKNOWN:
        turn.put(replace(host, health=Health.UNKNOWN, reason=reason))
        turn.mentions += sorted(turn.state.vms_of_host.get(host.id, ()))
    move.source_silent(turn, host.id)
    turn.wake |= turn.state.vms_of_host.get(host.id, set()) | {host.id}
