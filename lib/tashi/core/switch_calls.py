"""What is asked of a switch itself: operations whose answers its zoni agent sends.

A question may be asked again and again, what changes something is done at most once. Either is answered, or has failed,
when its time is up.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from tashi.core import metal_seen, paths
from tashi.core.metal_power import ANSWER_MAX
from tashi.core.secrets import vault_of
from tashi.core.switch_rules import owner_of, rules_of
from tashi.core.turn import Turn
from tashi.core.zoniagents import agent_of
from tashi.model.device import Switch
from tashi.model.job import Job, JobState
from tashi.wire.agents import ShotDone
from tashi.wire.errors import Code, Refused, TashiError
from tashi.wire.messages import Accepted, Named
from tashi.wire.zoni import SwitchShot

CALL_SECONDS = 30.0  # that the switch may take, and taking back a little more
ASK_SECONDS = 90.0  # with all that waits for its turn before it
CHANGE_SECONDS = 150.0  # of a change of one switch, likewise, and taking back
CALL, ARGS = "call", "args"  # what an operation keeps of what its agent is asked: the call, and as JSON its arguments
TAKE_BACK = "switch.take-back"  # an operation that undoes what another has changed
TELL_WHICH = ("snmp", "fake")  # drivers of devices; a bridge of the agent's own machine is known by its name


def ask(turn: Turn, body: Named) -> Accepted:
    """Have its agent put the call to it that the verb of this turn names: look, macs, neighbours, probe or save."""
    switch: Switch = turn.find("switch", body.name)
    check_way(turn, switch)
    job = turn.begin(turn.verb, "switch", switch.id, switch.name, budget_seconds=ASK_SECONDS, phase="ordered")
    turn.put(replace(job, result={CALL: turn.verb.removeprefix("switch."), ARGS: "{}"}))
    return Accepted(job=job.id, kind="switch", objects={switch.id: switch.name}, dry_run=body.dry_run)


def which(switch: Switch) -> dict[str, str]:
    """Which switch it has to be, as an argument of its call; an empty address is any, and is told."""
    return {"base_mac": switch.base_mac} if switch.driver in TELL_WHICH else {}


def learn(turn: Turn, ident: str, base_mac: str) -> None:
    """The first address that a switch tells is its own from then on."""
    switch: Switch | None = turn.state.switches.get(ident)
    if switch is not None and base_mac and not switch.base_mac and switch.driver in TELL_WHICH:
        turn.verb = "switch.identity"
        turn.put(replace(switch, base_mac=base_mac))


def text_of(value: Any) -> str:
    """What an operation keeps of a value."""
    return msgspec.json.encode(value).decode()


def refuse_at_work(turn: Turn, switch: Switch) -> None:
    """Raise Refused while an operation changes it."""
    if switch.job:
        verb = turn.state.jobs[switch.job].verb
        raise Refused(Code.LOCKED, f"{switch.name}: locked by {switch.job} ({verb})", f"tjob-wait {switch.job}")


def check_passwords(turn: Turn, switch: Switch) -> None:
    """Raise Refused for those that can't be opened."""
    try:
        paths.switch_path(turn.state, vault_of(turn), switch)
    except TashiError as error:
        hint = f"zoni-switch set {switch.name} --auth-file FILE --privacy-file FILE"
        text = f"{switch.name}: its passwords can't be read: {error.text}"
        raise Refused(Code.WRONG_STATE, text, hint) from None


def check_way(turn: Turn, switch: Switch) -> None:
    """Raise Refused where nobody could carry it out now."""
    check_passwords(turn, switch)
    if not turn.state.zoniagents:
        raise Refused(Code.WRONG_STATE, f"{switch.name}: there is no zoni agent", "zoni-agents add NAME")
    agent = turn.state.zoniagents.get(agent_of(turn.state, switch))
    if agent is None:
        text = f"{switch.name}: no zoni agent is named for it, and there are several"
        raise Refused(Code.WRONG_STATE, text, f"zoni-switch set {switch.name} --agent AGENT")
    if why := metal_seen.why_silent(turn, agent.id):
        raise Refused(Code.UNAVAILABLE, f"{switch.name}: {why}", f"systemctl status zoni-agent, where {agent.name} is")


# -- the zoni agent --------------------------------------------------------------------------------------------------
def shot_owed(turn: Turn, job: Job) -> tuple[str, SwitchShot] | None:
    """(agent, what it is to do) that this operation waits for, or None."""
    switch = turn.state.switches.get(job.target)
    if CALL not in job.result or switch is None:
        return None
    try:
        path = paths.switch_path(turn.state, vault_of(turn), switch)
    except TashiError:  # whoever begins one is told; see `check_way`
        return None
    call: Any = job.result[CALL]
    args = msgspec.json.decode(str(job.result[ARGS]))
    if "goal" in args:  # whose a VLAN is may have changed since it was asked for
        if job.verb == TAKE_BACK:  # what was made stays where it has become a domain's
            args["goal"]["gone"] = [vlan for vlan in args["goal"]["gone"] if not owner_of(turn, vlan)]
        args["rules"] = args.get("rules", {}) | rules_of(turn, switch, args["goal"])
    return agent_of(turn.state, switch), SwitchShot(0, job.id, call, path, CALL_SECONDS, args)


def shot_done(turn: Turn, job: Job, done: ShotDone) -> None:
    """Its agent has answered, or can't say whether it was done."""
    if done.outcome != "done":
        doubt = "it may have been done: " if done.outcome == "unknown" else ""
        turn.end(job.id, JobState.FAILED, f"{doubt}{done.reason}")
        return
    answer = done.result.get("answer", "")
    if len(answer) > ANSWER_MAX:
        text = f"{job.name} answers with {len(answer)} characters, the limit is {ANSWER_MAX}"
        turn.end(job.id, JobState.FAILED, text)
        return
    turn.end(job.id, JobState.DONE, result={"answer": answer})


def budget_spent(turn: Turn, job: Job) -> None:
    """Nobody has answered in time."""
    switch = turn.state.switches.get(job.target)
    why = metal_seen.why_silent(turn, agent_of(turn.state, switch)) if switch is not None else ""
    turn.end(job.id, JobState.FAILED, why or "no answer in its time")
