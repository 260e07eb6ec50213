"""A switch as an SNMP agent sees it: what it is set to, what that looks like in IF-MIB, BRIDGE-MIB, Q-BRIDGE-MIB and
LLDP-MIB, what may be set, and how it goes wrong.

Port n is interface n is bridge port n, and called pn. Sets are all or nothing, as RFC 3416 wants them; a VLAN is made
by its RowStatus, with its other columns in the same message or later (RFC 2579, RFC 4363).
"""

from __future__ import annotations

import bisect
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from pysnmp.proto import rfc1902

from tashi.lab.peers import switch_lldp
from tashi.lab.peers.snmp_agent import Oid, Pair, Refusal
from tashi.lab.peers.switch_lldp import Neighbour

SYSTEM: Oid = (1, 3, 6, 1, 2, 1, 1)
IF: Oid = (1, 3, 6, 1, 2, 1, 2, 2, 1)
IFX: Oid = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
BRIDGE: Oid = (1, 3, 6, 1, 2, 1, 17)
Q: Oid = (*BRIDGE, 7, 1)
VLANS: Oid = (*Q, 4, 3, 1)
PORTS: Oid = (*Q, 4, 5, 1)
LLDP: Oid = (1, 0, 8802, 1, 1, 2, 1, 4, 1, 1)
SAVE: Oid = (1, 3, 6, 1, 4, 1, 99999, 2, 1, 0)
SAVED: Oid = (1, 3, 6, 1, 4, 1, 99999, 2, 2, 0)
VIEW_SECONDS = 0.2  # that what was read stays so: stations come and go by themselves
# what faults call a table
COLUMNS: dict[str, Oid] = {
    "admin": (*IF, 7),
    "name": (*IFX, 1),
    "label": (*IFX, 18),
    "bridge": (*BRIDGE, 1, 4, 1, 2),
    "egress": (*VLANS, 2),
    "untagged": (*VLANS, 4),
    "row": (*VLANS, 5),
    "native": (*PORTS, 1),
    "accept": (*PORTS, 2),
    "filter": (*PORTS, 3),
    "save": SAVE[:-1],
}


# what a set is for, the first that fits
KINDS = ("save", "row", "egress", "native", "accept", "filter", "label", "admin")


@dataclass
class Port:
    pvid: int = 1
    on: bool = True
    label: str = ""
    tagged_only: bool = False
    filters: bool = True


@dataclass
class Vlan:
    name: str = ""
    egress: set[int] = field(default_factory=set)
    untagged: set[int] = field(default_factory=set)
    active: bool = True


@dataclass
class Settings:
    ports: dict[int, Port] = field(default_factory=dict)
    vlans: dict[int, Vlan] = field(default_factory=dict)


@dataclass
class Fault:
    """What goes wrong with a set, or (``call`` "get") a read. ``call`` is a word of `KINDS`, empty for any set; it
    begins at the ``after`` next one and happens ``times`` times. ``what``: the name of an error-status; "ignore": yes
    is said and nothing done; "half": the first pair only; "lose": the answer is; "restart": the switch does so
    before."""

    what: str
    call: str = ""
    after: int = 0
    times: int = 2**31

    def takes(self, call: str) -> bool:
        if self.times <= 0 or (call != self.call if self.call else call == "get"):
            return False
        if self.after > 0:
            self.after -= 1
            return False
        self.times -= 1
        return True


class Plane(Protocol):
    """What carries frames."""

    def apply(self, settings: Settings) -> None: ...

    def links(self) -> set[int]:
        """The ports that have one."""

    def stations(self) -> list[tuple[int, str, int]]:
        """VLAN, MAC and port of what was heard."""

    def neighbours(self) -> list[tuple[int, Neighbour]]:
        """Port and who speaks LLDP there."""


class NoPlane:
    """Nothing does; ``heard`` is what it would have heard."""

    def __init__(self, ports: int) -> None:
        self._ports = set(range(1, ports + 1))
        self.heard: list[tuple[int, str, int]] = []

    def apply(self, settings: Settings) -> None:
        pass

    def links(self) -> set[int]:
        return self._ports

    def stations(self) -> list[tuple[int, str, int]]:
        return self.heard

    def neighbours(self) -> list[tuple[int, Neighbour]]:
        return []


