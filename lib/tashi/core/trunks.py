"""Which switches carry the VLANs of a domain to a machine: its own, and those between switches.

There is no map of cables: a switch with two uplinks or more may be on the way, and carries every domain. A VLAN on an
uplink too many lets frames through that nobody at the other end takes; one too few cuts a domain in two.
"""

from __future__ import annotations

from tashi.core.state import State
from tashi.core.zoniagents import agent_of
from tashi.model.device import Switch
from tashi.model.machine import Machine

BETWEEN = 2  # uplinks of a switch that others hang on


def on_the_way(state: State, machine: Machine) -> list[Switch]:
    """The switches between, in the order of their ids; none where no switch of the machine has an uplink."""
    own = {port.switch for port in machine.ports}
    if not any(state.switches[each].uplinks for each in own):
        return []
    agent = agent_of(state, machine)
    others = (state.switches[each] for each in state.ordered("switch") if each not in own)
    return [each for each in others if len(each.uplinks) >= BETWEEN and agent_of(state, each) == agent]
