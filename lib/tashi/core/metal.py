"""The controller's side of the conversation with zoni agents. It is that with VM hosts' agents, about machines."""

from __future__ import annotations

from msgspec.structs import replace

from tashi.core import consoles, handover, metal_power, metal_seen, switch_calls, switch_change
from tashi.core.contact import Contact, welcome
from tashi.core.metal_rows import SHOTS, gone
from tashi.core.turn import Turn
from tashi.core.zoniagents import agent_of
from tashi.model.device import Switch
from tashi.model.machine import Machine
from tashi.model.units import stamp
from tashi.model.zoniagent import ZoniAgent
from tashi.wire.agents import Acked, Pulse
from tashi.wire.zoni import MetalBeat, MetalHello, MetalInventory, MetalOrder, MetalRow, MetalRows, MetalSeen, MetalTell


def hello(turn: Turn, agent: ZoniAgent, message: MetalHello, epoch: int) -> list[MetalOrder]:
    """Greet it. How its machines are is unknown until its inventory is in."""
    turn_server = turn.server or agent.server_key
    if (agent.uuid, agent.server_key) != (message.uuid, turn_server):
        turn.put(replace(agent, uuid=message.uuid, server_key=turn_server))
    return [welcome(turn, message.protocol, epoch)]


def beat(turn: Turn, agent: ZoniAgent, contact: Contact, message: MetalBeat, epoch: int) -> list[MetalOrder]:
    """It is alive. Touches no record unless it became well or unwell."""
    contact.heard = turn.now.monotonic
    for machine in message.looked:
        if _is_own(turn, agent, machine):
            turn.state.looked[machine] = turn.now.wall
    if agent.degraded != message.degraded:
        turn.put(replace(agent, degraded=message.degraded))
    return [Pulse(epoch)]


def silent(turn: Turn, agent: ZoniAgent, seconds: float, was_heard: bool) -> None:
    """No heartbeat for too long: how its machines are is not known any more."""
    if not agent.silent:
        since = "silent" if was_heard else "not heard"
        turn.put(replace(agent, silent=f"{since} since {stamp(turn.now.wall - seconds)}"))


def is_back(turn: Turn, agent: ZoniAgent) -> ZoniAgent:
    """It is heard; its record, which says so."""
    return turn.put(replace(agent, silent="")) if agent.silent else agent


def inventory(
    turn: Turn, agent: ZoniAgent, contact: Contact, message: MetalInventory, epoch: int
) -> list[MetalOrder]:  # fmt: skip
    """All that it knows of. Machines that it does not name are told to it."""
    contact.heard, contact.ready = turn.now.monotonic, True
    if agent.boot_id != message.boot_id:
        turn.put(replace(agent, boot_id=message.boot_id))
    strangers = [
        stranger
        for seen in message.machines
        if (stranger := _observe(turn, agent, contact, seen, (message.incarnation, message.seq))) is not None
    ]
    return _answer(epoch, message.incarnation, message.seq, strangers)


def tell(turn: Turn, agent: ZoniAgent, contact: Contact, message: MetalTell, epoch: int) -> list[MetalOrder]:
    """One observation, or the outcome of a one-shot, from the agent's outbox."""
    contact.heard = turn.now.monotonic
    strangers: list[MetalRow] = []
    if message.ports is not None and _is_own(turn, agent, message.ports.machine):
        for ident, mac in message.ports.base_macs.items():
            if _is_own(turn, agent, ident):
                switch_calls.learn(turn, ident, mac)
        handover.ports_said(turn, message.ports)
    if message.shot is not None:
        job = turn.state.jobs.get(message.shot.job)
        if job is not None and job.verb in SHOTS and _is_own(turn, agent, job.target):
            metal_power.shot_done(turn, job, message.shot)
        elif job is not None and job.kind == "switch" and _is_own(turn, agent, job.target):
            asked = job.result[switch_calls.CALL] in switch_change.SHAPES
            (switch_change if asked else switch_calls).shot_done(turn, job, message.shot)
        elif job is not None and job.verb == consoles.CONSOLE:
            consoles.ended(turn, agent.id, job, message.shot)
    if message.seen is not None:
        stranger = _observe(turn, agent, contact, message.seen, (message.incarnation, message.seq))
        strangers += [stranger] if stranger is not None else []
    answer = _answer(epoch, message.incarnation, message.seq, strangers)
    unknown = consoles.said(turn, agent.id, message.console) if message.console is not None else None
    return [*answer, replace(unknown, epoch=epoch)] if unknown is not None else answer


def _is_own(turn: Turn, agent: ZoniAgent, ident: str) -> bool:
    """Whether it may speak of this machine, or of this switch."""
    record: Machine | Switch | None = turn.state.machines.get(ident) or turn.state.switches.get(ident)
    return record is not None and agent_of(turn.state, record) == agent.id


def _observe(
    turn: Turn, agent: ZoniAgent, contact: Contact, seen: MetalSeen, stands: tuple[int, int]
) -> MetalRow | None:  # fmt: skip
    """Take it in; the row that tells the agent of a machine that is not its own."""
    machine: Machine | None = turn.state.machines.get(seen.machine)
    if machine is None:
        return MetalRow(seen.machine, seen.row_generation, gone=True)
    if agent_of(turn.state, machine) != agent.id:
        return gone(machine)
    metal_seen.observe(turn, machine, contact, seen, stands)
    handover.power_said(turn, turn.state.machines[machine.id])
    return None


def _answer(epoch: int, incarnation: int, seq: int, strangers: list[MetalRow]) -> list[MetalOrder]:
    acked = Acked(incarnation, [seq])
    return [acked, MetalRows(epoch, strangers)] if strangers else [acked]
