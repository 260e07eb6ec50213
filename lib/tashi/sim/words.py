"""Messages and calls as a line of the log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tashi.wire.agents import (
    AgentMessage,
    ControllerMessage,
    Inventory,
    Row,
    Rows,
    Seen,
    Shot,
    Tell,
    Welcome,
)

QUIET_CALLS = ("inventory", "moving", "look", "facts")


def order(message: ControllerMessage) -> str:
    """What an agent is told; empty for what is said all the time."""
    match message:
        case Rows(rows=rows):
            return "rows " + ", ".join(_row(row) for row in rows)
        case Shot(job=job, action=action, vm=vm, generation=generation):
            return f"shot {action} {vm} g{generation} for {job}"
        case Welcome(epoch=epoch):
            return f"welcome, epoch {epoch}"
    return ""


def report(message: AgentMessage) -> str:
    """What an agent says; empty for what is said all the time."""
    match message:
        case Tell(seq=seq, seen=Seen() as seen):
            return f"tells #{seq} {_seen(seen)}"
        case Tell(seq=seq, shot=shot) if shot is not None:
            return f"tells #{seq} shot for {shot.job}: {shot.outcome} {shot.reason}".rstrip()
        case Inventory(seq=seq, guests=guests):
            return f"has #{seq} " + (", ".join(_seen(seen) for seen in guests) or "nothing")
    return ""


def call(verb: str, args: Mapping[str, Any]) -> str:
    """What a hypervisor is asked to do; empty for mere looking."""
    if verb in QUIET_CALLS:
        return ""
    rest = {key: value for key, value in args.items() if key != "guest" and value}
    guest = args.get("guest") or {}
    return " ".join([verb, *([guest["id"]] if guest else []), *(f"{key}={value}" for key, value in rest.items())])


def _row(row: Row) -> str:
    words = [row.vm, row.role, f"g{row.generation}"]
    words += [f"to {row.peer}"] if row.peer else []
    words += [f"if {row.only_if}"] if row.only_if else []
    words += ["keep disk"] if row.keep_disk else []
    return " ".join(words)


def _seen(seen: Seen) -> str:
    words = [seen.vm, seen.state, f"g{seen.generation}"]
    words += [name.replace("_", "-") for name in ("never_ran", "moving", "exited", "foreign") if getattr(seen, name)]
    words += [f"(row g{seen.row_generation} {seen.outcome or 'begun'})"] if seen.row_generation else []
    words += [f"[{seen.outcome}]"] if seen.outcome and not seen.row_generation else []
    words += [repr(seen.reason)] if seen.reason else []
    return " ".join(words)
