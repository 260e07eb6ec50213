"""What zoni agents say of machines, and what follows: outcomes, news of drift and contradiction, evidence.

A machine's power is what its agent read last; while that agent is silent nothing is known. Stored is only what is new:
when it was confirmed last is kept in memory. That a machine is off is evidence for its VM host only while all its paths
were asked, none says otherwise, and the host's own agent is silent too; no VM is restarted on it here.
"""

from __future__ import annotations

from msgspec.structs import replace

from tashi.core.contact import Contact
from tashi.core.turn import Turn
from tashi.core.zoniagents import agent_of
from tashi.model.job import JobState
from tashi.model.machine import Machine, PowerEvidence, Seen
from tashi.model.name import number_of
from tashi.wire.zoni import MetalSeen

UNDECIDED = ("", "refused")
BY_ROWS = ("machine.on", "machine.off", "machine.soft")


def observe(turn: Turn, machine: Machine, contact: Contact, seen: MetalSeen, stands: tuple[int, int]) -> None:
    """Take one observation in, unless something newer was said of this machine already."""
    if contact.order.get(machine.id, (-1, -1)) >= stands:
        return
    contact.order[machine.id] = stands
    if seen.mark and stands[0] == contact.incarnation:  # rows die with the agent that heard them
        contact.marks[machine.id] = seen.mark
    if seen.outcome == "refused":
        _refused(turn, machine, seen)
        return
    turn.state.looked[machine.id] = turn.now.wall - seen.age_seconds
    if seen.power != "off":
        turn.state.off_since.pop(machine.id, None)
    else:
        turn.state.off_since.setdefault(machine.id, turn.now.monotonic)
    before = machine.seen
    after = _seen(turn, seen)
    if why := _denied(turn, replace(machine, seen=after)):
        after = replace(after, power="unknown", contradiction=why)
    if before is None or replace(after, at_wall=before.at_wall) != before:
        machine = turn.put(replace(machine, seen=after))
        if not machine.job:
            turn.verb = _news(machine, before) or turn.verb
    _end(turn, machine, seen)
    settle(turn, turn.state.machines[machine.id])


def _seen(turn: Turn, seen: MetalSeen) -> Seen:
    return Seen(
        power=seen.power,
        source=seen.source,
        at_wall=round(turn.now.wall - seen.age_seconds, 3),
        generation=seen.row_generation,
        contradiction=seen.contradiction,
        outcome=seen.outcome,
        reason=seen.reason,
        trouble=seen.trouble,
        whole=seen.whole,
    )


def _news(machine: Machine, before: Seen | None) -> str:
    """What has happened to a machine that nobody is at work on, in the word that the change log has for it."""
    seen = machine.seen
    if seen is None:
        return ""
    if seen.contradiction and (before is None or before.contradiction != seen.contradiction):
        return "machine.contradiction"
    return "machine.drift" if drifts(machine) and (before is None or before.power != seen.power) else ""


def drifts(machine: Machine) -> bool:
    """Whether it is not as it was asked to be, and nobody is at work on that."""
    seen = machine.seen
    return (
        bool(machine.desired) and seen is not None and not machine.job
        and seen.power in ("on", "off") and seen.power != machine.desired and seen.generation == machine.generation
    )  # fmt: skip


def _refused(turn: Turn, machine: Machine, seen: MetalSeen) -> None:
    """Its agent has obeyed a newer order than this store knows of: the store is an older one. Nothing is asked for."""
    if seen.row_generation == machine.generation:
        turn.put(replace(machine, generation=seen.newest + 1, desired="", soft_seconds=0.0))
        if machine.job and turn.state.jobs[machine.job].kind == "machine":  # one of switches holds it, and goes on
            turn.end(machine.job, JobState.FAILED, "its agent has obeyed a newer order than this store knows of")


def _end(turn: Turn, machine: Machine, seen: MetalSeen) -> None:
    """End the operations that this is the outcome of."""
    job = turn.state.jobs.get(machine.job)
    decided = seen.row_generation == machine.generation and seen.outcome not in UNDECIDED
    if job is not None and job.verb in BY_ROWS and decided:
        doubt = "it may have been done: " if seen.outcome == "unknown" else ""
        done = seen.outcome == "done"
        turn.end(job.id, JobState.DONE if done else JobState.FAILED, "" if done else f"{doubt}{seen.reason}")
    for look in sorted(turn.state.looking.get(machine.id, ()), key=number_of):
        if number_of(look) <= seen.answer:
            why = seen.contradiction or seen.trouble or "no path tells whether it is on"
            known = seen.power != "unknown"
            turn.end(look, JobState.DONE if known else JobState.FAILED, "" if known else f"unknown: {why}")


