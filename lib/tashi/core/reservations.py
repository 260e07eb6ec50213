"""zoni-reserve, -extend and -release: machines that are somebody's for a time, and what the clock makes of it.

Wall-clock instants name the ends, because people do; nothing else hangs on them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice, takewhile

from msgspec.structs import replace

from tashi.core import calendar, handover, query
from tashi.core.calendar import who_has
from tashi.core.domains import check_user
from tashi.core.turn import Turn, done
from tashi.model.job import Job, JobState
from tashi.model.machine import Machine
from tashi.model.name import number_of
from tashi.model.reservation import Reservation, stage_of, warnings_due
from tashi.model.units import stamp
from tashi.wire.domains import Extend, Reserve
from tashi.wire.errors import Code, NotFound, Refused
from tashi.wire.messages import Accepted, Named

TOLD = 5  # of many machines a text tells so many
OVER = "its time is over"


def reserve(turn: Turn, body: Reserve) -> Accepted:
    owner = _for_whom(turn, body.user)
    begin, end = max(body.from_wall or 0.0, turn.now.wall), body.until_wall
    if end <= begin:
        why = "which is over" if end <= turn.now.wall else f"which is not after {stamp(begin)}"
        raise Refused(Code.BAD_REQUEST, f"until {stamp(end)}, {why}")
    if not body.note.isprintable():
        raise Refused(Code.BAD_REQUEST, f"note: {body.note[:40]!r}: a control character in it")
    if bool(body.machines) is (body.count is not None) or (body.machines and body.where):
        raise Refused(Code.BAD_REQUEST, "give names of machines, or how many and filters, not both")
    chosen = _named(turn, body.machines, begin, end) if body.machines else _counted(turn, body, begin, end)
    ids = tuple(machine.id for machine in chosen)
    made = Reservation(turn.new_id("reservation"), owner, ids, begin, end, turn.at(), turn.who.name, body.note.strip())
    turn.put(_by_the_clock(made, turn.now.wall))
    accepted = done(turn, "machine.reserve", "reservation", made, body.dry_run)
    if body.dry_run:
        note = f"for {owner} from {stamp(begin)} until {stamp(end)}"
        return replace(accepted, kind="machine", objects={each.id: each.name for each in chosen}, note=note)
    return accepted


def extend(turn: Turn, body: Extend) -> Accepted:
    """A later end, if nobody else has one of the machines by then."""
    held = _own(turn, body.name)
    if turn.now.wall >= held.until_wall:
        raise Refused(Code.TOO_LATE, f"{held.id}: it ended at {stamp(held.until_wall)}", "zoni-reserve")
    if body.until_wall <= held.until_wall:
        text = f"{held.id}: it ends at {stamp(held.until_wall)}; until {stamp(body.until_wall)} is no extension"
        raise Refused(Code.BAD_REQUEST, text, f"zoni-release {held.id}")
    machines = [turn.state.machines[each] for each in held.machines]
    _refuse_taken(turn, held.id, machines, held.until_wall, body.until_wall)
    later = replace(held, until_wall=body.until_wall, warned=0)
    return done(turn, "reservation.extend", "reservation", turn.put(_by_the_clock(later, turn.now.wall)), body.dry_run)


def release(turn: Turn, body: Named) -> Accepted:
    """Give back a machine before its time, or all of a reservation. What is in a domain is switched off and closed."""
    machine = _machine(turn, body.name)
    if machine is not None and machine.allocation.is_away and (_of(turn, machine.id) or turn.sees_all()):
        owner = _own(turn, body.name).owner if _of(turn, machine.id) else turn.owner
        job = handover.give_back(turn, machine, owner)
        return _given_back([machine], job, body.dry_run)
    held = _own(turn, body.name)
    machines = [turn.state.machines[each] for each in held.machines] if machine is None else [machine]
    away = [each for each in machines if each.allocation.is_away and not each.allocation.quarantine]
    handover.drop(turn, held, *(each for each in machines if each not in away))
    job = turn.begin(handover.RELEASE, "reservation", held.id, held.name, owner=held.owner, children=len(away))
    for each in away:
        handover.give_back(turn, each, held.owner, job.id)
    if not away:
        turn.end(job.id, JobState.DONE)
    return _given_back(machines, job, body.dry_run, done=not away)


def _given_back(machines: Sequence[Machine], job: Job, dry_run: bool, done: bool = False) -> Accepted:
    objects = {machine.id: machine.name for machine in machines}
    return Accepted(job=job.id, kind="machine", objects=objects, done=done, dry_run=dry_run)


def look_at_the_clock(turn: Turn) -> None:
    """Begin, warn and end what is due; each is an entry of the change log."""
    wall = turn.now.wall
    for _, key in list(takewhile(lambda due: due[0] <= wall, turn.state.reservations_due)):
        held = turn.state.reservations[key]
        if wall >= held.until_wall:
            _end(turn, held)
        elif (now := _by_the_clock(held, wall)) != held:
            turn.put(now)


def _end(turn: Turn, held: Reservation) -> None:
    """Machines that are in a domain come out of it first, each as an operation of the controller's."""
    machines = [turn.state.machines[each] for each in held.machines]
    away = [each for each in machines if each.allocation.is_away and not each.allocation.quarantine]
    for each in away:
        handover.evict(turn, each, held.owner)
    if not away:
        job = turn.begin("machine.release", "reservation", held.id, held.name, owner=held.owner)
        turn.remove(held)
        turn.end(job.id, JobState.DONE, OVER)
    elif len(away) < len(machines):
        handover.drop(turn, held, *(each for each in machines if each not in away))


