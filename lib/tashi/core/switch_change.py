"""VLANs and ports of switches are changed: one operation, in which all switches are, or none.

Theory. Switches are changed one after the other, each by its own part. A switch that fails has changed nothing, or its
agent tells what became of it; those before it are then taken back, in reverse order, by what their answers tell leads
back: relative to what is there by then, so that what others did meanwhile stays. Until it is over the switches are
nobody else's to change, and the machines whose ports are moved nobody's to hand out. A plan asks each switch what it
would take, and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from tashi.core import clearing, metal_seen
from tashi.core.switch_calls import (
    ARGS,
    CALL,
    CHANGE_SECONDS,
    TAKE_BACK,
    check_way,
    learn,
    refuse_at_work,
    text_of,
    which,
)
from tashi.core.switch_rules import is_label, machine_on, refuse_wrong, tell, vlans_of
from tashi.core.turn import HELD, Turn
from tashi.core.zoniagents import agent_of
from tashi.model.device import Switch
from tashi.model.job import Job, JobState
from tashi.model.machine import Machine
from tashi.model.shorten import shorten
from tashi.wire.agents import ShotDone
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted
from tashi.wire.switching import PortWant, SwitchChange, SwitchGoal

PLAN = "switch.plan"
REST, ANSWERS, FAILED = "rest", "answers", "failed"  # what the operation keeps, as JSON
BACK = "taking back"


def change(turn: Turn, body: SwitchChange) -> Accepted:
    """zoni-vlan and zoni-port, in one body."""
    return order(turn, body)


def order(turn: Turn, body: SwitchChange, *, restoring: bool = False) -> Accepted:
    """Begin it, for the verb of this turn. ``restoring``: ports may be put to what the records say of their machines.

    Raises Refused for what must not be, before anything is sent.
    """
    wishes, plan = body.changes, body.plan
    switches = _switches(turn, wishes)
    for switch, wish in zip(switches, wishes, strict=True):
        if not plan:
            refuse_at_work(turn, switch)
        refuse_wrong(turn, switch, wish, restoring)
        check_way(turn, switch)
    verb, name = PLAN if plan else turn.verb, switches[0].name
    many = len(switches) - 1
    head = turn.begin(
        verb, "switch", "" if many else switches[0].id, f"{name} and {many} more" if many else name,
        phase="planning" if plan else "changing", children=len(switches) if many else 0,
        budget_seconds=0.0 if many else CHANGE_SECONDS,
    )  # fmt: skip
    call = "plan" if plan else "change"
    rest = [(switch.id, _args(switch, wish)) for switch, wish in zip(switches, wishes, strict=True)]
    held = [] if plan else _hold(turn, head, switches, wishes)
    kept = {CALL: call, HELD: " ".join(held), ANSWERS: "{}"}
    if many:
        turn.put(replace(head, result=kept | {REST: text_of(rest)}))
        _next(turn, head.id)
    else:
        turn.put(replace(head, result=kept | {ARGS: text_of(rest[0][1])}))
    objects = {switch.id: switch.name for switch in switches}
    return Accepted(job=head.id, kind="switch", objects=objects, dry_run=body.dry_run)


def _switches(turn: Turn, wishes: Sequence[SwitchGoal]) -> list[Switch]:
    found: list[Switch] = [turn.find("switch", wish.switch) for wish in wishes]
    for at, switch in enumerate(found):
        if switch in found[:at]:
            raise Refused(Code.BAD_REQUEST, f"{switch.name}: it is there twice")
    return found


def _args(switch: Switch, wish: SwitchGoal) -> dict[str, Any]:
    goal = {"vlans": wish.vlans, "gone": wish.gone, "ports": msgspec.to_builtins(wish.ports)}
    return {"goal": goal} | which(switch)


def _hold(turn: Turn, head: Job, switches: Sequence[Switch], wishes: Sequence[SwitchGoal]) -> list[str]:
    """Nobody else changes these, and hands these machines out, until the operation is over.

    The domains whose VLANs they get may leave something there from now on.
    """
    machines: dict[str, Machine] = {}
    for switch, wish in zip(switches, wishes, strict=True):
        turn.put(replace(switch, job=head.id))
        tell(turn, vlans_of(wish))
        there = [machine_on(turn, switch, port) for port, each in wish.ports.items() if not is_label(each)]
        machines |= {each.id: each for each in there if each is not None}
    for machine in machines.values():
        turn.put(replace(machine, job=head.id))
    return [*(switch.id for switch in switches), *machines]


# -- what follows ----------------------------------------------------------------------------------------------------
class PortBack(PortWant, frozen=True):
    """As people say it, but for a label, which may be any word of the switch's."""

    label: str | None = None


class Back(Struct, frozen=True, omit_defaults=True):
    """The goal that takes a change of one switch back."""

    vlans: dict[int, str] = {}
    gone: list[int] = []
    ports: dict[str, PortBack] = {}


class Changed(Struct, frozen=True, omit_defaults=True):
    """What an agent answers when one switch was changed."""

    steps: list[str]
    ports: dict[str, Any]
    changed: bool
    back: Back
    base_mac: str = ""