# -- what is known now -----------------------------------------------------------------------------------------------
def why_silent(turn: Turn, agent: str) -> str:
    """Why an agent can't say how its machines are; empty when it can."""
    record, contact = turn.state.zoniagents.get(agent), turn.contacts.get(agent)
    if record is None:
        return "there is no zoni agent for it"
    if contact is None or not contact.ready:
        return f"the zoni agent {record.name} has not reported" + ("" if record.key else ": it is not enrolled")
    silent = turn.now.monotonic - contact.heard > turn.settings.silence_seconds
    return f"the zoni agent {record.name} is not heard" if silent else ""


def shown(turn: Turn, machine: Machine) -> tuple[str, str]:
    """(power, why it is not known, or is not as it was asked to be)."""
    seen = machine.seen
    if seen is None:
        return "unknown", why_silent(turn, agent_of(turn.state, machine)) if machine.paths else "no way to its power"
    if why := why_silent(turn, agent_of(turn.state, machine)):
        return "unknown", why
    drift = f"{machine.desired} was asked for" if drifts(machine) else ""
    return seen.power, "; ".join(filter(None, (seen.contradiction, drift, seen.trouble)))


def in_words(turn: Turn, machine: Machine) -> str:
    """Its power in a line: ``power off by ipmi 10.0.0.7; on was asked for``."""
    power, reason = shown(turn, machine)
    source = f" by {machine.seen.source}" if machine.seen is not None and power != "unknown" else ""
    return "; ".join(filter(None, (f"power {power}{source}", reason)))


def age_seconds(turn: Turn, machine: Machine) -> float | None:
    """How long ago its power was read; None when it never was."""
    if machine.seen is None:
        return None
    return round(max(0.0, turn.now.wall - turn.state.looked.get(machine.id, machine.seen.at_wall)), 3)


# -- evidence --------------------------------------------------------------------------------------------------------
def settle(turn: Turn, machine: Machine) -> None:
    """Note that a VM host's machine was read to be off, or that this is no evidence any more."""
    evidence = _evidence(turn, machine)
    if evidence is None and machine.evidence is not None:
        turn.put(replace(machine, evidence=None))
    elif evidence is not None and machine.evidence is None:
        turn.verb = "machine.evidence"
        turn.put(replace(machine, evidence=evidence))


def settle_all(turn: Turn) -> None:
    """What time has changed: hosts fall silent, and are heard again."""
    for host in list(turn.state.hosts):
        ident = turn.state.machine_of.get(("host", host))
        if ident is not None:
            machine = turn.state.machines[ident]
            if machine.seen is not None and not machine.seen.contradiction and (why := _denied(turn, machine)):
                turn.verb = "machine.contradiction"
                machine = turn.put(replace(machine, seen=replace(machine.seen, power="unknown", contradiction=why)))
            settle(turn, machine)


def _denied(turn: Turn, machine: Machine) -> str:
    """What the VM host itself has against it that its machine is off: its agent was heard well after that was read."""
    seen, contact = machine.seen, turn.contacts.get(machine.host)
    since = turn.state.off_since.get(machine.id)
    if seen is None or seen.power != "off" or since is None or contact is None or machine.job:
        return ""
    if contact.heard - since <= turn.settings.silence_seconds:
        return ""
    return f"{seen.source} says off, the agent of {turn.host_name(machine.host)} is heard"


def _evidence(turn: Turn, machine: Machine) -> PowerEvidence | None:
    seen = machine.seen
    if not machine.host or seen is None or seen.power != "off" or seen.contradiction:
        return None
    if not seen.whole:
        return machine.evidence  # its paths are being asked
    contact = turn.contacts.get(machine.host)
    heard = contact is not None and turn.now.monotonic - contact.heard <= turn.settings.silence_seconds
    if heard or not turn.host_unknown(machine.host):
        return None
    return machine.evidence or PowerEvidence(machine.host, seen.source, seen.at_wall)
