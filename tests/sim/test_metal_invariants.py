"""What is held against a controller and its zoni agent: all that is asked counts, whichever device it is for."""

from __future__ import annotations

import pytest

from tashi.agent.events import Call, Steps
from tashi.sim.devices import Devices
from tashi.sim.metal_invariants import MetalInvariants
from tashi.sim.world import Violation, World
from tashi.wire.zoni import ConsoleShot, MetalShot, PortRows, SwitchShot
from zoni.power import calls as power
from zoni.switch import calls as switch

VERBS = [(verb, known.changes) for table in (power.CALLS, switch.CALLS) for verb, known in table.items()]


@pytest.mark.parametrize(("verb", "changes"), VERBS)
def test_a_stale_message_may_have_looked_at_and_nothing_changed(verb: str, changes: bool) -> None:
    invariants = MetalInvariants(Devices(World(0), ()))
    steps = Steps([], [Call(1, verb, {}, 5.0)], [])
    if changes:
        with pytest.raises(Violation, match=f"I7 zoni does {verb}"):
            invariants.obeyed(PortRows(1, []), True, steps)
    else:
        invariants.obeyed(PortRows(1, []), True, steps)


SHOTS = [
    MetalShot(1, "j-5", "cycle", "m-1"),
    SwitchShot(1, "j-5", "save", {}),
    ConsoleShot(1, "j-5", "open", "m-1"),
]


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: type(shot).__name__)
def test_nothing_is_asked_for_a_job_that_is_not_stored(shot: MetalShot | SwitchShot | ConsoleShot) -> None:
    invariants = MetalInvariants(Devices(World(0), ()))
    invariants.tables = {"job": {"j-5": b"{}"}, "done": {}}
    invariants.order_leaves(shot, 1)
    invariants.tables = {"job": {}, "done": {}}
    with pytest.raises(Violation, match=f"I1 zoni is told to do {shot.action} for j-5, which is not stored"):
        invariants.order_leaves(shot, 1)


@pytest.mark.parametrize("shot", SHOTS[:2], ids=lambda shot: type(shot).__name__)
def test_what_is_done_for_a_job_is_done_once(shot: MetalShot | SwitchShot) -> None:
    invariants = MetalInvariants(Devices(World(0), ()))
    invariants.obeyed(shot, False, Steps([], [Call(1, "look", {}, 5.0)], []))
    steps = Steps([], [Call(2, shot.action, {}, 5.0)], [])
    invariants.obeyed(shot, False, steps)
    with pytest.raises(Violation, match=f"I7 zoni does {shot.action} for j-5 a second time"):
        invariants.obeyed(shot, False, steps)
