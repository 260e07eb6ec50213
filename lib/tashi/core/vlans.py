"""zoni-vlan and zoni-port: what they ask for, as one change of all the switches that it is about.

Here words become ports and switches, and records become what a port should be. What may be done to a switch is judged
in `tashi.core.switch_rules`, as of every other change.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from tashi.core.metal_power import check_host
from tashi.core.port_words import Spot, spots
from tashi.core.switch_change import order
from tashi.core.switch_rules import recorded
from tashi.core.trunks import BETWEEN, on_the_way
from tashi.core.turn import Turn
from tashi.model.device import Switch
from tashi.model.domain import Domain
from tashi.model.machine import Machine
from tashi.model.vlan import vlan_name
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted
from tashi.wire.switching import PortWant, SwitchChange, SwitchGoal
from tashi.wire.vlans import PortRestore, PortSet, VlanCreate, VlanDestroy


def create(turn: Turn, body: VlanCreate) -> Accepted:
    """VLANs on switches, and tagged on what joins those."""
    joins = PortWant(join=sorted(body.vlans))
    goals = [
        SwitchGoal(switch.id, vlans=body.vlans, ports=dict.fromkeys(switch.uplinks, joins))
        for switch in _switches(turn, body.switches)
    ]
    return order(turn, SwitchChange(goals, body.plan, body.dry_run))


def destroy(turn: Turn, body: VlanDestroy) -> Accepted:
    """VLANs that no port is in but uplinks, which leave them."""
    gone = sorted(set(body.vlans))
    goals = [SwitchGoal(switch.id, gone=gone) for switch in _switches(turn, body.switches)]
    return order(turn, SwitchChange(goals, body.plan, body.dry_run))


def set_ports(turn: Turn, body: PortSet) -> Accepted:
    """Ports as each was asked to be. Raises Refused for one that was asked to be two things."""
    asked: dict[str, tuple[Spot, PortWant]] = {}
    for change in body.changes:
        for spot in spots(turn, change.ports):
            if asked.setdefault(spot.text, (spot, change.want))[1] != change.want:
                raise Refused(Code.BAD_REQUEST, f"{spot.text}: it can't be two things at once")
    goals: dict[str, SwitchGoal] = {}
    for spot, want in asked.values():
        if want.on is False and spot.machine is not None and not body.force:
            check_host(turn, spot.machine)
        _add(goals, spot, want, {})
    return order(turn, SwitchChange(list(goals.values()), body.plan, body.dry_run))


def restore(turn: Turn, body: PortRestore) -> Accepted:
    """Ports as the records want them: in the VLANs of their domains, or closed and in none."""
    goals: dict[str, SwitchGoal] = {}
    for spot in spots(turn, body.ports):
        if spot.port in spot.switch.uplinks:
            names = {vlan: name for domain in _carried(turn, spot.switch) for vlan, name in _names(domain).items()}
            _add(goals, spot, PortWant(join=sorted(names), on=True), names)
        else:
            machine = _at_rest(turn, spot)
            native, tagged, on = recorded(turn, machine) if machine is not None else (0, (), False)
            domain = turn.state.domains.get(machine.allocation.domain) if machine is not None else None
            names = _names(domain) if domain is not None else {}
            _add(goals, spot, PortWant(native, list(tagged), on), names)
    return order(turn, SwitchChange(list(goals.values()), body.plan, body.dry_run), restoring=True)


def _add(goals: dict[str, SwitchGoal], spot: Spot, want: PortWant, vlans: dict[int, str]) -> None:
    """To what shall be on the port's switch."""
    goal = goals.get(spot.switch.id, SwitchGoal(spot.switch.id))
    ports = goal.ports | {spot.port: want}
    goals[spot.switch.id] = replace(goal, vlans=goal.vlans | vlans, ports=ports)


def _names(domain: Domain) -> dict[int, str]:
    return dict.fromkeys(domain.vlans, vlan_name(domain.name))


def _carried(turn: Turn, switch: Switch) -> list[Domain]:
    """The domains that go over the uplinks of a switch: of machines on it, and of those that it is on the way to."""

    def goes_over(machine: Machine) -> bool:
        own = any(port.switch == switch.id for port in machine.ports)
        return own or (len(switch.uplinks) >= BETWEEN and switch in on_the_way(turn.state, machine))

    def is_there(domain: Domain) -> bool:
        return any(goes_over(each) for each in turn.machines_on(domain.id) if each.allocation.domain == domain.id)

    return [domain for domain in turn.state.domains.values() if is_there(domain)]


def _at_rest(turn: Turn, spot: Spot) -> Machine | None:
    """The machine on a port, if there is one. Raises Refused where the records don't say what the port should be."""
    machine = spot.machine
    if machine is not None and machine.host:
        text = f"{spot.text}: the VM host {turn.host_name(machine.host)} runs on {machine.name}, in no domain"
        raise Refused(Code.WRONG_STATE, text, f"zoni-vlan native VLAN {spot.text}")
    if machine is not None and machine.allocation.transfer is not None:
        text = f"{spot.text}: {machine.name} is on its way into a domain, or out of it"
        raise Refused(Code.LOCKED, text, f"zoni-why {machine.name}")
    return machine


def _switches(turn: Turn, names: Iterable[str]) -> list[Switch]:
    """Those named, each once, or all."""
    found: dict[str, Switch] = {switch.id: switch for switch in (turn.find("switch", name) for name in names)}
    found = found or dict(turn.state.switches)
    if not found:
        raise Refused(Code.WRONG_STATE, "there is no switch", "zoni-switch add NAME")
    return list(found.values())
