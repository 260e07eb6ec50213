"""Which domain a machine is in, and the transaction that is changing it."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Phase(StrEnum):
    """A step of the way forward, of the way back (undo-), or of shutting a machine off from everybody (seal-)."""

    OFF = "power-off"
    CLOSE = "close-ports"
    OPEN = "open-ports"
    ON = "power-on"
    UNDO_OFF = "undo-power-off"
    UNDO_CLOSE = "undo-close-ports"
    UNDO_OPEN = "undo-open-ports"
    UNDO_ON = "undo-power-on"
    END_OFF = "end-power-off"
    SEAL_CLOSE = "seal-close-ports"
    SEAL_OFF = "seal-power-off"


class Transfer(Struct, frozen=True, omit_defaults=True):
    """A machine on its way from the domain ``before`` to ``target``; an empty one is none.

    ``was_on``: it ran before; ``to_on``: it is to run in the end. ``waits``: the order was answered, and is not to be
    given again before its time is up. ``called_back``: by whom. ``quarantine``: why nobody may have the machine
    although the operation has ended.
    """

    job: str
    phase: Phase
    before: str = ""
    target: str = ""
    was_on: bool = False
    to_on: bool = False
    waits: bool = False
    called_back: str = ""
    reason: str = ""
    quarantine: str = ""


class Allocation(Struct, frozen=True, omit_defaults=True):
    """``domain``: the only one whose VLANs any port of the machine may be in. ``generation``: of the last order."""

    domain: str = ""
    generation: int = 0
    transfer: Transfer | None = None

    @property
    def is_away(self) -> bool:
        """Whether something has to be done before the machine is nobody's: it is in a domain, or on its way."""
        return bool(self.domain) or self.transfer is not None

    @property
    def domains(self) -> set[str]:
        """Those that the machine is in, is on its way to, or would go back to."""
        way = (self.transfer.before, self.transfer.target) if self.transfer is not None else ()
        return {self.domain, *way} - {""}

    @property
    def quarantine(self) -> str:
        """Why nobody may have the machine; empty when that is not so."""
        return self.transfer.quarantine if self.transfer is not None else ""
