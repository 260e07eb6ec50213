"""zoni-allocate, zoni-release and the end of a reservation: machines on their way between domains, as operations.

What follows from what is the table of `tashi.core.allocation`; here it is joined with the records, with power and
ports, and with the time that each step may take. A machine that can't be proven to be anything is in quarantine: the
operation that led there has failed, and one of the controller's own shuts the machine off, however long that takes.
"""

from __future__ import annotations

from msgspec.structs import replace

from tashi.core import allocation as rules
from tashi.core import calendar
from tashi.core.allocation import End, Event, Stepped
from tashi.core.machines import refuse_locked
from tashi.core.metal_power import SOFT_SECONDS, check_way
from tashi.core.quota import groups_of
from tashi.core.switch_calls import check_passwords
from tashi.core.switch_rules import tell
from tashi.core.trunks import on_the_way
from tashi.core.turn import Turn
from tashi.model.allocation import Phase, Transfer
from tashi.model.domain import Domain
from tashi.model.job import Job, JobState
from tashi.model.machine import Machine
from tashi.model.reservation import Reservation
from tashi.wire.domains import Allocate
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted
from tashi.wire.zoni import PortSeen

ALLOCATE, RELEASE, SEAL = "machine.allocate", "machine.release", "machine.seal"
VERBS = (ALLOCATE, RELEASE, SEAL)
OUTCOMES = {"done": Event.DONE, "failed": Event.FAILED, "unknown": Event.UNPROVEN}
THERE_ALREADY = "it is there already"


def allocate(turn: Turn, body: Allocate) -> Accepted:
    """Put a machine that is reserved into a domain; from another one, if it is in one."""
    machine: Machine = turn.find("machine", body.name)
    domain: Domain = turn.find("domain", body.domain)
    held = calendar.current(turn.state.reservations_of, machine.id, turn.now.wall)
    if held is None:
        raise Refused(Code.WRONG_STATE, f"{machine.name}: nobody has it reserved", f"zoni-reserve {machine.name}")
    if held.owner != turn.owner and not turn.sees_all():
        raise Refused(Code.DENIED, f"{machine.name}: {calendar.who_has(held)}")
    whose = (domain.owner == held.owner) or (domain.group in groups_of(turn.state, held.owner))
    if not whose and not turn.sees_all():
        raise Refused(Code.DENIED, f"{domain.name}: the domain is {domain.owner or domain.group}'s")
    _check(turn, machine)
    for switch in on_the_way(turn.state, machine):
        check_passwords(turn, switch)
    objects = {machine.id: machine.name}
    if machine.allocation.domain == domain.id:
        job = turn.begin(ALLOCATE, "machine", machine.id, machine.name, owner=held.owner)
        turn.end(job.id, JobState.DONE, THERE_ALREADY)
        return Accepted(
            job=job.id, kind="machine", objects=objects, done=True, dry_run=body.dry_run, note=THERE_ALREADY
        )
    tell(turn, domain.vlans)
    job = turn.begin(ALLOCATE, "machine", machine.id, machine.name, owner=held.owner)
    was_on = machine.seen is not None and machine.seen.power == "on"
    _go(turn, machine, Stepped(rules.begin(machine.allocation, job.id, domain.id, was_on, body.power == "on")))
    note = f"into {domain.name}, then {body.power}"
    return Accepted(job=job.id, kind="machine", objects=objects, dry_run=body.dry_run, note=note)


def give_back(turn: Turn, machine: Machine, owner: str, parent: str = "") -> Job:
    """Out of its domain, off and closed. For one in quarantine that is tried once more, at once."""
    transfer = machine.allocation.transfer
    if transfer is not None and transfer.quarantine:
        job = turn.state.jobs[transfer.job]
        late(turn, job)
        return job
    _check(turn, machine)
    job = turn.begin(RELEASE, "machine", machine.id, machine.name, owner=owner, parent=parent)
    was_on = machine.seen is not None and machine.seen.power == "on"
    _go(turn, machine, Stepped(rules.begin(machine.allocation, job.id, "", was_on, False)))
    return job


