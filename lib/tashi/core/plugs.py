"""zoni-discover --apply: where the NICs of machines are plugged in, of many at once. Only the records change."""

from __future__ import annotations

from msgspec.structs import replace

from tashi.core import parts
from tashi.core.machines import all_done, refuse_away, refuse_locked
from tashi.core.metal_views import ports_of
from tashi.core.turn import Turn
from tashi.model.machine import Machine
from tashi.wire.errors import Code, Refused, TashiError
from tashi.wire.messages import Accepted
from tashi.wire.metal import MachinePlug, Parts, Plugged


def plug(turn: Turn, body: MachinePlug) -> Accepted:
    """All that can be; what can't be is left out and told, and the others are judged again without it."""
    rows, missing = dict(enumerate(body.machines)), dict[str, str]()
    while rows:
        mark = turn.state.mark()
        made, wrong = _tried(turn, rows)
        if not wrong:
            return all_done(turn, "machine.plug", made, missing, body.dry_run)
        turn.state.rollback(mark)
        missing |= {str(number): text for number, text in wrong.items()}
        rows = {number: row for number, row in rows.items() if number not in wrong}
    return Accepted(kind="machine", missing=missing, done=True, dry_run=body.dry_run, note="nothing was changed")


def _tried(turn: Turn, rows: dict[int, Plugged]) -> tuple[dict[str, str], dict[int, str]]:
    """All machines are unplugged before the first is plugged in; (id -> name, row -> why it can't be)."""
    unplugged: dict[int, Machine] = {}
    made: dict[str, str] = {}
    wrong: dict[int, str] = {}
    for number, row in rows.items():
        try:
            machine = _checked(turn, row)
            if machine.id in made:
                raise Refused(Code.BAD_REQUEST, f"{machine.name}: it is there twice")
        except TashiError as error:
            wrong[number] = error.text
        else:
            made[machine.id] = machine.name
            unplugged[number] = replace(machine, ports=())
            turn.put(unplugged[number])
    for number, machine in unplugged.items():
        try:
            turn.put(parts.applied(turn, machine, Parts(ports=rows[number].ports)))
        except TashiError as error:
            wrong[number] = error.text
    return made, wrong


def _checked(turn: Turn, row: Plugged) -> Machine:
    """The machine, if it may be changed and nobody has since the caller looked."""
    machine: Machine = turn.find("machine", row.name)
    refuse_locked(machine)
    refuse_away(machine, replace(machine, ports=()))
    now = ports_of(turn, machine)
    if now != row.was:
        told = f"its ports are {', '.join(now) or 'none'} by now, not {', '.join(row.was) or 'none'}"
        raise Refused(Code.CONFLICT, f"{machine.name}: {told}")
    return machine
