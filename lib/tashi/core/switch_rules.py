"""What may be asked of the ports and VLANs of a switch, and what goes with each change so that its agent judges, too.

A VLAN of a domain is on ports of machines in that domain, and on uplinks; who opens and closes the former is
`tashi.core.handover` and nobody else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from tashi.core.machines import refuse_locked
from tashi.core.turn import Turn
from tashi.model.device import Switch
from tashi.model.machine import Machine
from tashi.model.vlan import DEFAULT, check_number, vlan_name
from tashi.wire.errors import Code, Refused
from tashi.wire.switching import PortWant, SwitchGoal

GOING = "going"  # where an operation keeps the VLANs that it takes off the switches, as JSON


def refuse_wrong(turn: Turn, switch: Switch, wish: SwitchGoal, restoring: bool = False) -> None:
    """Raise Refused for what must not be. ``restoring``: a machine's ports may be put to what its record says."""
    for vlan in (*wish.vlans, *wish.gone):
        _refuse_number(switch.name, vlan)
    for vlan, name in wish.vlans.items():
        refuse_going(turn, switch.name, vlan)
        owner = owner_of(turn, vlan)
        if owner and vlan_name(owner) != name:
            hint = f"zoni-domain show {owner}"
            raise Refused(Code.CONFLICT, f"{switch.name}: VLAN {vlan} is in domain {owner}", hint)
    for vlan in wish.gone:
        if vlan == DEFAULT or vlan in wish.vlans:
            raise Refused(Code.IMPOSSIBLE, f"{switch.name}: VLAN {vlan} can't be destroyed")
        if owner := owner_of(turn, vlan):
            text = f"{switch.name}: VLAN {vlan} is in domain {owner}"
            raise Refused(Code.CONFLICT, text, f"zoni-domain remove {owner}")
    for port, wanted in wish.ports.items():
        _refuse_port(turn, switch, port, wanted, restoring)


def _refuse_port(turn: Turn, switch: Switch, port: str, wish: PortWant, restoring: bool) -> None:
    name, machine = f"{switch.name}:{port}", machine_on(turn, switch, port)
    wanted = _wanted(wish)
    for vlan in (*wanted, *wish.leave):
        _refuse_number(name, vlan)
    if both := {wish.native} & {*(wish.tagged or ()), *wish.join}:
        raise Refused(Code.BAD_REQUEST, f"{name}: VLAN {min(filter(None, both))} can't be native and tagged")
    if port in switch.uplinks and wish.on is False:
        text = f"{name}: it is an uplink, and would have to be closed"
        raise Refused(Code.WRONG_STATE, text, f"zoni-switch set {switch.name} --uplink PORT..., without it")
    restored = restoring and machine is not None and _is_recorded(turn, machine, wish)
    if machine is not None:
        _refuse_of_machine(turn, name, machine, wish, restored)
    for vlan in wanted:
        owner = owner_of(turn, vlan)
        if owner and port not in switch.uplinks and not restored:
            text = f"{name}: VLAN {vlan} is in domain {owner}, whose machines alone are in it"
            raise Refused(Code.CONFLICT, text, f"zoni-allocate --domain {owner} MACHINE")


def _refuse_of_machine(turn: Turn, name: str, machine: Machine, wish: PortWant, restored: bool) -> None:
    refuse_locked(machine)
    if is_label(wish):
        return
    if machine.job:
        verb = turn.state.jobs[machine.job].verb
        text = f"{name}: {machine.name} is locked by {machine.job} ({verb})"
        raise Refused(Code.LOCKED, text, f"tjob-wait {machine.job}")
    if machine.allocation.is_away and not restored:
        text = f"{name}: {machine.name} is in a domain, or on its way: of its ports only the label can be changed"
        raise Refused(Code.WRONG_STATE, text, f"zoni-release {machine.name}")