def shot_done(turn: Turn, job: Job, done: ShotDone) -> None:
    """The agent has said how one switch went."""
    if done.outcome != "done":
        doubt = "it may have been done: " if done.outcome == "unknown" else ""
        _failed(turn, job, f"{doubt}{done.reason}")
        return
    try:
        answer = msgspec.json.decode(done.result.get("answer", ""), type=SHAPES[str(job.result[CALL])])
    except msgspec.DecodeError as error:
        _failed(turn, job, f"{_doubt(job)}the zoni agent's answer can't be read: {error}")
        return
    if isinstance(answer, Changed):
        learn(turn, job.target, answer.base_mac)
    told = msgspec.to_builtins(answer)
    if not job.parent:
        _end(turn, job, JobState.DONE, "", {job.target: told})
        return
    turn.end(job.id, JobState.DONE, result={"answer": text_of({job.name: told})})
    head = turn.state.jobs.get(job.parent)
    if head is not None and head.kind == "domain":
        clearing.heard(turn, head.id, job.name, "", told)
        return
    if head is not None and head.phase != BACK:
        answers = _read(head, ANSWERS) | {job.target: told}
        turn.put(replace(head, result=head.result | {ANSWERS: text_of(answers)}))
    _next(turn, job.parent)


def budget_spent(turn: Turn, job: Job) -> None:
    """Nobody has answered in time."""
    switch = turn.state.switches.get(job.target)
    why = metal_seen.why_silent(turn, agent_of(turn.state, switch)) if switch is not None else "it is no more"
    _failed(turn, job, f"{_doubt(job)}{why or 'no answer in its time'}")


def _doubt(job: Job) -> str:
    return "" if job.result[CALL] == "plan" else "it may have been done: "


def removed(turn: Turn, switch: Switch) -> None:
    """Nobody answers any more for what is being asked of it."""
    for job in [each for each in turn.state.jobs.values() if each.kind == "switch" and each.target == switch.id]:
        if job.result[CALL] in SHAPES:
            _failed(turn, job, "the switch was removed")
        else:
            turn.end(job.id, JobState.FAILED, "the switch was removed")


def _failed(turn: Turn, job: Job, why: str) -> None:
    if not job.parent:
        _end(turn, job, JobState.FAILED, why, {})
        return
    turn.end(job.id, JobState.FAILED, why)
    head = turn.state.jobs.get(job.parent)
    if head is None:
        return
    if head.kind == "domain":
        clearing.heard(turn, head.id, job.name, why, None)
        return
    told = f"{job.name}: {why}"
    if head.phase == BACK:
        told = f"{head.reason}; not taken back: {told}"
        turn.put(replace(head, reason=shorten(told, 1000), result=head.result | {FAILED: 1}))
    else:
        _take_back(turn, replace(head, reason=told))
    _next(turn, job.parent)


def _take_back(turn: Turn, head: Job) -> None:
    """From here on the way leads back, over those that were changed, the last one first."""
    rest = []
    for ident, answer in reversed(_read(head, ANSWERS).items()):
        switch = turn.state.switches.get(ident)
        if head.result[CALL] == "change" and answer["changed"] and switch is not None:
            back = msgspec.convert(answer["back"], Back, str_keys=True)
            rest.append((ident, _args(switch, SwitchGoal(ident, back.vlans, back.gone, {**back.ports}))))
    turn.put(
        replace(
            head,
            phase=BACK,
            result=head.result | {REST: text_of(rest)},
            children=head.children + len(rest),
            open_children=head.open_children + len(rest),
        )
    )


def _next(turn: Turn, head_id: str) -> None:
    """Begin the next part; without one it is over."""
    head = turn.state.jobs.get(head_id)
    if head is None:
        return
    rest = [each for each in _read(head, REST) if each[0] in turn.state.switches]
    back = head.phase == BACK
    if not rest:
        answers = _read(head, ANSWERS)
        if not back:
            _end(turn, head, JobState.DONE, "", answers)
        else:
            taken = "; all else is as it was" if head.result[HELD] and not head.result.get(FAILED) else ""
            _end(turn, head, JobState.FAILED, f"{head.reason}{taken}", {})
        return
    (ident, args), rest = rest[0], rest[1:]
    turn.put(replace(head, result=head.result | {REST: text_of(rest)}))
    switch = turn.state.switches[ident]
    verb = TAKE_BACK if back else head.verb
    part = turn.begin(
        verb, "switch", switch.id, switch.name, owner=head.owner, parent=head.id, budget_seconds=CHANGE_SECONDS,
        phase="ordered",
    )  # fmt: skip
    call = {CALL: head.result[CALL], ARGS: text_of(args)}
    turn.put(replace(turn.state.jobs[part.id], result=call))


def _end(turn: Turn, head: Job, state: JobState, reason: str, answers: dict[str, Any]) -> None:
    """``answers`` by the ids of their switches, told by names."""
    switches = turn.state.switches
    by_name = {switches[ident].name if ident in switches else ident: answer for ident, answer in answers.items()}
    turn.end(head.id, state, shorten(reason, 2000), result={"answer": text_of(by_name)})


def _read(job: Job, key: str) -> Any:
    return msgspec.json.decode(str(job.result.get(key, "null")))


SHAPES: dict[str, Any] = {"change": Changed, "plan": list[dict[str, str]]}
