"""tashi-check's look at physical machines: their agents, and what keeps anybody from having or switching them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tashi.core import metal_seen
from tashi.core.metal_rows import why_closed
from tashi.core.turn import Turn
from tashi.core.zoniagents import agent_of
from tashi.model.machine import Machine
from tashi.wire.messages import PROTOCOL

Told = tuple[str, Any, str, str]  # kind, record, what, help


def agents(turn: Turn) -> Iterator[Told]:
    """Zoni agents have enrolled, are heard, well, and of this version."""
    for agent in turn.state.zoniagents.values():
        contact = turn.contacts.get(agent.id)
        if not agent.key:
            helps = f"zoni-agents add {agent.name}, then zoni-agent --enroll where its devices are"
            yield "zoniagent", agent, "it has not enrolled", helps
        elif agent.silent:
            helps = f"where {agent.name} is: systemctl status zoni-agent; is the network up?"
            yield "zoniagent", agent, agent.silent, helps
        elif agent.degraded:
            yield "zoniagent", agent, f"degraded: {agent.degraded}", f"mend that where {agent.name} is"
        if contact is not None and contact.ready and contact.protocol < PROTOCOL:
            way = f"upgrade zoni-agent where {agent.name} is: the next version of the controller refuses it"
            yield "zoniagent", agent, f"it speaks protocol {contact.protocol}, the controller {PROTOCOL}", way


def machines(turn: Turn) -> Iterator[Told]:
    """They can be had, reached, and are as they were asked to be."""
    for machine in turn.state.machines.values():
        for what, helps in _machine(turn, machine):
            yield "machine", machine, what, helps


def _machine(turn: Turn, machine: Machine) -> Iterator[tuple[str, str]]:
    name = machine.name
    if why := machine.allocation.quarantine:
        yield (
            f"in quarantine: {why}",
            f"zoni-why {name}; it is tried again by itself, or at once by zoni-release {name}",
        )
    if not machine.paths:
        return
    agent = agent_of(turn.state, machine)
    if not turn.state.zoniagents:
        yield "there is no zoni agent for it", "zoni-agents add NAME, then zoni-agent --enroll where its devices are"
    elif not agent:
        yield "no zoni agent is named for it, and there are several", f"zoni-set {name} --agent AGENT"
    elif why := why_closed(turn, machine):
        yield f"its passwords can't be read: {why}", f"zoni-set {name} --password-file FILE"
    elif agent and not metal_seen.why_silent(turn, agent):
        yield from _power(turn, machine)


def _power(turn: Turn, machine: Machine) -> Iterator[tuple[str, str]]:
    power, reason = metal_seen.shown(turn, machine)
    if metal_seen.drifts(machine):
        yield f"its power is {power}: {reason}", f"zoni-power {machine.desired} {machine.name}"
    elif power == "unknown" and machine.seen is not None and not machine.job:
        yield (
            f"its power is unknown: {reason or 'no path tells it'}",
            f"zoni-power status {machine.name} asks whatever is not left alone once more",
        )
