"""What goes with a goal without being said, and the goal that takes a change back. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from zoni.switch import steps
from zoni.switch.interface import Capability, Port, State
from zoni.switch.plan import Goal, Planned, Rules, Want


def completed(state: State, goal: Goal, rules: Rules, capabilities: frozenset[Capability]) -> Goal:
    """With what follows from it: VLANs that go leave the uplinks first, and those that are called otherwise stay.

    An uplink that carries every VLAN, because nobody has set it up, goes on so: to name some would take away the rest.
    """
    gone = tuple(vlan for vlan in goal.gone if _is_meant(state, vlan, rules, capabilities))
    ports = dict(goal.ports)
    for name in rules.uplinks:
        left = [vlan for vlan in gone if name in state.ports and vlan in state.ports[name].tagged]
        if left:
            want = ports.get(name, Want())
            ports[name] = replace(want, leave=tuple(dict.fromkeys((*want.leave, *left))))
    for name in rules.uplinks:
        if name in ports and name in state.ports and carries_all(state.ports[name], capabilities):
            want = replace(ports.pop(name), join=(), leave=())
            ports |= {name: want} if want != Want() else {}
    return replace(goal, gone=gone, ports=ports)


def carries_all(port: Port, capabilities: frozenset[Capability]) -> bool:
    """Whether it is in no VLAN and drops none, where VLANs are there without being made: an OVS port at first."""
    unset = not (port.filters or port.native or port.untagged or port.tagged)
    return unset and Capability.VLANS not in capabilities


def _is_meant(state: State, vlan: int, rules: Rules, capabilities: frozenset[Capability]) -> bool:
    there = vlan in state.vlans and Capability.VLANS in capabilities
    return not (rules.called and there and state.vlans[vlan] != rules.called)


def way_back(before: State, after: State, planned: Sequence[Planned]) -> Goal:
    """What leads from ``after`` to ``before`` for all that these steps touch, and leaves alone what others did to it.

    A port comes back untagged in its native VLAN and in no other, whatever it was in.
    """
    made = [each.step.vlan for each in planned if isinstance(each.step, steps.Create)]
    lost = {each.step.vlan: before.vlans[each.step.vlan] for each in planned if isinstance(each.step, steps.Destroy)}
    touched = sorted({each.step.port for each in planned if isinstance(each.step, steps.PortStep)})
    return Goal(lost, tuple(made), {name: _back(before.ports[name], after.ports[name]) for name in touched})


def _back(before: Port, after: Port) -> Want:
    moved = (before.native, before.untagged) != (after.native, after.untagged)
    return Want(
        native=before.native if moved else None,
        on=before.on,
        label=before.label if before.label != after.label else None,
        join=tuple(vlan for vlan in before.tagged if vlan not in after.tagged),
        leave=tuple(vlan for vlan in after.tagged if vlan not in before.tagged),
    )
