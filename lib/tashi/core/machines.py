"""zoni-add, -set, -remove and -import: the records of physical machines. Nothing here reaches one."""

from __future__ import annotations

from msgspec.structs import replace

from tashi.core import calendar, parts, secrets
from tashi.core.turn import Turn, done
from tashi.model.job import JobState
from tashi.model.machine import Lock, Machine, PowerPath
from tashi.model.name import check_name
from tashi.wire.errors import Code, Refused, TashiError
from tashi.wire.messages import Accepted, Named
from tashi.wire.metal import MachineAdd, MachineImport, MachineSet, NewMachine


def add(turn: Turn, body: MachineAdd) -> Accepted:
    return done(turn, "machine.add", "machine", _new(turn, body), body.dry_run)


def take_in(turn: Turn, body: MachineImport) -> Accepted:
    """All machines of a list, or with ``partial`` those that can be; each row is judged with the others there.

    When some can't be and ``partial`` is not said, nothing is changed, and the answer says why not of each.
    """
    begin = turn.state.mark()
    made: dict[str, str] = {}
    rows, missing = dict(enumerate(body.machines)), dict[str, str]()
    while rows:
        missing, before = {}, len(rows)
        for number, row in list(rows.items()):
            mark = turn.state.mark()
            try:
                machine = _row(turn, row, body.update)
                made[machine.id] = machine.name
                del rows[number]
            except TashiError as error:
                turn.state.rollback(mark)
                missing[str(number)] = error.text
        if len(rows) == before:
            break  # else: what a row gave back may be what one before it wants
    if not made or (missing and not body.partial):
        turn.state.rollback(begin)
        return Accepted(kind="machine", missing=missing, done=True, dry_run=body.dry_run, note="nothing was changed")
    return all_done(turn, "machine.import", made, missing, body.dry_run)


def all_done(turn: Turn, verb: str, made: dict[str, str], missing: dict[str, str], dry_run: bool) -> Accepted:
    """The answer to a change of several machines (id -> name) that is over at once."""
    name = next(iter(made.values())) + (f" and {len(made) - 1} more" if len(made) > 1 else "")
    job = turn.begin(verb, "machine", next(iter(made)) if len(made) == 1 else "", name)
    turn.end(job.id, JobState.DONE)
    return Accepted(job=job.id, kind="machine", objects=made, missing=missing, done=True, dry_run=dry_run)


def change(turn: Turn, body: MachineSet) -> Accepted:
    """zoni-set: what is named; the rest stays. Of a machine that is locked only the lock can be changed."""
    machine: Machine = turn.find("machine", body.name)
    says = body.parts
    if body.lock is None:
        refuse_locked(machine)
    for flag in body.drop_flags:
        if flag not in machine.flags:
            raise Refused(Code.WRONG_STATE, f"{machine.name}: it has no flag {flag[:40]!r}")
    if says.flags is not None or body.drop_flags:
        kept = [flag for flag in machine.flags if flag not in body.drop_flags]
        says = replace(says, flags=[*kept, *(says.flags or ())])
    changed = parts.applied(turn, machine, says)
    if body.lock is not None:
        lock = (
            Lock(turn.who.name, parts.read(machine.name, "lock", parts.long, body.lock), turn.at())
            if body.lock
            else None
        )
        changed = replace(changed, lock=lock)
    refuse_away(machine, changed)
    turn.put(changed)
    return done(turn, "machine.set", "machine", changed, body.dry_run)


def remove(turn: Turn, body: Named) -> Accepted:
    """Forget a machine, and its passwords. Nothing is done to it."""
    machine: Machine = turn.find("machine", body.name)
    refuse_locked(machine)
    if machine.job:
        raise Refused(Code.LOCKED, f"{machine.name}: locked by {machine.job}", f"tjob-wait {machine.job}")
    if machine.host:
        text = f"{machine.name}: the VM host {turn.host_name(machine.host)} runs on it"
        raise Refused(Code.WRONG_STATE, text, f"zoni-set {machine.name} --host none, or thost-remove")
    if machine.allocation.is_away:
        text = f"{machine.name}: it is in a domain, or on its way"
        raise Refused(Code.WRONG_STATE, text, f"zoni-release {machine.name}")
    calendar.refuse_removal(turn.state.reservations_of, machine)
    secrets.drop(turn, (path.secret for path in machine.paths))
    turn.remove(machine)
    return done(turn, "machine.remove", "machine", machine, body.dry_run)


def host_removed(turn: Turn, host: str) -> None:
    """The VM host is no more: the machine that it ran on is free."""
    machine = turn.state.machines.get(turn.state.machine_of.get(("host", host), ""))
    if machine is not None:
        turn.put(replace(machine, host=""))


def why_locked(lock: Lock) -> str:
    return f"locked by {lock.by} since {lock.at}: {lock.reason}"


def refuse_locked(machine: Machine) -> None:
    if machine.lock is not None:
        raise Refused(Code.LOCKED, f"{machine.name}: {why_locked(machine.lock)}", f"zoni-set {machine.name} --unlock")


def _row(turn: Turn, row: NewMachine, update: bool) -> Machine:
    known = turn.state.names["machine"].get(row.name, ())
    if not update or not known:
        return _new(turn, row)
    machine = turn.state.machines[known[0]]
    refuse_locked(machine)
    says = row.parts
    agents = [agent.name for agent in turn.state.zoniagents.values()]
    if not machine.agent and agents == [says.agent]:
        says = replace(says, agent=None)  # what is exported names the only one that there is
    changed = parts.applied(turn, machine, says)
    refuse_away(machine, changed)
    if changed != machine:
        turn.put(changed)
    return changed


def refuse_away(machine: Machine, changed: Machine) -> None:
    """While it may be in VLANs nothing changes of which ports those are, and of who closes them and how. A login may:
    without the one that its BMC has by now nobody could close them."""
    before, after = ((each.ports, _places(each), each.agent) for each in (machine, changed))
    if machine.allocation.is_away and before != after:
        text = f"{machine.name}: it is in a domain, or on its way: its ports, power paths and zoni agent stay"
        raise Refused(Code.WRONG_STATE, text, f"zoni-release {machine.name}")


def _places(machine: Machine) -> list[PowerPath]:
    """Its power paths, whoever logs in there."""
    return [replace(path, user="", secret="") for path in machine.paths]


def _new(turn: Turn, body: MachineAdd | NewMachine) -> Machine:
    try:
        check_name(body.name)
    except ValueError as problem:
        raise Refused(Code.BAD_REQUEST, f"name: {problem}") from None
    if body.name in turn.state.names["machine"]:
        text = f"{body.name}: there is a machine of this name already"
        raise Refused(Code.CONFLICT, text, f"zoni-set {body.name}")
    machine = Machine(id=turn.new_id("machine"), name=body.name, created_at=turn.at())
    made = parts.applied(turn, machine, body.parts)
    turn.put(made)
    return made
