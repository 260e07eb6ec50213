"""Which NIC is plugged into which port: what switches heard, held against what the records say. Pure.

Theory of operation. Who says by LLDP that he is at the other end of a port is there, because LLDP is never forwarded
(IEEE 802.1AB). A MAC address is heard at its own port and at every port that leads there. So ports that lead to other
switches of ours are left out: those that the records call uplinks, those where LLDP names such a switch, and those
where its own address is heard. Of the rest a port is believed where no other machine is heard, and no other hardware:
else it is an uplink that nobody told of, or a hub, and nothing is proposed.

An address of nobody's that has the bit of local administration (IEEE 802, 8.4) is that of a guest or a container on a
machine; it is not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

Place = tuple[str, str]  # a switch's name and its own word for the port
NAMED = 3  # of many a text names so many


class Verdict(StrEnum):
    AGREES = "agrees"  # with the records
    NEW = "new"  # the records say nothing
    CONTRADICTS = "contradicts"  # the records say something else
    AMBIGUOUS = "ambiguous"  # more than one port, or more than one machine at it
    UNHEARD = "unheard"


class Nic(NamedTuple):
    """``mac`` in lower case with colons."""

    mac: str
    name: str = ""


class Plug(NamedTuple):
    """Where the records say that a NIC is; ``nic`` is a name or MAC address, or nothing."""

    switch: str
    port: str
    nic: str = ""

    @property
    def place(self) -> Place:
        return self.switch, self.port


class Machine(NamedTuple):
    """As the records have it."""

    name: str
    nics: tuple[Nic, ...] = ()
    plugs: tuple[Plug, ...] = ()


class Neighbour(NamedTuple):
    """Who says by LLDP that he is at the other end of ``port``: MAC addresses, or the names that he gives."""

    port: str
    chassis: str
    their_port: str
    name: str = ""


class Told(NamedTuple):
    """What one switch told. ``ports``: each of them, and why nothing can be heard there, where that is so."""

    switch: str
    ports: Mapping[str, str]
    stations: Sequence[tuple[str, str]] = ()  # MAC address and port
    neighbours: Sequence[Neighbour] = ()
    uplinks: frozenset[str] = frozenset()  # as the records have them


class Finding(NamedTuple):
    """Of one NIC, or of a port in the records that none of them is known to be at. Ports are written SWITCH:PORT.

    ``port`` is empty where nothing is proposed, ``was`` where the records say nothing.
    """

    machine: str
    nic: Nic
    verdict: Verdict
    port: str = ""
    was: str = ""
    by: str = ""
    why: str = ""


def said(place: Place) -> str:
    return f"{place[0]}:{place[1]}"


def uplinks(told: Sequence[Told], switches: Mapping[str, str]) -> dict[Place, str]:
    """Ports that lead to other switches of ours, and to which by LLDP or by its own address; "" for the records'.

    ``switches``: all of ours, whether they were asked or not, each with its own address where that is known.
    """
    found: dict[Place, str] = {(each.switch, port): "" for each in told for port in each.uplinks}
    by_mac = {mac: switch for switch, mac in switches.items() if mac}
    for each in told:
        leads = [(mac, port, "") for mac, port in each.stations]
        leads += [(near.chassis, near.port, near.name) for near in each.neighbours]
        for mac, port, name in leads:
            other = by_mac.get(mac) or (name if name in switches else None)
            if other is not None and other != each.switch:
                found[each.switch, port] = other
    return found


def compare(machines: Sequence[Machine], told: Sequence[Told], switches: Mapping[str, str]) -> list[Finding]:
    """A finding for each NIC of each machine, and for each port in their records that no NIC accounts for.

    ``switches`` as with `uplinks`.
    """
    return list(_Map(machines, told, switches).findings(machines))


def plug_of(machine: Machine, nic: Nic) -> Plug | None:
    """Where the records have this NIC. A port without a NIC is of the only one."""
    for plug in machine.plugs:
        if plug.nic and plug.nic in nic:
            return plug
    free = [plug for plug in machine.plugs if not plug.nic]
    return free[0] if len(machine.nics) == 1 and len(free) == 1 else None


class _Crowd(NamedTuple):
    """``names`` of machines, sorted, ``nics`` of each, and hardware that is no machine's."""

    names: list[str]
    nics: Counter[str]
    strangers: int


