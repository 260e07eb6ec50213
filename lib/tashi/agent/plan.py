"""Which driver call carries out which row: the agent's one table, and the fence in front of it."""

from __future__ import annotations

from typing import Any

import msgspec

from tashi.agent.desk import Desk, Doing
from tashi.agent.events import Called
from tashi.agent.journal import Told, why_stale
from tashi.wire.agents import Row, Seen

START_SECONDS = 120.0
STOP_SECONDS = 60.0
LOOK_SECONDS = 20.0
MOVE_SECONDS = 86_400.0  # a migration's own time is the controller's to judge

# With the same generation a role may only follow another in the course of one migration.
SAME_GENERATION = {("source", "absent"), ("incoming", "run"), ("incoming", "absent")}


def why_refused(told: Told | None, row: Row) -> str:
    """Why a row is not obeyed; empty when it is."""
    return why_stale(told, row.generation, row.role, SAME_GENERATION)


def seen_by(called: Called, doing: Doing) -> Seen:
    """What a call saw, as the answer to the question that was open when it began."""
    return msgspec.structs.replace(msgspec.convert(called.value, Seen), answer=doing.ask)


def migrating(desk: Desk, vm: str) -> Doing | None:
    """The call that migrates a guest away, if one is under way."""
    return next((each for each in desk.doing.values() if each.verb == "migrate" and each.of == vm), None)


def call_of(row: Row) -> tuple[str, dict[str, Any], float]:
    """(driver call, its arguments, deadline in seconds) that carries out a row."""
    guest = msgspec.to_builtins(row.guest) if row.guest is not None else None
    match row.role:
        case "run":
            return "start", {"guest": guest, "generation": row.generation}, START_SECONDS
        case "stop":
            return "stop", {"vm": row.vm, "generation": row.generation}, STOP_SECONDS
        case "source":
            return "migrate", {"guest": guest, "peer": row.peer, "generation": row.generation}, MOVE_SECONDS
        case "incoming":
            return "look", {"vm": row.vm}, LOOK_SECONDS
        case "absent":
            disks = [] if row.keep_disk or row.guest is None else [disk.path for disk in row.guest.disks]
            return "remove", {"vm": row.vm, "only_if": row.only_if, "disks": disks}, STOP_SECONDS


def obeyed(row: Row, state: str) -> bool:
    """Whether a guest that is in ``state`` after the call is as the row wants it."""
    match row.role:
        case "run":
            return state == "running"
        case "stop":
            return state in ("stopped", "absent")
        case "source":
            return state == "absent"
        case "incoming":
            return True
        case "absent":
            return state == "absent" or bool(row.only_if)


def is_over(told: Told, row: Row, seen: Seen | None) -> bool:
    """Whether a row that comes again is not to be carried out again. What is still there is removed until it is gone,
    and a paused guest that could not be resumed is resumed until it runs: nobody else can."""
    if row.role == "absent" or told.outcome not in ("done", "failed"):
        return False
    paused = seen is not None and seen.state == "paused"
    return not (row.role == "run" and told.outcome == "failed" and paused)
