"""The snmp driver: a switch by IF-MIB and Q-BRIDGE-MIB. How it saves is a table (switch_models.toml).

A VLAN's ports are one object, so a port joins or leaves by that object being read and written: between the two nobody
else may write, which is why a switch has one writer. Where a port's untagged VLAN is changed, its ifAdminStatus down
goes in the same message: a switch that has started anew in between, with the port open, does not let it in open.
"""

from __future__ import annotations

import time
from typing import TypeVar

from tashi.wire.errors import Code
from zoni.outcome import Unproven
from zoni.snmp import Gauge, Oid, SnmpError, SnmpSilence, Value, open_session, parse_oid, strangers_let_in
from zoni.switch import tables
from zoni.switch.interface import Capability, Identity, Mac, Neighbour, State, SwitchError
from zoni.switch.models import all_models, find_model, fitting
from zoni.switch.paths import Snmp
from zoni.switch.steps import Close, Create, Destroy, DeviceStep, Filter, Join, Label, Leave, Native, Open
from zoni.switch.tables import Tables, readable, with_member

DESCRIPTION, SYSTEM, UPTIME, SYSTEM_NAME = ((1, 3, 6, 1, 2, 1, 1, column, 0) for column in (1, 2, 3, 5))
BASE_MAC: Oid = (*tables.BRIDGE, 1, 1, 0)
STATION_PORT: Oid = (*tables.BRIDGE, 7, 1, 2, 2, 1, 2)  # dot1qTpFdbPort, by FDB and MAC
VLAN_FDB: Oid = (*tables.BRIDGE, 7, 1, 4, 2, 1, 3)  # dot1qVlanFdbId, by time mark and VLAN
LLDP_LOCAL_ID: Oid = (1, 0, 8802, 1, 1, 2, 1, 3, 7, 1, 3)
LLDP: Oid = (1, 0, 8802, 1, 1, 2, 1, 4, 1, 1)  # columns of lldpRemTable, by time mark, local port and number
CHASSIS_KIND, CHASSIS, PORT_KIND, PORT, REMOTE_NAME = 4, 5, 6, 7, 9
A_MAC = {CHASSIS_KIND: 4, PORT_KIND: 3}  # of the kinds of identifiers of IEEE 802.1AB
CREATE_AND_GO, DESTROY = 4, 6  # RowStatus, RFC 2579
CLOSED, OPENED = 2, 1
SAVE_SECONDS, SAVE_PAUSE = 10.0, 0.2

Kind = TypeVar("Kind", int, bytes)