def evict(turn: Turn, machine: Machine, owner: str) -> None:
    """Its time is over: off and closed, and nothing leads back. What is at work on it is waited for."""
    if machine.allocation.transfer is None and not machine.job:
        job = turn.begin(RELEASE, "machine", machine.id, machine.name, owner=owner)
        _go(turn, machine, Stepped(rules.evict(machine.allocation, job.id)))


def call_back(turn: Turn, job: Job, canceller: Job) -> None:
    """tjob-cancel: from the next safe point on it is undone. Raises Refused when there is none any more."""
    machine: Machine | None = turn.state.machines.get(job.target)
    if machine is None:
        parts = " ".join(sorted(turn.state.children.get(job.id, ())))
        raise Refused(Code.TOO_LATE, f"{job.id}: only its parts can be cancelled", f"tjob-cancel {parts}")
    back = rules.call_back(machine.allocation, canceller.id)
    if back is None:
        raise Refused(Code.TOO_LATE, f"{job.id}: {machine.name} is on its way back, or being shut off")
    turn.put(replace(machine, allocation=back))
    turn.put(replace(turn.state.jobs[job.id], cancelling=canceller.id))


# -- what follows ----------------------------------------------------------------------------------------------------
def power_said(turn: Turn, machine: Machine) -> None:
    """Its agent has told something of its power; perhaps it is the outcome that is waited for."""
    transfer, seen = _under_way(turn, machine, "power"), machine.seen
    if transfer is None or seen is None:
        return
    if seen.generation == machine.generation and seen.outcome in OUTCOMES:
        reason = "" if seen.outcome == "done" else seen.reason or seen.contradiction or seen.trouble
        _step(turn, machine, OUTCOMES[seen.outcome], machine.allocation.generation, reason)


def ports_said(turn: Turn, seen: PortSeen) -> None:
    machine = turn.state.machines.get(seen.machine)
    if machine is None or _under_way(turn, machine, "switch") is None:
        return
    if seen.outcome in OUTCOMES:
        _step(turn, machine, OUTCOMES[seen.outcome], seen.generation, seen.reason)
    elif seen.generation == machine.allocation.generation:
        machine = turn.put(replace(machine, allocation=replace(machine.allocation, generation=seen.newest)))
        _step(turn, machine, Event.LATE, seen.newest, "its agent has obeyed a newer order than this store knows of")


def _under_way(turn: Turn, machine: Machine, owner: rules.Owner) -> Transfer | None:
    """The transfer whose step is this owner's; `look_after` sees to one whose operation was ended."""
    transfer = machine.allocation.transfer
    if transfer is None or transfer.job not in turn.state.jobs or rules.WORK[transfer.phase].owner != owner:
        return None
    return transfer


def late(turn: Turn, job: Job) -> None:
    """The time of its step is up."""
    machine: Machine | None = turn.state.machines.get(job.target)
    if machine is not None and machine.allocation.transfer is not None:
        now = machine.allocation
        waits = now.transfer is not None and now.transfer.waits
        _step(turn, machine, Event.LATE, now.generation, "" if waits else "the zoni agent did not answer in time")


def look_after(turn: Turn) -> None:
    """A machine on its way whose operation was ended by something else is shut off by one of the controller's own."""
    for machine in list(turn.state.machines.values()):
        transfer = machine.allocation.transfer
        if transfer is not None and transfer.job not in turn.state.jobs:
            _step(turn, machine, Event.LATE, machine.allocation.generation, "its operation was ended")


