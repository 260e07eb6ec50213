"""zoni-agents: the agents of hardware networks, their enrolment, and which machines are whose.

A machine is its own agent's, or where it names none the only one's that there is.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from tashi.core.hosts import digest, token_of
from tashi.core.state import State
from tashi.core.turn import Turn, done
from tashi.model.device import Switch
from tashi.model.job import JobState
from tashi.model.machine import Machine
from tashi.model.name import check_name
from tashi.model.zoniagent import ZoniAgent
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted, EnrollZoni, Named, ZoniAgentAdd


def add(turn: Turn, body: ZoniAgentAdd) -> Accepted:
    """A record and an enrolment document. Adding one that never enrolled gives it a new token."""
    try:
        check_name(body.name)
    except ValueError as problem:
        raise Refused(Code.BAD_REQUEST, str(problem)) from None
    known = [turn.state.zoniagents[key] for key in turn.state.names["zoniagent"].get(body.name, ())]
    if known and known[0].key:
        text = f"{body.name}: there is a zoni agent of this name already"
        raise Refused(Code.CONFLICT, text, f"zoni-agents remove {body.name} first")
    token = token_of(turn.secret)
    agent = known[0] if known else ZoniAgent(id=turn.new_id("zoniagent"), name=body.name, created_at=turn.at())
    until = turn.now.wall + turn.settings.token_seconds
    turn.put(replace(agent, token=digest(token), token_until_wall=until))
    document = {
        "agent": agent.name,
        "token": token,
        "controller": ",".join(turn.settings.agent_addresses),
        "enroll": ",".join(turn.settings.enroll_addresses),
        "server_key": turn.settings.server_key,
    }
    return replace(done(turn, "zoniagent.add", "zoniagent", agent, body.dry_run), extra=document)


def enroll(turn: Turn, body: EnrollZoni) -> Accepted:
    """Register the public half of an agent's key. One answer for every wrong token: nothing to learn from it."""
    wrong = Refused(Code.DENIED, f"{body.agent}: the enrolment token is not valid", f"zoni-agents add {body.agent}")
    found = [turn.state.zoniagents[key] for key in turn.state.names["zoniagent"].get(body.agent, ())]
    if not found or not found[0].token or found[0].token != digest(body.token):
        raise wrong
    agent = found[0]
    turn.who = replace(turn.who, name=f"zoni@{agent.name}")
    if turn.now.wall > agent.token_until_wall:
        raise wrong
    state = turn.state
    if body.key in state.host_of_key or body.key in state.user_of_key or body.key in state.zoniagent_of_key:
        raise Refused(Code.CONFLICT, f"{body.agent}: this key is in use already")
    turn.put(replace(agent, key=body.key, token="", token_until_wall=0.0))
    return done(turn, "zoniagent.enroll", "zoniagent", agent, False)


def remove(turn: Turn, body: Named) -> Accepted:
    """Forget an agent. Its key is worth nothing from the next message on; its machines are another's, or nobody's."""
    agent: ZoniAgent = turn.find("zoniagent", body.name)
    every: list[Machine | Switch] = [*turn.state.machines.values(), *turn.state.switches.values()]
    named = [each.name for each in every if each.agent == agent.id]
    if named:
        text = f"{agent.name}: it is the agent of {', '.join(named[:5])}{' and more' if len(named) > 5 else ''}"
        raise Refused(Code.WRONG_STATE, text)
    for machine in list(machines_of(turn.state, agent.id)):
        if machine.job and turn.state.jobs[machine.job].kind == "machine":  # one of switches holds it, and goes on
            turn.end(machine.job, JobState.FAILED, f"the zoni agent {agent.name} was removed")
    turn.remove(agent)
    return done(turn, "zoniagent.remove", "zoniagent", agent, body.dry_run)


def agent_of(state: State, record: Machine | Switch) -> str:
    """The id of the agent that reaches it; empty when there is none, or several and the record names none."""
    if record.agent:
        return record.agent
    return next(iter(state.zoniagents)) if len(state.zoniagents) == 1 else ""


def machines_of(state: State, agent: str) -> Iterator[Machine]:
    """All that are this agent's."""
    return (machine for machine in state.machines.values() if agent_of(state, machine) == agent)