class SnmpDriver:
    """Implements `zoni.switch.interface.Driver`."""

    def __init__(self, path: Snmp, seconds: float) -> None:
        self.where, self._path, self._seconds = path.where, path, seconds
        self._models = all_models(path.models, path.where)
        self._model = find_model(path.model, self._models, path.where)
        able = set(Capability) - ({Capability.SAVE} if not self._model.save else set())
        self.capabilities = frozenset(able)
        self._tables: Tables | None = None
        try:
            self._session = open_session(path.address, path.port, path.access, seconds / 3, tries=3)
        except SnmpError as error:
            raise SwitchError(error.code, f"{self.where}: {error.text}") from error

    def identity(self) -> Identity:
        signs = sorted({sign for model in self._models.values() for sign in model.known_by})
        name, description, mac, system, *found = self._get(
            SYSTEM_NAME, DESCRIPTION, BASE_MAC, SYSTEM, *map(parse_oid, signs)
        )
        there = {sign for sign, value in zip(signs, found, strict=True) if value is not None}
        kind = ".".join(map(str, system)) if isinstance(system, tuple) else ""
        base = mac.hex(":") if isinstance(mac, bytes) else ""
        return Identity(_text(name), _text(description), base, fitting(self._models, there, kind))

    def look(self) -> State:
        (uptime,) = self._get(UPTIME)
        if not isinstance(uptime, int):
            raise SwitchError(Code.UNAVAILABLE, f"{self.where}: does not tell since when it is up")
        walks = dict(zip(tables.LOOKED_AT, self._walk(*tables.LOOKED_AT), strict=True))
        try:
            self._tables = tables.read_tables(walks, uptime / 100)
        except SwitchError as error:
            raise SwitchError(error.code, f"{self.where}: {error.text}") from None
        if not self._tables.filters:
            self.capabilities -= {Capability.FILTER}
        return self._tables.state

    def do(self, step: DeviceStep) -> None:
        match step:
            case Create(vlan, name):
                nobody = bytes(self._known().width)
                self._set(
                    ((*tables.ROW, vlan), CREATE_AND_GO),
                    ((*tables.VLAN_NAME, vlan), name.encode()),
                    ((*tables.EGRESS, vlan), nobody),
                    ((*tables.UNTAGGED, vlan), nobody),
                )
            case Destroy(vlan):
                self._set(((*tables.ROW, vlan), DESTROY))
            case Close(port):
                self._set(self._closed(port))
            case Open(port):
                self._set(((*tables.ADMIN, self._known().interfaces[port]), OPENED))
            case Leave(port, vlan):
                inside, without = self._members(vlan)
                number = self._known().numbers[port]
                self._set(
                    ((*tables.UNTAGGED, vlan), with_member(without, number, False)),
                    ((*tables.EGRESS, vlan), with_member(inside, number, False)),
                )
            case Join(port, vlan, tagged):
                self._join(port, vlan, tagged)
            case Native(port, vlan):
                self._set_native(port, vlan)
            case Filter(port, on):
                self._set(((*tables.FILTER, self._known().numbers[port]), 1 if on else 2))
            case Label(port, text):
                self._set(((*tables.ALIAS, self._known().interfaces[port]), text.encode()))

    def save(self) -> None:
        for message in self._model.save:
            self._set(*((parse_oid(oid), value) for oid, value in message))
        end = time.monotonic() + SAVE_SECONDS
        while self._model.state is not None:
            try:
                (state,) = self._get(parse_oid(self._model.state))
            except SwitchError as error:
                raise Unproven(error.code, error.text) from error
            if state == self._model.done:
                return
            if state == self._model.failed:
                raise SwitchError(Code.WRONG_STATE, f"{self.where}: says that saving has failed")
            if time.monotonic() >= end:
                raise Unproven(Code.UNAVAILABLE, f"{self.where}: has not saved within {SAVE_SECONDS:g} s")
            time.sleep(SAVE_PAUSE)

    def macs(self) -> list[Mac]:
        names = {number: name for name, number in self._known().numbers.items()}
        fdb, stations = self._walk(VLAN_FDB, STATION_PORT)
        databases = {value: row[-1] for row, value in fdb.items()}
        vlans = self._known().state.vlans
        return [
            Mac(bytes(row[-6:]).hex(":"), names[port], databases.get(row[0], row[0] if row[0] in vlans else 0))
            for row, port in stations.items()
            if isinstance(port, int) and port in names and len(row) == 7
        ]

    def neighbours(self) -> list[Neighbour]:
        asked = (*A_MAC, CHASSIS, PORT, REMOTE_NAME)
        columns = dict(zip(asked, self._walk(*((*LLDP, column) for column in asked)), strict=True))
        return [
            Neighbour(
                self._lldp_port(row[1]),
                _identifier(columns, CHASSIS_KIND, CHASSIS, row),
                _identifier(columns, PORT_KIND, PORT, row),
                _text(columns[REMOTE_NAME].get(row)),
            )
            for row in columns[CHASSIS]
            if len(row) == 3
        ]

    def weaknesses(self) -> list[str]:
        """Whether a factory's community reads it. Who was let in by v2c on purpose did not mean these."""
        return strangers_let_in(self._path.address, self._path.port, UPTIME, self._seconds / 3)

    def close(self) -> None:
        self._session.close()

    # -- steps -------------------------------------------------------------------------------------------------------

    def _join(self, port: str, vlan: int, tagged: bool) -> None:
        inside, without = self._members(vlan)
        number = self._known().numbers[port]
        self._set(
            *([] if tagged else [self._closed(port)]),
            ((*tables.EGRESS, vlan), with_member(inside, number, True)),
            ((*tables.UNTAGGED, vlan), with_member(without, number, not tagged)),
        )

    def _set_native(self, port: str, vlan: int) -> None:
        known = self._known()
        number = known.numbers[port]
        if not vlan and not known.accepts:
            raise SwitchError(Code.IMPOSSIBLE, f"{self.where}: {port}: can't drop frames without a tag")
        # with 0 the port's number has to be something: not a VLAN that is to be destroyed
        native: list[tuple[Oid, Value]] = [((*tables.PVID, number), Gauge(vlan or 1))]
        accept: list[tuple[Oid, Value]] = [((*tables.ACCEPT, number), 1 if vlan else 2)] if known.accepts else []
        self._set(self._closed(port), *accept, *native)

    def _closed(self, port: str) -> tuple[Oid, Value]:
        return (*tables.ADMIN, self._known().interfaces[port]), CLOSED

    def _members(self, vlan: int) -> tuple[bytes, bytes]:
        """All ports of a VLAN, and those without a tag, as they are now."""
        inside, without = self._get((*tables.EGRESS, vlan), (*tables.UNTAGGED, vlan))
        if not isinstance(inside, bytes) or not isinstance(without, bytes):
            raise SwitchError(Code.NOT_FOUND, f"{self.where}: there is no VLAN {vlan}")
        return inside, without

    # -- parts -------------------------------------------------------------------------------------------------------

    def _known(self) -> Tables:
        if self._tables is None:
            self.look()
        assert self._tables is not None
        return self._tables

    def _lldp_port(self, number: int) -> str:
        """LLDP counts ports in a way of its own: by what it calls them, or as the bridge does, or the interfaces."""
        known = self._known()
        (called,) = self._get((*LLDP_LOCAL_ID, number))
        if _text(called) in known.numbers:
            return _text(called)
        for counted in (known.numbers, known.interfaces):
            for name, each in counted.items():
                if each == number:
                    return name
        return str(number)

    def _get(self, *oids: Oid) -> list[Value | None]:
        try:
            return self._session.get(*oids)
        except (SnmpError, SnmpSilence) as error:
            raise self._unread(error) from error

    def _walk(self, *bases: Oid) -> list[dict[Oid, Value]]:
        try:
            return self._session.walk(*bases)
        except (SnmpError, SnmpSilence) as error:
            raise self._unread(error) from error

    def _unread(self, error: SnmpError | SnmpSilence) -> SwitchError:
        wrong = "; a wrong community gets none either" if self._path.access.version == "v2c" else ""
        text = error.text + (wrong if isinstance(error, SnmpSilence) else "")
        return SwitchError(error.code, f"{self.where}: {text}")

    def _set(self, *pairs: tuple[Oid, Value]) -> None:
        try:
            self._session.set(*pairs)
        except SnmpSilence as error:
            raise Unproven(error.code, f"{self.where}: {error.text}") from error
        except SnmpError as error:
            raise SwitchError(error.code, f"{self.where}: {error.text}") from error


def _text(value: Value | None) -> str:
    return readable(value) if isinstance(value, bytes) else ""


def _identifier(columns: dict[int, dict[Oid, Value]], kind: int, column: int, row: Oid) -> str:
    value = columns[column].get(row)
    if columns[kind].get(row) == A_MAC[kind] and isinstance(value, bytes):
        return value.hex(":")
    return _text(value)
