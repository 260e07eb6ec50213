"""Which order a zoni agent gets for a machine's ports. As with power it is derived from the record, never stored."""

from __future__ import annotations

from tashi.core import paths, switch_rules
from tashi.core.allocation import Order, order_of
from tashi.core.secrets import vault_of
from tashi.core.switch_calls import which
from tashi.core.trunks import on_the_way
from tashi.core.turn import Turn
from tashi.model.device import Switch
from tashi.model.machine import Machine
from tashi.wire.errors import TashiError
from tashi.wire.zoni import PortRow, SwitchPorts

CHANGE_SECONDS = 30.0  # that the change of one switch may take


def ordered(machine: Machine) -> Order | None:
    """The order about its ports that is not answered yet."""
    order = order_of(machine.allocation)
    return order if order is not None and order.ports else None


def row_of(turn: Turn, machine: Machine, order: Order) -> PortRow | None:
    """What its agent is told; None while the password of a switch can't be opened, and then its time runs out.

    What is opened is carried by the uplinks of its switches, and before that by the switches between.
    """
    domain = turn.state.domains.get(order.ports)
    ports: dict[str, list[str]] = {}
    if domain is not None:
        ports |= {switch.id: [] for switch in on_the_way(turn.state, machine)}
    for port in machine.ports:
        ports.setdefault(port.switch, []).append(port.port)
    try:
        switches = [_ports_of(turn, turn.state.switches[ident], names, order.ports) for ident, names in ports.items()]
    except TashiError:
        return None
    vlans = list(domain.vlans) if domain is not None else []
    name = domain.name if domain is not None else ""
    return PortRow(
        machine.id, order.generation, switches, vlans, name, CHANGE_SECONDS, switch_rules.owners_of(turn, vlans)
    )


def _ports_of(turn: Turn, switch: Switch, names: list[str], domain: str) -> SwitchPorts:
    path = paths.switch_path(turn.state, vault_of(turn), switch)
    there = [machine for machine in turn.machines_on(switch.id) if machine.allocation.domain == domain]
    members = [port.port for machine in there for port in machine.ports if port.switch == switch.id]
    return SwitchPorts(path, names, switch.id, list(switch.uplinks), members, which(switch).get("base_mac"))