class _Map:
    """Who was heard where."""

    def __init__(self, machines: Sequence[Machine], told: Sequence[Told], switches: Mapping[str, str]) -> None:
        self.told = {each.switch: each for each in told}
        self.owners = {nic.mac: machine for machine in machines for nic in machine.nics}
        self.recorded = {plug.place: machine.name for machine in machines for plug in machine.plugs}
        self.uplinks = uplinks(told, switches)
        self.heard: dict[Place, set[str]] = {}  # MAC addresses by port, but for our switches'
        self.places: dict[str, set[Place]] = {}  # and the other way round
        self.by_lldp: dict[str, set[Place]] = {}
        self._crowds: dict[Place, _Crowd] = {}
        ours = set(switches.values())
        for each in told:
            for mac, port in each.stations:
                if mac not in ours:
                    self.heard.setdefault((each.switch, port), set()).add(mac)
                    self.places.setdefault(mac, set()).add((each.switch, port))
        for each in told:
            for near in each.neighbours:
                mac = self._speaker(each.switch, near)
                if mac in self.owners:
                    self.by_lldp.setdefault(mac, set()).add((each.switch, near.port))
                if mac and mac not in ours:
                    self.heard.setdefault((each.switch, near.port), set()).add(mac)

    def _speaker(self, switch: str, near: Neighbour) -> str:
        """The NIC that speaks; who does, where that is no machine of ours; "" where it is not clear which NIC."""
        if near.their_port in self.owners:
            return near.their_port
        machine = self.owners.get(near.chassis)
        if machine is None:
            return near.chassis
        if len(machine.nics) == 1:
            return near.chassis
        at = self.heard.get((switch, near.port), set())
        one = [nic.mac for nic in machine.nics if near.their_port.lower() == nic.name.lower()]
        return (one or [nic.mac for nic in machine.nics if nic.mac in at] or [""])[0]

    def findings(self, machines: Iterable[Machine]) -> Iterator[Finding]:
        for machine in machines:
            found = [self._found(machine, nic) for nic in machine.nics]
            yield from found
            accounted = {each.port for each in found} | {each.was for each in found}
            for plug in machine.plugs:
                if said(plug.place) not in accounted:
                    yield self._silent(machine, Nic("", plug.nic), plug, "no NIC of it is known to be there")
            if not machine.nics and not machine.plugs:
                why = f"no NIC of it is in the records: zoni-set {machine.name} --nic MAC"
                yield Finding(machine.name, Nic(""), Verdict.UNHEARD, why=why)

    def _found(self, machine: Machine, nic: Nic) -> Finding:
        plug = plug_of(machine, nic)
        place, by, why = self._locate(nic)
        was = said(plug.place) if plug is not None else ""
        if place is None:
            if why:
                return Finding(machine.name, nic, Verdict.AMBIGUOUS, "", was, by, why)
            return self._silent(machine, nic, plug, "not heard")
        owner = self.recorded.get(place, machine.name)
        owner = "an uplink" if self.uplinks.get(place) == "" else owner
        if owner != machine.name:
            whose = owner if owner == "an uplink" else f"{owner}'s"
            text = "; ".join(filter(None, (f"{said(place)} is {whose} in the records", why)))
            return Finding(machine.name, nic, Verdict.CONTRADICTS, said(place), was, by, text)
        here = plug is None and any(each.place == place and not each.nic for each in machine.plugs)
        if here or (plug is not None and plug.place == place):
            return Finding(machine.name, nic, Verdict.AGREES, said(place), said(place), by, why)
        verdict = Verdict.NEW if plug is None else Verdict.CONTRADICTS
        return Finding(machine.name, nic, verdict, said(place), was, by, why)

    def _locate(self, nic: Nic) -> tuple[Place | None, str, str]:
        """Where a NIC is, how that is known, and what else is to be said; nowhere and nothing: it was not heard."""
        spoken = sorted(self.by_lldp.get(nic.mac, ()))
        edges = sorted(place for place in self.places.get(nic.mac, ()) if place not in self.uplinks)
        alone = [place for place in edges if not self._company(place, nic)]
        if len(spoken) > 1:
            return None, "lldp", f"LLDP says {' and '.join(map(said, spoken))}"
        if spoken:
            others = [place for place in alone if place != spoken[0]]
            if others and spoken[0] not in edges:
                return None, "lldp,mac", f"LLDP says {said(spoken[0])}, and it was heard at {said(others[0])}"
            return spoken[0], "lldp,mac" if spoken[0] in edges else "lldp", ""
        crowded = [f"{said(place)} {self._company(place, nic)}" for place in edges if place not in alone]
        if len(alone) == 1:
            return alone[0], "mac", f"also heard at {_few(crowded)}" if crowded else ""
        if edges:
            heard = _few([*map(said, alone), *crowded])
            return None, "mac", f"heard at {heard}{': an uplink or a hub' if not alone else ''}"
        return None, "", ""

    def _company(self, place: Place, nic: Nic) -> str:
        """Who else was heard at a port, in words."""
        crowd, own = self._crowd(place), self.owners[nic.mac].name
        itself = own if crowd.nics[own] == 1 else ""
        words = [name for name in crowd.names[: NAMED + 1] if name != itself]
        words += [f"{crowd.strangers} of nobody's"] if crowd.strangers else []
        hidden = len(crowd.names) - bool(itself) + bool(crowd.strangers) - len(words)
        return f"with {_few(words, hidden)}" if words else ""

    def _crowd(self, place: Place) -> _Crowd:
        """All that were heard at a port, counted once: an uplink that nobody told of has thousands."""
        if place not in self._crowds:
            heard = self.heard[place]
            nics = Counter(self.owners[mac].name for mac in heard if mac in self.owners)
            strangers = sum(mac not in self.owners and _is_hardware(mac) for mac in heard)
            self._crowds[place] = _Crowd(sorted(nics), nics, strangers)
        return self._crowds[place]

    def _silent(self, machine: Machine, nic: Nic, plug: Plug | None, why: str) -> Finding:
        """Of what was not heard: whether the port in the records is one, and whether anything could be heard there."""
        verdict, was = Verdict.UNHEARD, said(plug.place) if plug is not None else ""
        beyond = sorted(place for place in self.places.get(nic.mac, ()) if place in self.uplinks)
        if beyond:
            why = f"heard at {_few([said(place) for place in beyond])} alone, which leads to other switches"
        if plug is not None and plug.switch not in self.told:
            why = f"{plug.switch} was not asked, or gave no answer"
        elif plug is not None and plug.port not in self.told[plug.switch].ports:
            verdict, why = Verdict.CONTRADICTS, f"{plug.switch} has no port {plug.port}"
        elif plug is not None and not beyond and (deaf := self.told[plug.switch].ports[plug.port]):
            why = f"{was} {deaf}"
        return Finding(machine.name, nic, verdict, "", was, "", why)


def _is_hardware(mac: str) -> bool:
    """Whether an address was given by a maker; what is no address is nobody's."""
    try:
        return not int(mac.split(":")[0], 16) & 2 if mac.count(":") == 5 else False
    except ValueError:
        return False


def _few(words: Sequence[str], hidden: int = 0) -> str:
    """Some of the words, and how many more there are with those that are not even among them."""
    more = len(words) - NAMED + hidden
    *some, last = [*words[:NAMED], *([f"{more} more"] if more > 0 else [])]
    return f"{', '.join(some)} and {last}" if some else last
