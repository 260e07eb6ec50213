"""What the core answers an event with, and how a changed record becomes an entry of the change log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from tashi.core.turn import Turn
from tashi.model.host import Host
from tashi.model.job import Job
from tashi.model.units import stamp
from tashi.model.vm import Vm, state_of
from tashi.wire.messages import Change, ControllerMessage, Reply

_encode = msgspec.json.Encoder().encode


class Found(NamedTuple):
    """What a request id was answered before: the hash of that request's verb and body, and the encoded reply."""

    hash: str
    reply: bytes


class Entry(NamedTuple):
    """One line of the change log. ``ids`` are what readers may be waiting for; an empty ``owner`` is for all to see."""

    revision: int
    wall: float
    value: bytes
    refers: tuple[tuple[str, str], ...]
    ids: frozenset[str]
    kind: str
    owner: str
    job: str


class Park(NamedTuple):
    """A long poll: answer when an entry after ``after`` matches, or when ``wait_seconds`` are over.

    ``ids`` and ``kinds`` empty: any. ``job``: entries of this operation. ``owner``: what this user may see; empty: all.
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


class Decision(NamedTuple):
    """``reply`` (with ``rows`` as a second frame) goes to who asked, ``back`` to the agent's connection that spoke,

    ``effects`` to the newest connection of the named hosts, all of it after the commit. ``wake``: ids whose waiting
    readers should look again although nothing was logged. ``urgent`` may use the store's reserve. ``fault`` is for the
    log: the traceback of a bug; nothing was changed.
    """

    reply: Reply | None = None
    rows: bytes | None = None
    log: Sequence[Entry] = ()
    effects: Sequence[tuple[str, ControllerMessage]] = ()
    back: Sequence[ControllerMessage] = ()
    wake: frozenset[str] = frozenset()
    urgent: bool = False
    park: Park | None = None
    fault: str = ""


def entry_of(turn: Turn, table: str, key: str, before: Any, revision: int) -> Entry | None:
    """The entry that tells how a record is after this turn; None when there is nothing to tell."""
    record = turn.state.tables[table].get(key)
    gone = record is None
    record = before if gone else record
    if record is None:
        return None
    kind = "job" if table == "done" else table
    change = Change(revision=revision, at=stamp(turn.now.wall), kind=kind, id=record.id, name=record.name, state="gone")
    owner, job = "", turn.job
    refers: tuple[tuple[str, str], ...] = ()
    if kind == "vm":
        change, owner, job = _of_vm(turn, change, record, gone), record.owner, record.job or turn.job
    elif kind == "job":
        owner, job = record.owner, record.id
        change = _of_job(change, record)
        if table == "done":
            refers = (("done", key), ("request", record.request)) if record.request else (("done", key),)
    elif kind == "host":
        change = _of_host(turn, change, record, gone)
    elif not gone and kind == "image":
        change = msgspec.structs.replace(change, state=record.state, owner=record.owner)
    elif not gone:
        change = msgspec.structs.replace(change, state=record.role)
    if kind != "job":
        change = msgspec.structs.replace(change, by=turn.who.name, verb=turn.verb, why=turn.why, job=job)
    return Entry(revision, turn.now.wall, _encode(change), refers, _ids(kind, record, job), kind, owner, job)


def _ids(kind: str, record: Any, job: str) -> frozenset[str]:
    if kind == "job":
        return frozenset(each for each in (record.id, record.parent, record.target) if each)
    return frozenset((record.id, job)) if job else frozenset((record.id,))


def _of_vm(turn: Turn, change: Change, vm: Vm, gone: bool) -> Change:
    if gone:
        return msgspec.structs.replace(change, owner=vm.owner, generation=vm.generation)
    state, reason = state_of(vm, turn.host_unknown(vm.host))
    return Change(
        revision=change.revision,
        at=change.at,
        kind="vm",
        id=vm.id,
        name=vm.name,
        state=state.value,
        owner=vm.owner,
        reason=reason,
        host=turn.host_name(vm.host),
        generation=vm.generation,
    )


def _of_host(turn: Turn, change: Change, host: Host, gone: bool) -> Change:
    if gone:
        return change
    state = host.state.value if host.health == "up" else f"{host.state.value}, {host.health.value}"
    return msgspec.structs.replace(change, state=state, reason=host.reason)


def _of_job(change: Change, job: Job) -> Change:
    return msgspec.structs.replace(
        change,
        state=job.state.value,
        owner=job.owner,
        reason=job.reason,
        by=job.by,
        verb=job.verb,
        why=job.why,
        job=job.id,
        parent=job.parent,
        target=job.target,
        phase=job.phase,
        result=job.result,
    )
