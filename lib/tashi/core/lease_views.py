"""What each field of a domain and of a reservation is, and whose a machine is now."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tashi.core.calendar import current, next_after
from tashi.core.domains import machines_of
from tashi.core.turn import Turn
from tashi.model.machine import Machine, state_of
from tashi.model.reservation import Reservation, stage_of
from tashi.model.units import stamp

Getter = Callable[[Turn, Any], Any]


def _now(key: str) -> Getter:
    """A field of the reservation that has a machine now."""

    def getter(turn: Turn, machine: Machine) -> Any:
        held = current(turn.state.reservations_of, machine.id, turn.now.wall)
        return getattr(held, key) if held is not None else ""

    return getter


def state_of_machine(turn: Turn, machine: Machine) -> str:
    """The first of these that is so."""
    if machine.allocation.quarantine:
        return "quarantine"
    if machine.allocation.transfer is not None:
        return "moving"
    if machine.allocation.domain:
        return "allocated"
    state = state_of(machine)
    return "reserved" if state == "free" and _now("id")(turn, machine) else state


def _until(turn: Turn, machine: Machine) -> str:
    until = _now("until_wall")(turn, machine)
    return stamp(until) if until else ""


def _next(turn: Turn, machine: Machine) -> str:
    after = next_after(turn.state.reservations_of, machine.id, turn.now.wall)
    return stamp(after.from_wall) if after is not None else ""


def _domain(turn: Turn, machine: Machine) -> str:
    domain = turn.state.domains.get(machine.allocation.domain)
    return domain.name if domain is not None else ""


def _machines(turn: Turn, held: Reservation) -> list[str]:
    """Names; a machine that is gone meanwhile has its id."""
    known = turn.state.machines
    return [known[each].name if each in known else each for each in held.machines]


LEASES: dict[str, dict[str, Getter]] = {
    "machine": {
        "state": state_of_machine,
        "domain": _domain,
        "step": lambda turn, machine: machine.allocation.transfer.phase.value if machine.allocation.transfer else "",
        "quarantine": lambda turn, machine: machine.allocation.quarantine,
        "reserved_by": _now("owner"),
        "reserved_until": _until,
        "reserved_next": _next,
        "reservation": _now("id"),
    },
    "domain": {"vlans": lambda turn, domain: list(domain.vlans), "machines": machines_of},
    "reservation": {
        "state": lambda turn, held: stage_of(held, turn.now.wall),
        "machines": _machines,
        "count": lambda turn, held: len(held.machines),
        "from_at": lambda turn, held: stamp(held.from_wall),
        "until_at": lambda turn, held: stamp(held.until_wall),
    },
}
