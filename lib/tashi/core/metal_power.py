"""zoni-power: machines switched on and off, asked to end, cycled, reset, and looked at.

On and off are what is desired from then on, under a new generation; the machine's agent carries a generation out once.
A cycle and a reset are one-shots: should nobody know whether they were done, they are not done again.
"""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace

from tashi.core import calendar, metal_seen
from tashi.core.machines import refuse_locked
from tashi.core.metal_rows import LOOK, ONE_SHOTS, why_closed
from tashi.core.turn import Turn
from tashi.core.zoniagents import agent_of
from tashi.model.job import Job, JobState
from tashi.model.machine import Machine
from tashi.wire.agents import ShotDone
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted, Named
from tashi.wire.metal import MachineBoot, MachineIdentify, MachineLog, MachinePower

POWER_SECONDS = 900.0  # with all that waits for its turn before it: racks change a few machines at a time
LOOK_SECONDS = 90.0
TURN_SECONDS = 0.1  # more for each machine that is asked for before it: a device takes a while, a few are asked at once
ANSWER_MAX = 2**18  # characters of what a BMC answered that are kept
SHOT_SECONDS = 180.0  # of what is no change of the power
SOFT_SECONDS = 120.0  # that a system has to end by itself, unless it is said


def power(turn: Turn, body: MachinePower) -> Accepted:
    """Order what is asked for, or ask how the machine is."""
    machine: Machine = turn.find("machine", body.name)
    check_user(turn, machine)
    check_way(turn, machine)
    verb = f"machine.{body.action}"
    if verb == LOOK:
        seconds = LOOK_SECONDS + TURN_SECONDS * len(turn.state.looking)
        job = turn.begin(verb, "machine", machine.id, machine.name, budget_seconds=seconds, phase="asking")
    else:
        job = _order(turn, machine, body, verb)
    return Accepted(job=job.id, kind="machine", objects={machine.id: machine.name}, dry_run=body.dry_run)


def boot(turn: Turn, body: MachineBoot) -> Accepted:
    """zoni-boot: from what it boots, from now on or once."""
    args: dict[str, Any] = {"device": body.device, "once": int(body.once)}
    args |= {} if body.uefi is None else {"uefi": int(body.uefi)}
    return _shoot(turn, body.name, "machine.boot", args, body.dry_run)


def identify(turn: Turn, body: MachineIdentify) -> Accepted:
    """zoni-identify: its light."""
    return _shoot(turn, body.name, "machine.identify", {"on": int(body.on)}, body.dry_run)


def booting(turn: Turn, body: Named) -> Accepted:
    """zoni-boot status: from what it boots."""
    return _shoot(turn, body.name, "machine.booting", {}, body.dry_run)


def sensors(turn: Turn, body: Named) -> Accepted:
    """zoni-sensors: what its BMC reads."""
    return _shoot(turn, body.name, "machine.sensors", {}, body.dry_run)


def log(turn: Turn, body: MachineLog) -> Accepted:
    """zoni-log: what its BMC has written down."""
    return _shoot(turn, body.name, "machine.log", {"limit": body.limit}, body.dry_run)


def _shoot(turn: Turn, name: str, verb: str, args: dict[str, Any], dry_run: bool) -> Accepted:
    machine: Machine = turn.find("machine", name)
    check_way(turn, machine)
    if verb == "machine.boot":
        refuse_locked(machine)
    job = turn.begin(verb, "machine", machine.id, machine.name, budget_seconds=SHOT_SECONDS, phase="ordered")
    turn.put(replace(job, result=args))
    return Accepted(job=job.id, kind="machine", objects={machine.id: machine.name}, dry_run=dry_run)


def _order(turn: Turn, machine: Machine, body: MachinePower, verb: str) -> Job:
    refuse_locked(machine)
    if body.action != "on" and not body.force:
        check_host(turn, machine)
    if machine.job:
        _take_over(turn, machine, body.action)
    soft = body.grace_seconds if body.grace_seconds is not None else SOFT_SECONDS
    budget = POWER_SECONDS + (soft if body.action == "soft" else 0.0)
    job = turn.begin(verb, "machine", machine.id, machine.name, budget_seconds=budget, phase="ordered")
    machine = replace(turn.state.machines[machine.id], job=job.id)
    if verb not in ONE_SHOTS:
        machine = replace(
            machine,
            desired="on" if body.action == "on" else "off",
            generation=machine.generation + 1,
            soft_seconds=soft if body.action == "soft" else 0.0,
        )
    turn.put(machine)
    return job


