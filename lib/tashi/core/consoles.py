"""zoni-console: the consoles of machines. Their bytes go between client and agent; here is decided who may.

A console is an operation that lasts as long as it is open. Its agent gets a ticket with the key of the one client that
may come, once, and says when that is possible; the client is told where to come by the operation itself. Whether it
still may is asked anew at each heartbeat. An end is an order, repeated until the agent says that it is so; an agent
that is not heard ends what it has open by itself, long before it is given up here.
"""

from __future__ import annotations

from msgspec.structs import replace

from tashi.core import calendar, metal_power
from tashi.core.machines import refuse_locked
from tashi.core.turn import RANK, Turn
from tashi.core.zoniagents import agent_of
from tashi.model.job import Job, JobState
from tashi.model.machine import Machine
from tashi.model.user import User
from tashi.wire.agents import ShotDone
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted
from tashi.wire.metal import MachineConsole
from tashi.wire.zoni import ConsoleSaid, ConsoleShot

CONSOLE = "machine.console"
ORDERED, ENDING = "ordered", "ending"  # phases in which its agent owes us a word; between them it waits, and is open
OPEN_SECONDS = 12 * 3600.0  # that a console may be open
TICKET_SECONDS = 15.0  # that its client has to come
ENDING_SECONDS = 60.0  # until an agent that does not say that it has ended it is given up


def console(turn: Turn, body: MachineConsole) -> Accepted:
    """Have its agent let the client in that has this key."""
    machine: Machine = turn.find("machine", body.name)
    metal_power.check_user(turn, machine)
    metal_power.check_way(turn, machine)
    if not body.read_only:
        refuse_locked(machine)
    agent = turn.state.zoniagents[agent_of(turn.state, machine)]
    stream = turn.contacts[agent.id].stream
    if not stream:
        text = f"{machine.name}: the zoni agent {agent.name} has no stream port"
        raise Refused(Code.WRONG_STATE, text, f"[zoni] stream in tashi.toml, where {agent.name} is")
    for other in _of_machine(turn, machine):
        _take_over(turn, machine, other, body.force)
    job = turn.begin(CONSOLE, "machine", machine.id, machine.name, budget_seconds=OPEN_SECONDS, phase=ORDERED)
    own = turn.who.name if not turn.who.owns else ""  # of who owns the store no record says what he may
    keys = " ".join(sorted(turn.state.names["key"].get(own, ())))
    known = {"agent": agent.id, "stream": stream, "server_key": agent.key, "key": body.key}
    known |= {"role": turn.who.role, "recorded": own if _user(turn, own) is not None else "", "keys": keys}
    turn.put(replace(job, result=known | {"read_only": int(body.read_only), "force": int(body.force)}))
    return Accepted(job=job.id, kind="machine", objects={machine.id: machine.name}, dry_run=body.dry_run)


def _of_machine(turn: Turn, machine: Machine) -> list[Job]:
    """Those that are open, or about to be; one that ends is nobody's any more."""
    every = (job for job in turn.state.jobs.values() if job.verb == CONSOLE and job.target == machine.id)
    return [job for job in every if job.phase != ENDING]


def _take_over(turn: Turn, machine: Machine, other: Job, force: bool) -> None:
    if not force:
        text = f"{machine.name}: {other.by} has its console since {other.created_at} ({other.id})"
        raise Refused(Code.LOCKED, text, "--force takes it away")
    cut(turn, other, Code.LOCKED, f"{turn.who.name} has taken it over")


# -- whether it still may be -----------------------------------------------------------------------------------------
def settle(turn: Turn, job: Job) -> None:
    """End it when whoever has it has lost the right to."""
    if job.phase != ENDING and (why := _why_not(turn, job)):
        cut(turn, job, Code.DENIED, why)


def _why_not(turn: Turn, job: Job) -> str:
    machine: Machine | None = turn.state.machines.get(job.target)
    if machine is None or agent_of(turn.state, machine) != job.result["agent"]:
        return "it is no machine of this agent any more"
    if machine.lock is not None and not job.result["read_only"]:
        return f"it is locked by {machine.lock.by}"
    gone = [key for key in str(job.result["keys"]).split() if key not in turn.state.keys]
    if gone:
        return f"a key of {job.by} was revoked"
    user = _user(turn, str(job.result["recorded"]))
    if user is None and job.result["recorded"]:
        return f"there is no user {job.by} any more"
    role = str(job.result["role"])
    if user is not None and RANK[user.role] < RANK[role]:
        role = user.role
    held = calendar.current(turn.state.reservations_of, machine.id, turn.now.wall)
    if RANK[role] >= RANK["operator"] or (held is not None and held.owner == job.owner):
        return ""
    return calendar.who_has(held) if held is not None else f"it is not reserved for {job.owner} any more"


def _user(turn: Turn, name: str) -> User | None:
    ids = turn.state.names["user"].get(name)
    return turn.state.users[ids[0]] if ids else None


# -- what its agent is told, and says --------------------------------------------------------------------------------
def shot_owed(turn: Turn, job: Job) -> tuple[str, ConsoleShot] | None:
    """(agent, what it has to hear), or None."""
    result, agent = job.result, str(job.result["agent"])
    if job.phase == ORDERED:
        only, force = bool(result["read_only"]), bool(result["force"])
        return agent, ConsoleShot(0, job.id, "open", job.target, str(result["key"]), TICKET_SECONDS, only, force)
    if job.phase == ENDING:
        return agent, ConsoleShot(0, job.id, "cut", job.target, code=str(result["code"]), reason=job.reason)
    return None


def cut(turn: Turn, job: Job, code: Code, reason: str) -> None:
    """Have its agent end it, and say so to its client."""
    ending = replace(job, phase=ENDING, reason=reason, budget_seconds=ENDING_SECONDS)
    turn.put(replace(ending, result=job.result | {"code": code.value}))
    turn.begin_budget(job.id)
    turn.urgent = True


def said(turn: Turn, agent: str, told: ConsoleSaid) -> ConsoleShot | None:
    """How far it is. One that is not known, or not this agent's, is to end."""
    job = turn.state.jobs.get(told.job)
    if job is None or job.verb != CONSOLE or job.result["agent"] != agent:
        return ConsoleShot(0, told.job, "cut", told.machine, code=Code.DENIED.value, reason="it is not known")
    if job.phase != ENDING:
        turn.phase(job.id, told.phase)
    return None


def ended(turn: Turn, agent: str, job: Job, done: ShotDone) -> None:
    """It is closed: by its client, by us, or by what has become of either end."""
    if job.result["agent"] != agent:
        return
    if job.phase == ENDING:
        turn.end(job.id, JobState.CANCELLED, job.reason)
    else:
        turn.end(job.id, JobState.DONE if done.outcome == "done" else JobState.FAILED, done.reason)


def budget_spent(turn: Turn, job: Job) -> None:
    """It was open too long; or its agent does not say that it has ended it, and is not heard by its client either."""
    if job.phase == ENDING:
        turn.end(job.id, JobState.CANCELLED, f"{job.reason}; its agent has not said that it is so")
    else:
        cut(turn, job, Code.BUSY, f"it was open for {OPEN_SECONDS / 3600:g} hours, the longest")
