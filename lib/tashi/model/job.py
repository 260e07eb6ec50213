"""An operation: who wanted what of which object, how far it is, and how it ended."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class JobState(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Job(Struct, frozen=True, omit_defaults=True, gc=False):
    """``target`` is the id of the object that it is about; ``parent`` the operation that it is a part of.

    ``budget_seconds`` runs anew after a controller's start. ``request`` is the key of the request that made it.
    ``result``: a migration's from, to, total_seconds, downtime_seconds, bytes; an image's size_bytes;
    a backup's bytes, digest, lines, revision.
    """

    id: str
    verb: str
    by: str
    kind: str
    target: str
    name: str
    created_at: str
    owner: str = ""
    parent: str = ""
    state: JobState = JobState.RUNNING
    phase: str = ""
    reason: str = ""
    why: str = ""
    ended_at: str = ""
    budget_seconds: float = 0.0
    request: str = ""
    children: int = 0
    open_children: int = 0
    failed_children: int = 0
    decision: str = ""  # the newest decision of placement that it led to
    cancelling: str = ""  # the operation that cancels this one
    result: dict[str, str | float | int] = {}
