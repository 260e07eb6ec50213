"""What a domain leaves behind: its VLANs, on uplinks and on switches, which go when it is removed.

Of a domain that no switch was told of there is nothing. Else each switch is cleared by itself, and nothing is taken
back: a dead one keeps nobody waiting, and is told with the way out. Only VLANs that are called as the domain was are
its own; one that a port still is in stays, and that is told. Until it is over the numbers are nobody
else's, lest a new domain's VLANs be taken for the old one's.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec.structs import replace

from tashi.core.switch_calls import ARGS, CALL, CHANGE_SECONDS, check_way, text_of, which
from tashi.core.switch_rules import GOING
from tashi.core.turn import Turn
from tashi.model.device import Switch
from tashi.model.domain import Domain
from tashi.model.job import Job, JobState
from tashi.model.shorten import shorten
from tashi.model.vlan import vlan_name, vlans_text
from tashi.wire.errors import Refused

CLEAR = "switch.clear"
NAMED = 5  # of many failures so many are told
FAILURES, ANSWERS = "failures", "answers"  # what the operation keeps, as JSON


def begin(turn: Turn, domain: Domain) -> Job:
    """The operation, with a part for each switch. It is over at once where there are none to be asked."""
    switches = [] if domain.untold else list(turn.state.switches.values())
    head = turn.begin(
        "domain.remove", "domain", "", domain.name, children=len(switches), phase="clearing" if switches else ""
    )
    turn.put(replace(head, result={GOING: text_of(domain.vlans), FAILURES: "{}", ANSWERS: "{}"}))
    parts = [_part(turn, head, domain, switch) for switch in switches]
    for switch, part in zip(switches, parts, strict=True):
        try:
            check_way(turn, switch)
        except Refused as refused:
            why = refused.text.removeprefix(f"{switch.name}: ")
            turn.end(part.id, JobState.FAILED, why)
            heard(turn, head.id, switch.name, why, None)
    if not switches:
        turn.end(head.id, JobState.DONE)
    return head


def _part(turn: Turn, head: Job, domain: Domain, switch: Switch) -> Job:
    part = turn.begin(
        CLEAR, "switch", switch.id, switch.name, parent=head.id, budget_seconds=CHANGE_SECONDS, phase="ordered"
    )
    args = {"goal": {"gone": list(domain.vlans)}, "rules": {"called": vlan_name(domain.name)}} | which(switch)
    turn.put(replace(part, result={CALL: "change", ARGS: text_of(args)}))
    return part


def heard(turn: Turn, head_id: str, switch: str, why: str, answer: Any) -> None:
    """A switch is cleared (``why`` is empty), or is not. With the last of them it is over."""
    head = turn.state.jobs[head_id]
    key, value = (FAILURES, why) if why else (ANSWERS, answer)
    known = msgspec.json.decode(str(head.result[key])) | {switch: value}
    head = turn.put(replace(head, result=head.result | {key: text_of(known)}))
    if head.open_children:
        return
    failures = msgspec.json.decode(str(head.result[FAILURES]))
    told = [f"{name}: {reason}" for name, reason in failures.items()]
    vlans = vlans_text(msgspec.json.decode(str(head.result[GOING])))
    more = [f"and {len(told) - NAMED} more"] if len(told) > NAMED else []
    where = "".join(f" --switch {name}" for name in failures) if len(told) <= NAMED else ""
    way_out = f"{head.name} is removed, its VLANs {vlans} may be there still: zoni-vlan destroy {vlans}{where}"
    reason = "; ".join([*told[:NAMED], *more, way_out]) if told else ""
    state = JobState.FAILED if told else JobState.DONE
    turn.end(head.id, state, shorten(reason, 2000), result={"answer": str(head.result[ANSWERS])})