def _is_recorded(turn: Turn, machine: Machine, wish: PortWant) -> bool:
    """Whether this is what the records want of its ports: one at rest is in the VLANs of its domain, or closed."""
    if machine.allocation.transfer is not None or wish.join or wish.leave:
        return False
    native, tagged, on = recorded(turn, machine)
    return (wish.native, tuple(wish.tagged or ()), wish.on) == (native, tagged, on) and wish.tagged is not None


def recorded(turn: Turn, machine: Machine) -> tuple[int, tuple[int, ...], bool]:
    """(native, tagged, on) that the records want of all ports of a machine at rest."""
    domain = turn.state.domains.get(machine.allocation.domain)
    return (domain.vlans[0], tuple(domain.vlans[1:]), True) if domain is not None else (0, (), False)


def is_label(wish: PortWant) -> bool:
    """Whether nothing but its label is to be changed."""
    return (wish.native, wish.tagged, wish.on) == (None, None, None) and not wish.join and not wish.leave


def machine_on(turn: Turn, switch: Switch, port: str) -> Machine | None:
    """The machine that is plugged in there."""
    return turn.state.machines.get(turn.state.machine_of.get(("port", f"{switch.id}:{port}"), ""))


def owner_of(turn: Turn, vlan: int) -> str:
    """The name of the domain that has this VLAN; empty when none has."""
    domain = turn.state.domains.get(turn.state.domain_of_vlan.get(vlan, ""))
    return domain.name if domain is not None else ""


def rules_of(turn: Turn, switch: Switch, goal: Mapping[str, Any]) -> dict[str, Any]:
    """What the driver's call has to keep to: whose the VLANs are, and the machines on the ports, and what is an uplink.

    It is for nobody: a domain's VLANs are reached on ports of its machines and on uplinks alone.
    """
    ports = goal.get("ports", {})
    machines = {port: machine_on(turn, switch, port) for port in ports}
    domains = {port: turn.state.domains.get(each.allocation.domain) for port, each in machines.items() if each}
    vlans = {*map(int, goal.get("vlans", ())), *goal.get("gone", ())}
    for want in ports.values():
        vlans |= {want.get("native") or 0, *(want.get("tagged") or ()), *want.get("join", ())}
    return {
        "domains": owners_of(turn, vlans),
        "ports": {port: vlan_name(domain.name) for port, domain in domains.items() if domain is not None},
        "uplinks": list(switch.uplinks),
    }


def owners_of(turn: Turn, vlans: Iterable[int]) -> dict[str, str]:
    """Whose each of these VLANs is, by what the VLANs of a domain are called; nobody's are left out."""
    return {str(vlan): vlan_name(owner) for vlan in vlans if (owner := owner_of(turn, vlan))}


def tell(turn: Turn, vlans: Iterable[int]) -> None:
    """Switches are about to hear of these: of the domains that have them something may be left from now on."""
    for ident in dict.fromkeys(turn.state.domain_of_vlan.get(vlan, "") for vlan in vlans):
        domain = turn.state.domains.get(ident)
        if domain is not None and domain.untold:
            turn.put(replace(domain, untold=False))


def vlans_of(wish: SwitchGoal) -> set[int]:
    """The VLANs that a switch has, or ports of it are in, when it is so."""
    return {*wish.vlans, *(vlan for port in wish.ports.values() for vlan in _wanted(port))}


def _wanted(wish: PortWant) -> list[int]:
    return [*([wish.native] if wish.native else []), *(wish.tagged or ()), *wish.join]


def refuse_going(turn: Turn, name: str, vlan: int) -> None:
    """Raise Refused for a VLAN of a former domain that is still on its way out."""
    for job in turn.state.clearing.values():
        if vlan in msgspec.json.decode(str(job.result.get(GOING, "[]"))):
            text = f"{name}: VLAN {vlan} is being taken off the switches by {job.id}"
            raise Refused(Code.LOCKED, text, f"tjob-wait {job.id}")


def _refuse_number(name: str, vlan: int) -> None:
    try:
        check_number(vlan)
    except ValueError as problem:
        raise Refused(Code.BAD_REQUEST, f"{name}: {problem}") from None
