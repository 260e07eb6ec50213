"""A reservation: machines that are somebody's from one instant to another."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from tashi.model.units import stamp

Stage = Literal["planned", "active", "ending"]
WARN_SECONDS = (86_400.0, 3_600.0)  # before its end, but no more than a tenth of the whole


class Reservation(Struct, frozen=True, omit_defaults=True):
    """``machines`` are ids. ``from_wall`` is in it, ``until_wall`` is not; both are seconds since 1970.

    ``stage`` and ``warned``, how often its end was told beforehand, follow the clock.
    """

    id: str
    owner: str
    machines: tuple[str, ...]
    from_wall: float
    until_wall: float
    created_at: str
    by: str = ""
    note: str = ""
    stage: Stage = "planned"
    warned: int = 0

    @property
    def name(self) -> str:
        """It has none but its id."""
        return self.id

    @property
    def reason(self) -> str:
        """What the change log says of its stage."""
        return f"ends at {stamp(self.until_wall)}" if self.stage == "ending" else ""

    def covers(self, wall: float) -> bool:
        return self.from_wall <= wall < self.until_wall


def warnings_due(reservation: Reservation, wall: float) -> int:
    """How often its end is to have been told by now."""
    left = reservation.until_wall - wall
    return sum(left <= seconds for seconds in _warn_seconds(reservation))


def stage_of(reservation: Reservation, wall: float) -> Stage:
    if wall < reservation.from_wall:
        return "planned"
    return "ending" if warnings_due(reservation, wall) else "active"


def due_at(reservation: Reservation) -> float:
    """The instant from which on the clock makes something of it: it begins, its end is told beforehand, it ends."""
    if reservation.stage == "planned":
        return reservation.from_wall
    before = _warn_seconds(reservation)[reservation.warned :]
    return reservation.until_wall - (before[0] if before else 0.0)


def _warn_seconds(reservation: Reservation) -> list[float]:
    """How long before its end that is told, the longest first."""
    tenth = (reservation.until_wall - reservation.from_wall) / 10
    return sorted({min(tenth, each) for each in WARN_SECONDS}, reverse=True)
