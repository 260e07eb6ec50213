"""A guest as its hypervisor has it, and how long things take there."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from tashi.model.guest import Guest

GIB = 2**30

# seconds: (shortest, longest)
QUICK = (0.002, 0.02)
BOOT = (0.05, 1.5)
SHUTDOWN = (0.5, 4.0)
CUT_POWER = (0.05, 0.5)
PIECE_OF_MEMORY = (0.2, 1.0)
SWITCH_OVER = (0.02, 0.1)
KEEPALIVE = (4.0, 8.0)  # until a hypervisor notices that its peer's line is dead

Piece = Generator[float, None, Any]


class Definite(Exception):
    """The call had no effect."""


@dataclass
class Domain:
    """One guest as its hypervisor has it."""

    vm: str
    guest: Guest
    generation: int
    state: str = "stopped"
    never_ran: bool = False
    persistent: bool = True
    ours: bool = True
    outgoing: Moving | None = None
    incoming: Moving | None = None

    @property
    def moving(self) -> bool:
        return self.outgoing is not None or self.incoming is not None


@dataclass
class Moving:
    """A migration under way; it belongs to the two hypervisors, not to who asked for it."""

    pieces: int
    sent: int = 0
    abort: bool = False
