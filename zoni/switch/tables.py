"""What a switch's tables say (IF-MIB of RFC 2863, BRIDGE-MIB of RFC 4188, Q-BRIDGE-MIB of RFC 4363). Pure.

Tables come row by row from a device that may be busy, broken or lying: a port without a status, a VLAN without its
ports, a text for a number are told as what they are. Half a table is not believed, because what it leaves out would be
taken for a port that is in no VLAN.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from msgspec import Struct

from tashi.wire.errors import Code
from zoni.switch.interface import Port, State, SwitchError

Oid = tuple[int, ...]
Value: TypeAlias = "int | bytes | Oid"
Rows = Mapping[Oid, Value]

IF: Oid = (1, 3, 6, 1, 2, 1, 2, 2, 1)
IFX: Oid = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
BRIDGE: Oid = (1, 3, 6, 1, 2, 1, 17)
VLANS: Oid = (*BRIDGE, 7, 1, 4, 3, 1)
PORTS: Oid = (*BRIDGE, 7, 1, 4, 5, 1)

ADMIN, OPER = (*IF, 7), (*IF, 8)
IF_NAME, SPEED, ALIAS = (*IFX, 1), (*IFX, 15), (*IFX, 18)
PORT_IF = (*BRIDGE, 1, 4, 1, 2)
VLAN_NAME, EGRESS, UNTAGGED, ROW = (*VLANS, 1), (*VLANS, 2), (*VLANS, 4), (*VLANS, 5)
PVID, ACCEPT, FILTER = (*PORTS, 1), (*PORTS, 2), (*PORTS, 3)
ACTIVE, UP, TAGGED_ONLY, TRUE = 1, 1, 2, 1

NAMES: dict[Oid, str] = {
    ADMIN: "ifAdminStatus",
    OPER: "ifOperStatus",
    IF_NAME: "ifName",
    SPEED: "ifHighSpeed",
    ALIAS: "ifAlias",
    PORT_IF: "dot1dBasePortIfIndex",
    VLAN_NAME: "dot1qVlanStaticName",
    EGRESS: "dot1qVlanStaticEgressPorts",
    UNTAGGED: "dot1qVlanStaticUntaggedPorts",
    ROW: "dot1qVlanStaticRowStatus",
    PVID: "dot1qPvid",
    ACCEPT: "dot1qPortAcceptableFrameTypes",
    FILTER: "dot1qPortIngressFiltering",
}
LOOKED_AT = tuple(NAMES)
NUMBER_MAX = 65535  # of a port (RFC 4188): it is a place in a PortList, too


class Tables(Struct, frozen=True):
    """``numbers``: port -> its number in the bridge, ``interfaces``: port -> ifIndex. ``filters``, ``accepts``:
    whether it can be told so. ``width``: bytes of a PortList."""

    state: State
    numbers: dict[str, int]
    interfaces: dict[str, int]
    filters: bool
    accepts: bool
    width: int


def read_tables(walks: Mapping[Oid, Rows], uptime_seconds: float | None) -> Tables:
    """From a walk of each of `LOOKED_AT`. Raises SwitchError, without where."""
    interfaces = _numbers(walks, PORT_IF)
    if wrong := [number for number in interfaces if not 1 <= number <= NUMBER_MAX]:
        raise SwitchError(Code.UNAVAILABLE, f"dot1dBasePortIfIndex of {wrong[0]}: no port has that number")
    if not interfaces:
        raise SwitchError(Code.IMPOSSIBLE, "has no ports: it is no switch, or does not speak BRIDGE-MIB")
    names = _name(interfaces, _texts(walks, IF_NAME))
    admin, oper, speed = _numbers(walks, ADMIN), _numbers(walks, OPER), _numbers(walks, SPEED)
    label, pvid = _texts(walks, ALIAS), _numbers(walks, PVID)
    accept, filters = _numbers(walks, ACCEPT), _numbers(walks, FILTER)
    _whole(ADMIN, admin, interfaces.values())
    _whole(PVID, pvid, interfaces)
    for column, rows in ((ACCEPT, accept), (FILTER, filters)):
        if rows:
            _whole(column, rows, interfaces)
    vlans, untagged, tagged = _vlans(walks)
    ports = {}
    for number, index in interfaces.items():
        name = names[number]
        ports[name] = Port(
            name,
            readable(label.get(index, b"")),
            admin[index] == UP,
            oper[index] == UP if index in oper else None,
            speed.get(index),
            0 if accept.get(number) == TAGGED_ONLY else pvid[number],
            tuple(sorted(vlan for vlan, members in untagged.items() if number in members)),
            tuple(sorted(vlan for vlan, members in tagged.items() if number in members)),
            filters.get(number) == TRUE,
        )
    numbers = {names[number]: number for number in interfaces}
    by_name = {names[number]: index for number, index in interfaces.items()}
    width = max(len(egress) for egress in _texts(walks, EGRESS).values())
    return Tables(State(vlans, ports, uptime_seconds), numbers, by_name, bool(filters), bool(accept), width)


def readable(text: bytes) -> str:
    """What a device calls something, with nothing in it that a terminal or a log would take for more than text."""
    return "".join(each if each.isprintable() else "?" for each in text.decode("utf-8", "replace"))


def members(ports: bytes) -> set[int]:
    """The ports of a PortList: the highest bit of its first byte is port 1 (RFC 4363)."""
    return {at * 8 + bit + 1 for at, byte in enumerate(ports) for bit in range(8) if byte & 0x80 >> bit}


def with_member(ports: bytes, number: int, there: bool) -> bytes:
    """The same PortList, as long or longer, with this port in it or not."""
    changed = bytearray(ports.ljust((number + 7) // 8, b"\0"))
    at, bit = (number - 1) // 8, 0x80 >> (number - 1) % 8
    changed[at] = changed[at] | bit if there else changed[at] & ~bit
    return bytes(changed)


def _vlans(walks: Mapping[Oid, Rows]) -> tuple[dict[int, str], dict[int, set[int]], dict[int, set[int]]]:
    """Names; ports that are in without a tag; ports that are in with one."""
    active = [vlan for vlan, status in _numbers(walks, ROW).items() if status == ACTIVE]
    names, egress, untagged = _texts(walks, VLAN_NAME), _texts(walks, EGRESS), _texts(walks, UNTAGGED)
    if not active:
        raise SwitchError(Code.IMPOSSIBLE, "has no VLANs: it does not speak Q-BRIDGE-MIB, or we may not see them")
    for column, rows in ((VLAN_NAME, names), (EGRESS, egress), (UNTAGGED, untagged)):
        _whole(column, rows, active)
    inside = {vlan: members(egress[vlan]) for vlan in active}
    without = {vlan: members(untagged[vlan]) & inside[vlan] for vlan in active}
    called = {vlan: readable(names[vlan]) for vlan in sorted(active)}
    return called, without, {vlan: inside[vlan] - without[vlan] for vlan in active}


def _name(interfaces: Mapping[int, int], names: Mapping[int, bytes]) -> dict[int, str]:
    """By number in the bridge; one without a name of its own is called by that."""
    told = {number: readable(names.get(index, b"")).strip() for number, index in interfaces.items()}
    taken = list(told.values())
    return {number: name if name and taken.count(name) == 1 else str(number) for number, name in told.items()}


def _numbers(walks: Mapping[Oid, Rows], column: Oid) -> dict[int, int]:
    found = {}
    for row, value in walks[column].items():
        if not isinstance(value, int):
            raise SwitchError(Code.UNAVAILABLE, f"{NAMES[column]} of {row[-1]} is not a number")
        found[row[-1]] = value
    return found


def _texts(walks: Mapping[Oid, Rows], column: Oid) -> dict[int, bytes]:
    found = {}
    for row, value in walks[column].items():
        if not isinstance(value, bytes):
            raise SwitchError(Code.UNAVAILABLE, f"{NAMES[column]} of {row[-1]} is not a text")
        found[row[-1]] = value
    return found


def _whole(column: Oid, rows: Mapping[int, object], wanted: Iterable[int]) -> None:
    missing = [row for row in wanted if row not in rows]
    if missing:
        told = ", ".join(str(row) for row in missing[:5]) + (" ..." if len(missing) > 5 else "")
        raise SwitchError(Code.UNAVAILABLE, f"half a table: no {NAMES[column]} of {told}")