def _take_over(turn: Turn, machine: Machine, action: str) -> None:
    """Cutting the power goes before all else; the rest waits for what is at work."""
    job = turn.state.jobs[machine.job]
    if action != "off" or job.verb not in ("machine.on", "machine.soft"):
        raise Refused(Code.LOCKED, f"{machine.name}: locked by {job.id} ({job.verb})", f"tjob-wait {job.id}")
    turn.end(job.id, JobState.CANCELLED, f"taken over by {turn.verb}")


def check_user(turn: Turn, machine: Machine) -> None:
    """Operators may, and whose it is now."""
    held = calendar.current(turn.state.reservations_of, machine.id, turn.now.wall)
    if not turn.sees_all() and (held is None or held.owner != turn.owner):
        why = calendar.who_has(held) if held is not None else "it is not reserved for you now"
        raise Refused(Code.DENIED, f"{machine.name}: {why}", f"zoni-reserve {machine.name}")


def check_way(turn: Turn, machine: Machine) -> None:
    if not machine.paths:
        hint = f"zoni-set {machine.name} --power PATH"
        raise Refused(Code.WRONG_STATE, f"{machine.name}: there is no way to its power", hint)
    if why := why_closed(turn, machine):
        hint = f"zoni-set {machine.name} --password-file FILE"
        raise Refused(Code.WRONG_STATE, f"{machine.name}: its passwords can't be read: {why}", hint)
    if not turn.state.zoniagents:
        raise Refused(Code.WRONG_STATE, f"{machine.name}: there is no zoni agent", "zoni-agents add NAME")
    agent = turn.state.zoniagents.get(agent_of(turn.state, machine))
    if agent is None:
        text = f"{machine.name}: no zoni agent is named for it, and there are several"
        raise Refused(Code.WRONG_STATE, text, f"zoni-set {machine.name} --agent AGENT")
    if why := metal_seen.why_silent(turn, agent.id):
        raise Refused(Code.UNAVAILABLE, f"{machine.name}: {why}", f"systemctl status zoni-agent, where {agent.name} is")


def check_host(turn: Turn, machine: Machine) -> None:
    """Raise Refused for a VM host with guests that are not known to be stopped: none is cut off by the way."""
    there = sorted(turn.state.vms[vm].name for vm in turn.state.vms_of_host.get(machine.host, ()))
    if machine.host and there:
        host = turn.host_name(machine.host)
        more = " and more" if len(there) > 5 else ""
        text = f"{machine.name}: the VM host {host} runs on it, which has {', '.join(there[:5])}{more}"
        raise Refused(Code.WRONG_STATE, text, f"thost-drain {host} first, or --force")


def shot_done(turn: Turn, job: Job, done: ShotDone) -> None:
    """An agent has done a one-shot, or can't say whether it did."""
    machine: Machine | None = turn.state.machines.get(job.target)
    if done.outcome == "done":
        if machine is not None and job.verb in ONE_SHOTS:
            turn.put(replace(machine, desired="on", generation=machine.generation + 1, soft_seconds=0.0))
        answer = done.result.get("answer", "")
        if len(answer) > ANSWER_MAX:
            turn.end(
                job.id, JobState.FAILED, f"its BMC answers with {len(answer)} characters, the limit is {ANSWER_MAX}"
            )
        else:
            turn.end(job.id, JobState.DONE, result={"answer": answer} if answer else None)
        return
    doubt = "it may have been done: " if done.outcome == "unknown" else ""
    turn.end(job.id, JobState.FAILED, f"{doubt}{done.reason}")


def cancel(turn: Turn, job: Job) -> None:
    """Nobody waits for it any more. What its agent has not begun yet is not begun."""
    machine: Machine | None = turn.state.machines.get(job.target)
    if machine is not None and machine.job == job.id and job.verb not in ONE_SHOTS:
        turn.put(replace(machine, desired="", generation=machine.generation + 1, soft_seconds=0.0))
    turn.end(job.id, JobState.CANCELLED, "no longer waited for; what was begun may still be done")


def budget_spent(turn: Turn, job: Job) -> None:
    """Its time is up: the agent goes on being asked, and the record says what is known."""
    machine: Machine | None = turn.state.machines.get(job.target)
    why = metal_seen.why_silent(turn, agent_of(turn.state, machine)) if machine is not None else ""
    turn.end(job.id, JobState.FAILED, f"{why or 'no outcome in its time'}; it is asked again")
