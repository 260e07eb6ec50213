"""What a fake world keeps: a row for each guest, for what will happen, for each migration and for what goes wrong."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from tashi.model.guest import Guest
from tashi.wire.agents import GuestState


class FakeGuest(Struct, frozen=True, omit_defaults=True):
    """A guest on one host, in every state that a real one can be seen in."""

    vm: str
    name: str
    cores: int
    memory_bytes: int
    state: GuestState
    generation: int = 0
    foreign: bool = False
    never_ran: bool = False
    hints: dict[str, str] = {}
    cluster: str = ""
    guest: Guest | None = None  # what it was made of


class Turn(Struct, frozen=True):
    """At ``due`` a guest of a host will be in ``state``."""

    host: str
    vm: str
    state: GuestState
    due: float


class Move(Struct, frozen=True):
    """A migration. ``phase`` ends at ``due``; after the last one ``text`` says why it did not work."""

    vm: str
    source: str
    destination: str
    generation: int
    memory_bytes: int
    phase: Literal["copy", "switch", "confirm", "done", "failed", "unknown"]
    due: float
    began: float
    paused: float = 0.0
    ran: float = 0.0
    text: str = ""


class Fault(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What goes wrong with a call. Empty ``host``, ``call`` or ``vm``: any. The first that fits, ``times`` times.

    In this order: ``delay`` seconds pass; ``fail``: refused with this text, without effect; ``hang`` "before" the
    effect; then the effect; ``kill``: the caller dies; ``hang`` "after" it; ``error``: an answer that proves nothing;
    ``lie``: the state that is told instead. Calls are the driver's, and ``copy``, ``switch``, ``confirm`` for a
    migration's phases, which know ``delay`` and ``fail``.
    """

    host: str = ""
    call: str = ""
    vm: str = ""
    delay: float = 0.0
    fail: str = ""
    hang: Literal["", "before", "after"] = ""
    kill: bool = False
    error: str = ""
    lie: Literal["", "running", "paused", "stopped", "absent"] = ""
    times: int = 2**31

    def fits(self, host: str, call: str, vm: str) -> bool:
        return self.times > 0 and self.host in ("", host) and self.call in ("", call) and self.vm in ("", vm)


class Faults(Struct, frozen=True):
    faults: list[Fault] = []


class Mark(Struct, frozen=True):
    """A row that says all by being there."""
