"""Which order a zoni agent gets for a machine's ports. As with power it is derived from the record, never stored."""

from __future__ import annotations

from tashi.core import paths
from tashi.core.allocation import Order, order_of
from tashi.core.secrets import vault_of
from tashi.core.turn import Turn
from tashi.model.machine import Machine
from tashi.wire.zoni import PortRow, SwitchPorts

CHANGE_SECONDS = 30.0  # that the change of one switch may take


def ordered(machine: Machine) -> Order | None:
    """The order about its ports that is not answered yet."""
    order = order_of(machine.allocation)
    return order if order is not None and order.ports else None


def row_of(turn: Turn, machine: Machine, order: Order) -> PortRow:
    """What its agent is told. Raises Refused for a password that can't be opened."""
    domain = turn.state.domains.get(order.ports)
    ports: dict[str, list[str]] = {}
    for port in machine.ports:
        ports.setdefault(port.switch, []).append(port.port)
    state, vault = turn.state, vault_of(turn)
    there = {each: paths.switch_path(state, vault, state.switches[each]) for each in ports}
    switches = [SwitchPorts(there[each], names) for each, names in ports.items()]
    vlans = list(domain.vlans) if domain is not None else []
    name = domain.name if domain is not None else ""
    return PortRow(machine.id, order.generation, switches, vlans, name, CHANGE_SECONDS)
