"""What each field of a machine, a PDU and a switch is. Users see what a machine is, and not how it is reached."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tashi.core import metal_seen
from tashi.core.machines import why_locked
from tashi.core.turn import Turn
from tashi.core.zoniagents import agent_of, machines_of
from tashi.model import machine_words as words
from tashi.model.device import Pdu, Switch
from tashi.model.machine import Machine
from tashi.model.units import stamp
from tashi.model.zoniagent import ZoniAgent

Getter = Callable[[Turn, Any], Any]


def paths_of(turn: Turn, machine: Machine) -> list[str]:
    """Its power paths as zoni-add has them."""
    return [words.path_text(path, _name(turn.state.pdus, path.pdu)) for path in machine.paths]


def ports_of(turn: Turn, machine: Machine) -> list[str]:
    return [words.port_text(port, _name(turn.state.switches, port.switch)) for port in machine.ports]


def _password(turn: Turn, machine: Machine) -> str:
    logins = [path for path in machine.paths if path.kind in words.WITH_LOGIN]
    return "" if not logins else "yes" if all(path.secret in turn.state.secrets for path in logins) else "no"


def _for_operators(getter: Getter) -> Getter:
    return lambda turn, record: getter(turn, record) if turn.sees_all() else ""


def _seen(key: str) -> Getter:
    return lambda turn, machine: getattr(machine.seen, key) if machine.seen is not None else ""


def _evidence(machine: Machine) -> str:
    found = machine.evidence
    return f"off at {stamp(found.at_wall)}, by {found.source}" if found is not None else ""


def _agent(turn: Turn, record: Any) -> str:
    """The zoni agent that reaches it."""
    return _name(turn.state.zoniagents, agent_of(turn.state, record))


def _zoniagent_reason(turn: Turn, agent: ZoniAgent) -> str:
    why = metal_seen.why_silent(turn, agent.id).removeprefix(f"the zoni agent {agent.name} ")
    return why or agent.degraded


def _known(key: str) -> Getter:
    """A number of which 0 is not known."""
    return lambda turn, record: getattr(record, key) or None


def _snmp(key: str) -> Getter:
    return lambda turn, device: getattr(device.snmp, key) if device.snmp is not None else ""


def _v3(key: str) -> Getter:
    return lambda turn, device: getattr(device.snmp, key) if device.snmp and device.snmp.version == "v3" else ""


def _outlets_used(turn: Turn, pdu: Pdu) -> list[int]:
    return sorted(path.outlet for each in turn.machines_on(pdu.id) for path in each.paths if path.pdu == pdu.id)


def _ports_used(turn: Turn, switch: Switch) -> list[str]:
    return [port.port for each in turn.machines_on(switch.id) for port in each.ports if port.switch == switch.id]


def _name(table: dict[str, Any], ident: str) -> str:
    return str(table[ident].name) if ident in table else ident


_SNMP: dict[str, Getter] = {"snmp": _snmp("version"), **{key: _v3(key) for key in ("user", "auth", "privacy")}}
METAL: dict[str, dict[str, Getter]] = {
    "machine": {
        "power": lambda turn, machine: metal_seen.shown(turn, machine)[0],
        "power_age_seconds": metal_seen.age_seconds,
        "reason": _for_operators(lambda turn, machine: metal_seen.shown(turn, machine)[1]),
        "cores": _known("cores"),
        "memory_bytes": _known("memory_bytes"),
        "disks": lambda turn, machine: [words.disk_text(disk) for disk in machine.disks],
        "nics": lambda turn, machine: [words.nic_text(nic) for nic in machine.nics],
        "flags": lambda turn, machine: list(machine.flags),
        "lock": lambda turn, machine: why_locked(machine.lock) if machine.lock is not None else "",
        "host": lambda turn, machine: turn.host_name(machine.host),
        "power_paths": _for_operators(paths_of),
        "ports": _for_operators(ports_of),
        "has_password": _for_operators(_password),
        "power_source": _for_operators(_seen("source")),
        "power_evidence": lambda turn, machine: _evidence(machine),
        "power_contradiction": _for_operators(_seen("contradiction")),
        "power_desired": lambda turn, machine: machine.desired,
        "agent": _agent,
    },
    "zoniagent": {
        "health": lambda turn, agent: (
            "unknown" if metal_seen.why_silent(turn, agent.id) else "degraded" if agent.degraded else "up"
        ),
        "reason": _zoniagent_reason,
        "machines": lambda turn, agent: sum(1 for _ in machines_of(turn.state, agent.id)),
        "enrolled": lambda turn, agent: "yes" if agent.key else "no",
    },
    "pdu": {"outlets": _known("outlets"), "used": _outlets_used, **_SNMP},
    "switch": {
        "port": lambda turn, switch: switch.port if switch.snmp is not None else None,
        "used": _ports_used,
        "uplinks": lambda turn, switch: list(switch.uplinks),
        "agent": _agent,
        **_SNMP,
    },
}
