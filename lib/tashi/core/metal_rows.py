"""Which row a zoni agent gets for a machine, and whether it still has to be told.

As with guests a row is derived, never stored: from the record, with the passwords of its paths opened. What an agent
knows is in its memory only, so it is told everything again whenever it says hello.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from tashi.core import paths
from tashi.core.contact import Contact
from tashi.core.secrets import vault_of
from tashi.core.turn import Turn
from tashi.core.zoniagents import agent_of
from tashi.model.job import Job
from tashi.model.machine import Machine
from tashi.model.name import number_of
from tashi.wire.errors import TashiError
from tashi.wire.zoni import MetalRow, MetalShot

MARK_BYTES = 8
PATH_SECONDS = 60.0  # that one path may take to carry an order out
ONE_SHOTS = ("machine.cycle", "machine.reset")
SHOTS = {
    "machine.cycle": "cycle", "machine.reset": "reset", "machine.boot": "boot", "machine.identify": "identify",
    "machine.booting": "booting", "machine.sensors": "sensors", "machine.log": "log",
}  # fmt: skip
LOOK = "machine.look"
_encode = msgspec.json.Encoder().encode


def mark_of(turn: Turn, machine: Machine) -> str:
    """What tells a machine's paths from former ones. Secrets count by their ids: a new password is a new secret."""
    pdus = [turn.state.pdus.get(path.pdu) for path in machine.paths if path.pdu]
    known = (machine.paths, machine.rack, machine.uuid, machine.serial, pdus)
    return hashlib.blake2b(_encode(known), digest_size=MARK_BYTES).hexdigest()


def row_of(turn: Turn, machine: Machine) -> MetalRow:
    """What its agent is told. One whose passwords can't be opened has no way to its power."""
    try:
        opened = paths.opened(turn.state, vault_of(turn), machine)
    except TashiError:  # who orders something is told; see `why_closed`
        opened = []
    return MetalRow(
        machine.id,
        machine.generation,
        machine.name,
        opened,
        mark_of(turn, machine),
        machine.rack,
        machine.uuid,
        machine.serial,
        "on" if machine.desired == "on" else "off" if machine.desired == "off" else "",
        machine.soft_seconds,
        PATH_SECONDS,
        asked(turn, machine),
    )


def why_closed(turn: Turn, machine: Machine) -> str:
    """Why the passwords of its paths can't be opened; empty when they can."""
    try:
        paths.opened(turn.state, vault_of(turn), machine)
    except TashiError as error:
        return error.text
    return ""


def asked(turn: Turn, machine: Machine) -> int:
    """The newest question about it that is open: the number of its operation, which no restart gives again."""
    looks = turn.state.looking.get(machine.id)
    return max(map(number_of, looks)) if looks else 0


def unsettled(turn: Turn, machine: Machine, contact: Contact) -> bool:
    """Whether its agent has not yet proven that it did what the row says, and knows the way."""
    seen = machine.seen
    if contact.marks.get(machine.id) != mark_of(turn, machine) or seen is None or asked(turn, machine):
        return True
    return seen.generation != machine.generation or not seen.outcome


def order_mark(turn: Turn, machine: Machine) -> object:
    """What tells one row from the next."""
    return machine.generation, mark_of(turn, machine), asked(turn, machine)


def shot_owed(turn: Turn, job: Job) -> tuple[str, MetalShot] | None:
    """(agent, one-shot) that this operation waits for, or None."""
    machine = turn.state.machines.get(job.target)
    if job.verb not in SHOTS or machine is None or (job.verb in ONE_SHOTS and machine.job != job.id):
        return None
    action: Any = SHOTS[job.verb]
    shot = MetalShot(0, job.id, action, machine.id, machine.generation, PATH_SECONDS, args_of(job))
    return agent_of(turn.state, machine), shot


def args_of(job: Job) -> dict[str, Any]:
    """What a one-shot is asked with: kept in the operation's result until there is one."""
    whether = ("once", "uefi", "on")
    return {key: bool(value) if key in whether else value for key, value in job.result.items()}


def gone(machine: Machine) -> MetalRow:
    """The row of one that is not the agent's any more."""
    return MetalRow(machine.id, machine.generation, gone=True)


def of_pdus(turn: Turn, pdus: Iterable[str]) -> list[str]:
    """Machines that hang on these."""
    return [machine for pdu in pdus for machine in sorted(turn.state.machines_on.get(pdu, ()))]