class Switch:
    """``tables``: word of `COLUMNS` -> "none", "half" (of the rows) or "wrong" (type). ``neighbours``: port -> chassis,
    port and name of who is said to speak LLDP there, besides who does."""

    def __init__(self, name: str, ports: int, plane: Plane) -> None:
        self.name, self.plane = name, plane
        everywhere = set(range(1, ports + 1))
        self.running = Settings(
            {each: Port() for each in everywhere}, {1: Vlan("default", everywhere, set(everywhere))}
        )
        self.startup = deepcopy(self.running)
        self.faults: list[Fault] = []
        self.tables: dict[str, str] = {}
        self.neighbours: dict[int, tuple[str, str, str]] = {}
        self.asked: list[str] = []
        self.lost = 0  # answers that are not to be sent
        self._started = time.monotonic()
        self._view: dict[Oid, Any] = {}
        self._there: list[Oid] = []  # the names in the view, sorted
        self._stale = 0.0

    def forget_view(self) -> None:
        """Something is other than it was."""
        self._stale = 0.0

    def set_up(self, settings: Settings) -> None:
        """It runs and starts with this."""
        self.running, self.startup = deepcopy(settings), deepcopy(settings)
        self._started = time.monotonic() - 1000.0  # it has been so for long
        self.forget_view()
        self.plane.apply(self.running)

    def restart(self) -> None:
        """What was not saved is lost."""
        self.running, self._started = deepcopy(self.startup), time.monotonic()
        self.forget_view()
        self.plane.apply(self.running)

    def swallows(self) -> bool:
        """Whether the answer that is on its way now is lost."""
        self.lost, before = max(0, self.lost - 1), self.lost
        return before > 0

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(self, oid: Oid) -> Any | None:
        self._go_wrong("get")
        self._look()
        return self._view.get(oid)

    def after(self, oid: Oid) -> Pair | None:
        self._go_wrong("get")
        self._look()
        at = bisect.bisect_right(self._there, oid)
        return (self._there[at], self._view[self._there[at]]) if at < len(self._there) else None

    def _look(self) -> None:
        """A walk asks for hundreds of names, one after the other."""
        if time.monotonic() >= self._stale:
            self._view = self._made()
            self._there, self._stale = sorted(self._view), time.monotonic() + VIEW_SECONDS

    def _made(self) -> dict[Oid, Any]:
        view: dict[Oid, Any] = {
            (*SYSTEM, 1, 0): _text("tashi laboratory switch"),
            (*SYSTEM, 2, 0): rfc1902.ObjectIdentifier(SAVE[:-3]),
            (*SYSTEM, 3, 0): rfc1902.TimeTicks(int((time.monotonic() - self._started) * 100) % 2**32),
            (*SYSTEM, 5, 0): _text(self.name),
            (*BRIDGE, 1, 1, 0): rfc1902.OctetString(bytes.fromhex("020000000001")),
            SAVE: rfc1902.Integer32(0),
            SAVED: rfc1902.Integer32(1 if self.running == self.startup else 2),
        }
        links = self.plane.links()
        for number, port in self.running.ports.items():
            view |= self._port(number, port, number in links)
        for number, vlan in self.running.vlans.items():
            view |= self._vlan(number, vlan)
        for number, mac, at in (each for each in self.plane.stations() if each[2] in links):
            view[(*Q, 2, 2, 1, 2, number, *bytes.fromhex(mac.replace(":", "")))] = rfc1902.Integer32(at)
        heard = [(at, near) for at, near in self.plane.neighbours() if at in links]
        for number, (at, near) in enumerate((*self._said_neighbours(), *heard), 1):
            row = (0, at, number)
            for column, (kind, identifier) in ((4, near.chassis), (6, near.port)):
                view[(*LLDP, column, *row)] = rfc1902.Integer32(kind)
                view[(*LLDP, column + 1, *row)] = rfc1902.OctetString(identifier)
            view[(*LLDP, 9, *row)] = _text(near.name)
        return self._mangled(view)

    def _said_neighbours(self) -> Iterator[tuple[int, Neighbour]]:
        for at, (chassis, port, name) in self.neighbours.items():
            mac = bytes.fromhex(chassis.replace(":", ""))
            yield at, Neighbour((switch_lldp.MAC, mac), (switch_lldp.GIVEN, port.encode()), name)

    def _port(self, number: int, port: Port, link: bool) -> dict[Oid, Any]:
        up = port.on and link
        return {
            (*IF, 7, number): rfc1902.Integer32(1 if port.on else 2),
            (*IF, 8, number): rfc1902.Integer32(1 if up else 2),
            (*IFX, 1, number): _text(f"p{number}"),
            (*IFX, 15, number): rfc1902.Gauge32(1000),
            (*IFX, 18, number): _text(port.label),
            (*BRIDGE, 1, 4, 1, 2, number): rfc1902.Integer32(number),
            (*PORTS, 1, number): rfc1902.Gauge32(port.pvid),
            (*PORTS, 2, number): rfc1902.Integer32(2 if port.tagged_only else 1),
            (*PORTS, 3, number): rfc1902.Integer32(1 if port.filters else 2),
        }

    def _vlan(self, number: int, vlan: Vlan) -> dict[Oid, Any]:
        return {
            (*VLANS, 1, number): _text(vlan.name),
            (*VLANS, 2, number): self._bits(vlan.egress),
            (*VLANS, 4, number): self._bits(vlan.untagged),
            (*VLANS, 5, number): rfc1902.Integer32(1 if vlan.active else 2),
        }

    def _mangled(self, view: dict[Oid, Any]) -> dict[Oid, Any]:
        for word, how in self.tables.items():
            rows = [oid for oid in sorted(view) if oid[: len(COLUMNS[word])] == COLUMNS[word]]
            gone = {"none": rows, "half": rows[len(rows) // 2 :], "wrong": []}[how]
            view = {oid: value for oid, value in view.items() if oid not in gone}
            if how == "wrong":
                number = isinstance(view[rows[0]], rfc1902.OctetString)
                view |= {oid: rfc1902.Integer32(7) if number else _text("seven") for oid in rows}
        return view

    def _bits(self, ports: set[int]) -> Any:
        """A PortList: the highest bit of the first byte is port 1 (RFC 4363)."""
        found = bytearray((max(self.running.ports) + 7) // 8)
        for port in ports:
            found[(port - 1) // 8] |= 0x80 >> (port - 1) % 8
        return rfc1902.OctetString(bytes(found))

    # -- setting -----------------------------------------------------------------------------------------------------

    def write(self, pairs: Sequence[Pair]) -> None:
        call = next((word for word in KINDS for oid, _ in pairs if oid[:-1] == COLUMNS[word]), "")
        self.asked.append(call)
        how = self._go_wrong(call)
        new = deepcopy(self.running)
        rows_first = sorted(enumerate(pairs), key=lambda each: each[1][0][:-1] != COLUMNS["row"])
        for index, (oid, value) in rows_first[: 1 if how == "half" else None]:
            self._set(new, oid, value, index)
        if how == "ignore":
            return
        for vlan in new.vlans.values():
            if vlan.untagged - vlan.egress:
                raise Refusal("inconsistentValue")
        self.plane.apply(new)
        self.running = new
        self.forget_view()
        if any(oid == SAVE for oid, _ in pairs):
            self.startup = deepcopy(new)

    def _go_wrong(self, call: str) -> str:
        fault = next((each for each in self.faults if each.takes(call)), None)
        match fault.what if fault else "":
            case "restart":
                self.restart()
            case "lose":
                self.lost += 1
            case "ignore" | "half" | "" as how:
                return how
            case name:
                raise Refusal(name)
        return ""

    def _set(self, new: Settings, oid: Oid, value: Any, index: int) -> None:
        column, row = oid[:-1], oid[-1]
        number, text = isinstance(value, rfc1902.Integer32 | rfc1902.Gauge32), isinstance(value, rfc1902.OctetString)
        texts: dict[Oid, Callable[[bytes], None]] = {}
        numbers: dict[Oid, Callable[[int], None]] = {SAVE[:-1]: lambda _: None}
        if row in new.ports:
            port = new.ports[row]
            texts[COLUMNS["label"]] = lambda said: setattr(port, "label", said.decode())
            numbers[COLUMNS["admin"]] = lambda said: setattr(port, "on", _choice(said, index))
            numbers[COLUMNS["accept"]] = lambda said: setattr(port, "tagged_only", not _choice(said, index))
            numbers[COLUMNS["filter"]] = lambda said: setattr(port, "filters", _choice(said, index))
            numbers[COLUMNS["native"]] = lambda said: setattr(port, "pvid", _known(new, said, index))
        if column[:-1] == VLANS and 1 <= row <= 4094:
            numbers[COLUMNS["row"]] = lambda said: _row(new, row, said, index)
            vlan = new.vlans.get(row)
            if vlan is None and column != COLUMNS["row"]:
                raise Refusal("inconsistentName", index)
            if vlan is not None:
                texts[(*VLANS, 1)] = lambda said: setattr(vlan, "name", said.decode())
                texts[COLUMNS["egress"]] = lambda said: _set_egress(vlan, _ports(new, said, index))
                texts[COLUMNS["untagged"]] = lambda said: setattr(vlan, "untagged", _ports(new, said, index))
        if column not in texts and column not in numbers:
            raise Refusal("noCreation" if column in COLUMNS.values() else "notWritable", index)
        if not (text if column in texts else number):
            raise Refusal("wrongType", index)
        if column in texts:
            texts[column](bytes(value))
        else:
            numbers[column](int(value))


def told(settings: Settings) -> dict[str, Any]:
    """As JSON has it."""
    plain = asdict(settings)
    for vlan in plain["vlans"].values():
        vlan["egress"], vlan["untagged"] = sorted(vlan["egress"]), sorted(vlan["untagged"])
    return plain


def read_settings(raw: dict[str, Any]) -> Settings:
    """From `told`'s form. Raises TypeError, ValueError, KeyError."""
    vlans = {int(number): Vlan(**each) for number, each in raw["vlans"].items()}
    for vlan in vlans.values():
        vlan.egress, vlan.untagged = set(vlan.egress), set(vlan.untagged)
    return Settings({int(number): Port(**each) for number, each in raw["ports"].items()}, vlans)


def _text(text: str) -> Any:
    return rfc1902.OctetString(text.encode())


def _choice(value: int, index: int) -> bool:
    """1 or 2: the first of the two."""
    if value not in (1, 2):
        raise Refusal("wrongValue", index)
    return value == 1


def _known(new: Settings, vlan: int, index: int) -> int:
    if vlan not in new.vlans:
        raise Refusal("inconsistentValue", index)
    return vlan


def _row(new: Settings, number: int, status: int, index: int) -> None:
    match status:
        case 4 | 5:  # createAndGo, createAndWait
            if number in new.vlans:
                raise Refusal("inconsistentValue", index)
            new.vlans[number] = Vlan(active=status == 4)
        case 6:  # destroy
            if number == 1 or any(port.pvid == number for port in new.ports.values()):
                raise Refusal("inconsistentValue", index)
            new.vlans.pop(number, None)
        case 1 | 2 if number in new.vlans:
            new.vlans[number].active = status == 1
        case _:
            raise Refusal("wrongValue", index)


def _set_egress(vlan: Vlan, ports: set[int]) -> None:
    vlan.egress = ports
    vlan.untagged &= ports  # as most firmware does


def _ports(new: Settings, bits: bytes, index: int) -> set[int]:
    found = {at * 8 + bit + 1 for at, byte in enumerate(bits) for bit in range(8) if byte & 0x80 >> bit}
    if found - set(new.ports):
        raise Refusal("wrongValue", index)
    return found
