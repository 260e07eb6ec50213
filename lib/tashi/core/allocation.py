"""A machine goes from one domain to another: one transaction over store, switches and power, as a table.

Theory. The machine is switched off, its ports are closed and leave their VLANs, they join those of the new domain and
are opened, the machine is switched on. Each of these is one order to the zoni agent, with an owner and a time, and is
done only when the device was read back and, for ports, has saved what it runs. The record's ``domain`` is a claim: it
is taken, and durable, before the order to join leaves, and given up after the ports have proven to be closed. So
whatever crashes, comes late or starts anew, all ports are in VLANs of that one domain, or in none.

What fails without a change is undone step by step, and the operation has failed. Where a device can't prove what it
did, nothing is guessed: the machine is sealed, that is its ports are closed and it is switched off, however long that
takes; until both are proven it is in quarantine and nobody's. An order is numbered by the generation, and the agent
obeys no lower one than it has heard.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Literal, NamedTuple

from msgspec.structs import replace

from tashi.model.allocation import Allocation, Phase, Transfer


class Event(StrEnum):
    DONE = "done"  # read back: it is as ordered
    BACK = "back"  # done, but it has been called back meanwhile
    FAILED = "failed"  # definite: this order has changed nothing
    UNPROVEN = "unproven"  # it may have been done, or may yet
    LATE = "late"  # nobody has answered in time


class End(StrEnum):
    """How a transaction ended."""

    DONE = "done"
    UNDONE = "undone"  # all is as before
    SEALED = "sealed"  # in no domain, ports closed, switched off
    QUARANTINED = "quarantined"  # it is being sealed, for as long as it takes; the operation doesn't wait for that


Next = Phase | End
F, E = Phase, Event
_LOST: dict[Event, Next] = {E.UNPROVEN: F.SEAL_CLOSE, E.LATE: F.SEAL_CLOSE}
_GIVE_UP: dict[Event, Next] = {E.FAILED: F.SEAL_CLOSE, **_LOST}
TABLE: Mapping[Phase, Mapping[Event, Next]] = {
    F.OFF: {E.DONE: F.CLOSE, E.BACK: F.UNDO_ON, E.FAILED: F.UNDO_ON, **_LOST},
    F.CLOSE: {E.DONE: F.OPEN, E.BACK: F.UNDO_OPEN, E.FAILED: F.UNDO_ON, **_LOST},
    F.OPEN: {E.DONE: F.ON, E.BACK: F.UNDO_CLOSE, E.FAILED: F.UNDO_CLOSE, **_LOST},
    F.ON: {E.DONE: End.DONE, E.BACK: F.UNDO_OFF, E.FAILED: F.UNDO_OFF, **_LOST},
    F.UNDO_OFF: {E.DONE: F.UNDO_CLOSE, **_GIVE_UP},
    F.UNDO_CLOSE: {E.DONE: F.UNDO_OPEN, **_GIVE_UP},
    F.UNDO_OPEN: {E.DONE: F.UNDO_ON, **_GIVE_UP},
    F.UNDO_ON: {E.DONE: End.UNDONE, E.FAILED: End.UNDONE, **_LOST},
    F.END_OFF: {E.DONE: F.SEAL_CLOSE, **_GIVE_UP},
    F.SEAL_CLOSE: {E.DONE: F.SEAL_OFF, **dict.fromkeys((E.FAILED, E.UNPROVEN, E.LATE), F.SEAL_CLOSE)},
    F.SEAL_OFF: {E.DONE: End.SEALED, **dict.fromkeys((E.FAILED, E.UNPROVEN, E.LATE), F.SEAL_OFF)},
}

Owner = Literal["power", "switch"]


class Work(NamedTuple):
    """What a phase orders: ``wants`` is off or on of power; of ports closed, or the domain that they are to be in.

    ``seconds``: for a soft shutdown that is not heeded and what follows, or for all ports of a machine.
    """

    owner: Owner
    wants: Literal["off", "on", "closed", "target", "before"]
    seconds: float


_OFF, _ON = Work("power", "off", 300.0), Work("power", "on", 120.0)
_CLOSED = Work("switch", "closed", 120.0)
WORK: Mapping[Phase, Work] = {
    F.OFF: _OFF, F.CLOSE: _CLOSED, F.OPEN: Work("switch", "target", 120.0), F.ON: _ON,
    F.UNDO_OFF: _OFF, F.UNDO_CLOSE: _CLOSED, F.UNDO_OPEN: Work("switch", "before", 120.0), F.UNDO_ON: _ON,
    F.END_OFF: _OFF, F.SEAL_CLOSE: _CLOSED, F.SEAL_OFF: _OFF,
}  # fmt: skip
SEALING = (F.SEAL_CLOSE, F.SEAL_OFF)
FORWARD = (F.OFF, F.CLOSE, F.OPEN, F.ON)


class Order(NamedTuple):
    """``power``: on, off or nothing. ``ports``: closed, in the VLANs of the domain with this id, or nothing."""

    generation: int
    power: Literal["", "on", "off"]
    ports: str
    seconds: float


class Stepped(NamedTuple):
    """``ended``: the operation is over, and how. It is told once; a seal that goes on after it has no operation."""

    allocation: Allocation
    ended: End | None = None


def begin(now: Allocation, job: str, target: str, was_on: bool, to_on: bool) -> Allocation:
    """Go to ``target``, or out of all domains. ``was_on``: how it is to be if this is undone."""
    assert now.transfer is None
    return _enter(now, Transfer(job, F.OFF, now.domain, target, was_on, to_on), F.OFF)


def evict(now: Allocation, job: str) -> Allocation:
    """Its time is over: off and out, and never back, whatever fails."""
    assert now.transfer is None
    return _enter(now, Transfer(job, F.END_OFF, now.domain), F.END_OFF)


def call_back(now: Allocation, by: str) -> Allocation | None:
    """Undo it from the next safe point on; None when it is too late."""
    if now.transfer is None or now.transfer.phase not in FORWARD:
        return None
    return replace(now, transfer=replace(now.transfer, called_back=by))


def step(now: Allocation, event: Event, generation: int, reason: str = "") -> Stepped:
    """What follows from an answer to the order ``generation``, or from none in time; old answers change nothing."""
    transfer = now.transfer
    if transfer is None or generation != now.generation or (transfer.waits and event is not E.LATE):
        return Stepped(now)
    phase = transfer.phase
    if event is E.DONE and WORK[phase].wants == "closed":
        now = replace(now, domain="")
    if event is E.DONE and transfer.called_back and phase in FORWARD:
        event, reason = E.BACK, f"called back by {transfer.called_back}"
    after = TABLE[phase][event]
    transfer = replace(transfer, reason=reason or transfer.reason, waits=False)
    lost = event in (E.UNPROVEN, E.LATE) or (event is E.FAILED and after in SEALING)
    if phase is F.END_OFF:
        lost = False  # closing its ports does what is needed; its power is asked for again
    fresh = lost and not transfer.quarantine
    if fresh:
        transfer = replace(transfer, quarantine=transfer.reason or f"{phase.value} was not answered in time")
    quarantined = End.QUARANTINED if fresh else None
    if after is phase and event is not E.LATE:
        return Stepped(replace(now, transfer=replace(transfer, waits=True)), quarantined)
    while isinstance(after, Phase) and _is_empty(transfer, after):
        after = TABLE[after][E.DONE]
    if isinstance(after, Phase):
        return Stepped(_enter(now, transfer, after), quarantined)
    ended = None if transfer.quarantine else after
    return Stepped(replace(now, transfer=None), ended)


def order_of(now: Allocation) -> Order | None:
    """What the agent is to be told now; derived each time, so that a restart forgets nothing."""
    transfer = now.transfer
    if transfer is None or transfer.waits:
        return None
    work = WORK[transfer.phase]
    match work.wants:
        case "off" | "on":
            return Order(now.generation, work.wants, "", work.seconds)
        case "closed":
            return Order(now.generation, "", "closed", work.seconds)
        case _:
            return Order(now.generation, "", now.domain, work.seconds)


def _is_empty(transfer: Transfer, phase: Phase) -> bool:
    """Whether there is nothing to do in this phase."""
    match phase:
        case F.OPEN:
            return not transfer.target
        case F.ON:
            return not transfer.to_on
        case F.UNDO_OPEN:
            return not transfer.before
        case F.UNDO_ON:
            return not transfer.was_on
        case _:
            return False


def _enter(now: Allocation, transfer: Transfer, phase: Phase) -> Allocation:
    """The next order; the claim that it needs is taken with it."""
    domain = {"target": transfer.target, "before": transfer.before}.get(WORK[phase].wants, now.domain)
    return replace(
        now, domain=domain, generation=now.generation + 1, transfer=replace(transfer, phase=phase, waits=False)
    )