def _check(turn: Turn, machine: Machine) -> None:
    """Raise Refused for what can't be proven to be anywhere, and for what somebody is at work on."""
    refuse_locked(machine)
    if machine.job:
        verb = turn.state.jobs[machine.job].verb
        raise Refused(Code.LOCKED, f"{machine.name}: locked by {machine.job} ({verb})", f"tjob-wait {machine.job}")
    if machine.host:
        raise Refused(Code.WRONG_STATE, f"{machine.name}: the VM host {turn.host_name(machine.host)} runs on it")
    if not machine.ports:
        hint = f"zoni-set {machine.name} --port SWITCH:PORT"
        raise Refused(Code.WRONG_STATE, f"{machine.name}: it is not known on which port of a switch it is", hint)
    check_way(turn, machine)
    for ident in dict.fromkeys(port.switch for port in machine.ports):
        check_passwords(turn, turn.state.switches[ident])


def _step(turn: Turn, machine: Machine, event: Event, generation: int, reason: str) -> None:
    stepped = rules.step(machine.allocation, event, generation, reason)
    if stepped.allocation != machine.allocation or stepped.ended is not None:
        _go(turn, machine, stepped, reason)


def _go(turn: Turn, machine: Machine, stepped: Stepped, reason: str = "") -> None:
    """Make the record so, give the order that follows, and end what is over. ``reason``: what was said just now."""
    before, now, transfer = machine.allocation, stepped.allocation, stepped.allocation.transfer
    machine = turn.put(replace(machine, allocation=now))
    if transfer is None:
        assert before.transfer is not None
        _end(turn, machine, stepped.ended, before.transfer, reason)
        return
    former = turn.state.jobs.get(transfer.job)
    if stepped.ended is End.QUARANTINED:
        turn.end(transfer.job, JobState.FAILED, f"in quarantine: {transfer.quarantine}")
    if transfer.job not in turn.state.jobs:
        owner = former.owner if former is not None else ""
        transfer = replace(transfer, job=turn.begin(SEAL, "machine", machine.id, machine.name, owner=owner).id)
        now = replace(now, transfer=transfer)
    machine = replace(turn.state.machines[machine.id], allocation=now, job=transfer.job)
    anew = now.generation != before.generation
    turn.put(_ordered(machine) if anew else machine)
    job = turn.state.jobs[transfer.job]
    _tell(turn, job, transfer.phase, transfer.reason, anew or job != former)  # a new one has all its time


def _ordered(machine: Machine) -> Machine:
    """With the order to its power, if that is what the step needs; ports have theirs in the allocation alone."""
    order = rules.order_of(machine.allocation)
    if order is None or not order.power:
        return machine
    transfer = machine.allocation.transfer
    asks = transfer is not None and transfer.phase in (Phase.OFF, Phase.END_OFF)
    soft = SOFT_SECONDS if asks else 0.0
    return replace(machine, desired=order.power, generation=machine.generation + 1, soft_seconds=soft)


def _tell(turn: Turn, job: Job, phase: Phase, reason: str, anew: bool) -> None:
    turn.put(replace(job, phase=phase.value, reason=reason, budget_seconds=rules.WORK[phase].seconds))
    if anew:
        turn.begin_budget(job.id)


def _end(turn: Turn, machine: Machine, ended: End | None, transfer: Transfer, reason: str) -> None:
    """The operation is over, and what hangs on it: who has given a machine back has it no more."""
    job = turn.state.jobs[transfer.job]
    if ended is End.UNDONE:
        why = transfer.reason or reason or f"{transfer.phase.value} was not done"
        state = JobState.CANCELLED if transfer.called_back else JobState.FAILED
        turn.end(job.id, state, f"{why}; {machine.name} is as it was before")
        return
    turn.end(job.id, JobState.DONE, transfer.reason if job.verb == SEAL else "")
    if job.verb == RELEASE:
        for held in turn.state.reservations_of.get(machine.id, ()):
            if held.owner == job.owner and held.from_wall <= turn.now.wall:
                drop(turn, held, machine)


def drop(turn: Turn, held: Reservation, *machines: Machine) -> None:
    """Take machines out of a reservation; an empty one is gone."""
    gone = {machine.id for machine in machines}
    rest = tuple(each for each in held.machines if each not in gone)
    if rest:
        turn.put(replace(held, machines=rest))
    else:
        turn.remove(held)