def _by_the_clock(held: Reservation, wall: float) -> Reservation:
    return replace(held, stage=stage_of(held, wall), warned=warnings_due(held, wall))


def _for_whom(turn: Turn, user: str) -> str:
    if not user or user == turn.who.name:
        return turn.owner
    if not turn.sees_all():
        raise Refused(Code.DENIED, f"--user {user}: only operators reserve for others")
    check_user(turn, user)
    return user


# -- which machines ----------------------------------------------------------------------------------------------------
def _named(turn: Turn, names: Iterable[str], begin: float, end: float) -> list[Machine]:
    machines = list({machine.id: machine for machine in (turn.find("machine", each) for each in names)}.values())
    for machine in machines:
        if why := _why_not(turn, machine):
            raise Refused(Code.WRONG_STATE, f"{machine.name}: {why}")
    _refuse_taken(turn, "", machines, begin, end)
    return machines


def _counted(turn: Turn, body: Reserve, begin: float, end: float) -> list[Machine]:
    """So many that match and are free: the smallest, so that the large ones stay for who needs them."""
    count = body.count or 0
    tests = [query.test(turn, "machine", text) for text in body.where]
    match = [each for each in turn.state.machines.values() if all(test(each) for test in tests)]
    fit = sorted((each for each in match if not _why_not(turn, each)), key=_size)
    wanted = f"{count} machine{'s' if count > 1 else ''}" + (f" with {' '.join(body.where)}" if body.where else "")
    if len(fit) < count:
        kept = "".join(f"; {each.name}: {why}" for each in match[:TOLD] if (why := _why_not(turn, each)))
        raise Refused(Code.IMPOSSIBLE, f"{wanted}: there {_are(len(fit))}{kept}", "zoni-list")
    free = calendar.free(turn.state.reservations_of, [each.id for each in fit], begin, end)
    if len(free) < count:
        told = _calendar_text(turn, fit, count, begin, end)
        text = f"{wanted} from {stamp(begin)} until {stamp(end)}: {len(free)} of {len(fit)} free; {told}"
        raise Refused(Code.NO_ROOM, text, "zoni-reservations")
    return [turn.state.machines[each] for each in free[:count]]


def _size(machine: Machine) -> tuple[int, int, int]:
    return machine.cores, machine.memory_bytes, number_of(machine.id)


def _are(count: int) -> str:
    return "is 1" if count == 1 else f"are {count or 'none'}"


def _why_not(turn: Turn, machine: Machine) -> str:
    """Why nobody can have it at any time; empty when somebody can."""
    if machine.lock is not None:
        return f"locked by {machine.lock.by}: {machine.lock.reason}"
    if machine.host:
        return f"the VM host {turn.host_name(machine.host)} runs on it"
    return f"in quarantine: {machine.allocation.quarantine}" if machine.allocation.quarantine else ""


def _refuse_taken(turn: Turn, what: str, machines: Sequence[Machine], begin: float, end: float) -> None:
    """Say of each machine who has it, and when all of them are free."""
    if len(calendar.free(turn.state.reservations_of, [each.id for each in machines], begin, end)) == len(machines):
        return
    told = _calendar_text(turn, machines, len(machines), begin, end)
    raise Refused(Code.NO_ROOM, f"{what}: {told}" if what else told, "zoni-reservations")


def _calendar_text(turn: Turn, machines: Sequence[Machine], count: int, begin: float, end: float) -> str:
    of = turn.state.reservations_of
    taken = ((each, calendar.in_the_way(of, each.id, begin, end)) for each in machines)
    told = [f"{each.name}: {who_has(other)}" for each, other in islice((one for one in taken if one[1]), TOLD) if other]
    after = calendar.next_begin(of, [each.id for each in machines], count, begin, end - begin)
    assert after is not None
    return f"{'; '.join(told)}; {'free' if count == 1 else f'{count} are free'} for as long from {stamp(after)}"


# -- which reservation -------------------------------------------------------------------------------------------------
def _of(turn: Turn, machine: str) -> Sequence[Reservation]:
    return turn.state.reservations_of.get(machine, ())


def _machine(turn: Turn, ref: str) -> Machine | None:
    try:
        return turn.find("machine", ref)  # type: ignore[no-any-return]
    except NotFound:
        return None


def _own(turn: Turn, ref: str) -> Reservation:
    """The reservation that a word means: its id, or a machine that somebody has, or will have next.

    Raises Refused where it is another's.
    """
    machine = _machine(turn, ref)
    if machine is None:
        if turn.state.reservations.get(ref) is None:
            raise NotFound(f"{ref}: no such machine or reservation")
        held = turn.state.reservations[ref]
    else:
        found = calendar.current(turn.state.reservations_of, machine.id, turn.now.wall) or min(
            _of(turn, machine.id), key=lambda each: each.from_wall, default=None
        )
        if found is None:
            raise Refused(Code.WRONG_STATE, f"{machine.name}: nobody has it", "zoni-reservations")
        held = found
    if held.owner != turn.owner and not turn.sees_all():
        raise Refused(Code.DENIED, f"{ref}: {who_has(held)}")
    return held
