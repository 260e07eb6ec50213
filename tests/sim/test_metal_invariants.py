"""What is held against a zoni agent: every call that changes something counts, whichever device it is for."""

from __future__ import annotations

import pytest

from tashi.agent.events import Call, Steps
from tashi.sim.devices import Devices
from tashi.sim.metal_invariants import MetalInvariants
from tashi.sim.world import Violation, World
from tashi.wire.zoni import PortRows
from zoni.power import calls as power
from zoni.switch import calls as switch

VERBS = [(verb, known.changes) for table in (power.CALLS, switch.CALLS) for verb, known in table.items()]


@pytest.mark.parametrize(("verb", "changes"), VERBS)
def test_a_stale_message_may_have_looked_at_and_nothing_changed(verb: str, changes: bool) -> None:
    invariants = MetalInvariants(Devices(World(0), ()))
    steps = Steps([], [Call(1, verb, {}, 5.0)], [])
    if changes:
        with pytest.raises(Violation, match=f"I7 zoni does {verb}"):
            invariants.obeyed(PortRows(1, ()), True, steps)
    else:
        invariants.obeyed(PortRows(1, ()), True, steps)
