"""What the core answers an event with, and how a changed record becomes an entry of the change log."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tashi.core import lease_views, metal_seen
from tashi.core.policy import Ruling
from tashi.core.records import Answered
from tashi.core.turn import KIND_OF_LETTER, Sent, Turn
from tashi.model.choice import Choice
from tashi.model.device import Switch
from tashi.model.host import Host
from tashi.model.job import Job
from tashi.model.machine import Machine
from tashi.model.machine import state_of as machine_state
from tashi.model.vm import Vm
from tashi.model.zoniagent import ZoniAgent
from tashi.wire.errors import TashiError, retry_helps
from tashi.wire.messages import Change, Problem, Reply

_encode = msgspec.json.Encoder().encode
Refers = tuple[tuple[str, str], ...]


class Found(NamedTuple):
    """What a request id was answered before: the hash of that request's verb and body, the encoded answer, and the

    revision that it named.
    """

    hash: str
    ok: bytes
    revision: int


def found_of(value: bytes) -> Found:
    """A stored answer, decoded."""
    answered = msgspec.json.decode(value, type=Answered)
    return Found(answered.hash, bytes(answered.ok), answered.revision)


def request_key(who: str, request_id: str) -> str:
    """Where the answer to a request is kept."""
    return f"{who}\n{request_id}"


def problem(request_id: str, error: TashiError, revision: int = 0) -> Reply:
    """An error as the answer to a request."""
    text = Problem(error.code, error.text, error.hint, retry_helps(error.code))
    return Reply(request_id, error=text, revision=revision)


class Entry(Struct, frozen=True, gc=False):
    """One line of the change log. ``ids`` are what readers may be waiting for; an empty ``owner`` is for all to see."""

    revision: int
    wall: float
    value: bytes
    refers: Refers
    ids: frozenset[str]
    kind: str
    owner: str
    job: str
    name: str = ""


class Park(NamedTuple):
    """A long poll: answer when an entry after ``after`` matches, or when ``wait_seconds`` are over.

    ``ids``, ``kinds`` and ``about`` empty: any. ``about``: names or ids, also of what is gone. ``job``: entries of this
    operation. ``owner``: what this user may see; empty: all.
    """

    request: str
    after: int
    ids: frozenset[str]
    kinds: frozenset[str]
    job: str
    limit: int
    wait_seconds: float
    principal: str
    owner: str
    about: frozenset[str] = frozenset()


class Decision(Struct, frozen=True, gc=False):
    """``reply`` (with ``rows`` as a second frame) goes to who asked, ``back`` to the agent's connection that spoke,

    ``effects`` to the newest connection of the named hosts, all of it after the commit. ``wake``: ids whose waiting
    readers should look again although nothing was logged. ``urgent`` may use the store's reserve. ``fault`` is for the
    log: the traceback of a bug; nothing was changed. ``epoch_above``: once this is durable, a higher epoch is to be
    taken from the store, and given to `take_epoch`.
    """

    reply: Reply | None = None
    rows: bytes | None = None
    log: Sequence[Entry] = ()
    effects: Sequence[tuple[str, Sent]] = ()
    back: Sequence[Sent] = ()
    wake: frozenset[str] = frozenset()
    urgent: bool = False
    park: Park | None = None
    fault: str = ""
    epoch_above: int = 0


def entries_of(turn: Turn, touched: dict[tuple[str, str], Any], revision: int) -> list[Entry]:
    """An entry for each record that changed, numbered after ``revision``.

    A new operation on a VM is told by the VM's own entry.
    """
    state, keys = turn.state, touched
    if turn.mentions:
        keys = touched | {("vm", vm): None for vm in turn.mentions if ("vm", vm) not in touched}
    told = {state.vms[key].job for table, key in keys if table == "vm" and key in state.vms}
    chosen: dict[str, Refers] = {}  # VM -> where the decisions about it are
    for table, key in keys:
        if table == "decision":
            vm = state.decisions[key].vm
            chosen[vm] = (*chosen.get(vm, ()), (table, key))
    ended = {state.done[key].target: state.done[key].id for table, key in keys if table == "done" and key in state.done}
    entries: list[Entry] = []
    for (table, key), before in keys.items():
        if table == "job" and (key not in state.jobs or (before is None and key in told)):
            continue
        if table == "decision" and ("vm", state.decisions[key].vm) in keys:
            continue  # told with the VM
        entry = entry_of(turn, table, key, before, revision + len(entries) + 1, ended, chosen)
        if entry is not None:
            entries.append(entry)
    return entries


def entry_of(
    turn: Turn,
    table: str,
    key: str,
    before: Any,
    revision: int,
    ended: Mapping[str, str],
    chosen: Mapping[str, Refers],
) -> Entry | None:
    """The entry that tells how a record is after this turn; None when there is nothing to tell.

    ``ended``: the operation that ended in this turn, by the id of its object. ``chosen``: keys of decisions, by VM.
    """
    record = turn.state.tables[table].get(key)
    gone = record is None
    record = before if gone else record
    if record is None or (table == "meta" and not record.changed):
        return None
    kind = "job" if table == "done" else "policy" if table == "meta" else table
    job = record.id if kind == "job" else _at_work(turn, kind, record, ended)
    change = _CHANGES[kind](turn, revision, record, job, gone)
    refers: Refers = chosen.get(key, ()) if table == "vm" else ((table, key),) if table == "decision" else ()
    if table == "done":
        refers = (("done", key), ("request", record.request)) if record.request else (("done", key),)
    owner = seen_by(kind, SEEN_BY[kind](record) if kind in SEEN_BY else "")
    return Entry(
        revision, turn.now.wall, _encode(change), refers, _ids(kind, record, job), kind, owner, job, record.name
    )


def _at_work(turn: Turn, kind: str, record: Any, ended: Mapping[str, str]) -> str:
    """The operation that a change of a record is told with: its own, even if that is over with this change."""
    own = record.job if kind in LOCKED else ""
    return own or ended.get(record.id) or turn.job


LOCKED = ("vm", "host", "image", "machine", "switch")  # kinds with an operation at work on them
SEEN_BY: dict[str, Callable[[Any], str]] = {  # kinds that only some may see
    "vm": lambda vm: str(vm.owner),
    "job": lambda job: str(job.owner),
    "key": lambda key: str(key.owner),
    "user": lambda user: str(user.name),
    "decision": lambda choice: str(choice.owner),
}
KEPT_BACK = ("switch", "domain")  # kinds whose operations keep what is still to be done: their answer alone is news
FOR_OPERATORS = ("pdu", "switch", "zoniagent")
NOBODY = "-"  # no user has this name
PRIVATE = frozenset((*SEEN_BY, "denied"))


def seen_by(kind: str, owner: str) -> str:
    """The user who may see an entry of this kind beside operators; empty: everybody."""
    return NOBODY if kind in FOR_OPERATORS else owner if kind in PRIVATE else ""


def _ids(kind: str, record: Any, job: str) -> frozenset[str]:
    if kind == "job":
        return frozenset(each for each in (record.id, record.parent, record.target) if each)
    return frozenset((record.id, job)) if job else frozenset((record.id,))


def _vm(turn: Turn, revision: int, vm: Vm, job: str, gone: bool) -> Change:
    state, reason = ("gone", "") if gone else turn.shown(vm)
    if turn.host_unknown(vm.host):
        turn.state.told_unknown.setdefault(vm.host, set()).add(vm.id)
    return Change(
        revision=revision,
        at=turn.at(),
        kind="vm",
        id=vm.id,
        name=vm.name,
        state=state,
        owner=vm.owner,
        reason=reason,
        by=turn.who.name,
        verb=turn.verb,
        why=turn.why,
        job=job,
        host=turn.host_name(vm.host),
        decision=vm.decision if turn.chosen.get(vm.id) == vm.decision else "",
        generation=vm.generation,
    )


def _job(turn: Turn, revision: int, job: Job, ident: str, gone: bool) -> Change:
    return Change(
        revision=revision,
        at=turn.at(),
        kind="job",
        id=job.id,
        name=job.name,
        state=job.state.value,
        owner=job.owner,
        reason=job.reason,
        by=job.by,
        verb=job.verb,
        why=job.why,
        job=ident,
        parent=job.parent,
        target=job.target,
        phase=job.phase,
        result=_told(job),
    )


def _told(job: Job) -> dict[str, Any]:
    return {key: job.result[key] for key in ("answer",) if key in job.result} if job.kind in KEPT_BACK else job.result


def _plain(turn: Turn, revision: int, record: Any, job: str, gone: bool) -> Change:
    """All that are neither VMs nor operations."""
    kind = KIND_OF_LETTER[record.id[0]]
    return Change(
        revision=revision,
        at=turn.at(),
        kind=kind,
        id=record.id,
        name=record.name,
        state="gone" if gone else _STATES[kind](record),
        owner=record.name if kind == "user" else getattr(record, "owner", ""),
        reason=getattr(record, "reason", ""),
        by=turn.who.name,
        verb=turn.verb,
        why=turn.why,
        job=job,
    )


def _choice(turn: Turn, revision: int, choice: Choice, job: str, gone: bool) -> Change:
    """Of a decision that left no other trace."""
    return Change(
        revision=revision,
        at=turn.at(),
        kind="decision",
        id=choice.id,
        name=choice.name,
        state=choice.outcome,
        owner=choice.owner,
        reason=choice.reason,
        by=choice.by,
        verb=choice.verb,
        why=turn.why,
        decision=choice.id,
    )


def _policy(turn: Turn, revision: int, ruling: Ruling, job: str, gone: bool) -> Change:
    return Change(
        revision=revision,
        at=turn.at(),
        kind="policy",
        id="",
        name=ruling.name,
        state=f"version {ruling.version}",
        reason=ruling.changed,
        by=turn.who.name,
        verb=turn.verb,
        why=turn.why,
    )


def _machine(turn: Turn, revision: int, machine: Machine, job: str, gone: bool) -> Change:
    """What it is used for is its state; the reason is what keeps it there, and its power."""
    change = _plain(turn, revision, machine, job, gone)
    if gone:
        return change
    power = metal_seen.in_words(turn, machine) if machine.seen is not None else ""
    words = "; ".join(filter(None, (machine.allocation.quarantine, power)))
    return replace(change, state=lease_views.state_of_machine(turn, machine), reason=words)


def _switch(turn: Turn, revision: int, switch: Switch, job: str, gone: bool) -> Change:
    """Which switch it is, as soon as that is known."""
    return replace(_plain(turn, revision, switch, job, gone), reason=switch.base_mac and f"it is {switch.base_mac}")


def _zoniagent(turn: Turn, revision: int, agent: ZoniAgent, job: str, gone: bool) -> Change:
    return replace(_plain(turn, revision, agent, job, gone), reason="" if gone else agent.silent or agent.degraded)


def _zoniagent_state(agent: ZoniAgent) -> str:
    return "unknown" if agent.silent else "degraded" if agent.degraded else "enrolled" if agent.key else "added"


def _host_state(host: Host) -> str:
    return host.state.value if host.health == "up" else f"{host.state.value}, {host.health.value}"


_STATES: dict[str, Callable[[Any], str]] = {
    "host": _host_state,
    "image": lambda image: image.state,
    "user": lambda user: user.role,
    "group": lambda group: "set",
    "key": lambda key: "valid",
    "machine": lambda machine: machine_state(machine),
    "pdu": lambda pdu: "set",
    "switch": lambda switch: "set",
    "domain": lambda domain: "set",
    "reservation": lambda reservation: str(reservation.stage),
    "zoniagent": lambda agent: _zoniagent_state(agent),
}
_CHANGES: dict[str, Callable[[Turn, int, Any, str, bool], Change]] = dict.fromkeys(_STATES, _plain) | {
    "vm": _vm,
    "job": _job,
    "zoniagent": _zoniagent,
    "machine": _machine,
    "switch": _switch,
    "policy": _policy,
    "decision": _choice,
}
