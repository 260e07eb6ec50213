"""The cluster as placement sees it: hosts, what is claimed on each, and who is where.

Reported, kept, promised and free are four numbers: a host reports, its administrator keeps some of it and says by a
ratio how much of the rest may be promised, claims use that up, what remains is free. A claim is never refused: what
runs is counted, fitting or not. Undoing a change is the opposite change.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from tashi.sched.demand import NO_RULES, SHARED, Demand, Rules
from tashi.sched.geometry import Geometry, Stock, geometry_of, stock_of
from tashi.sched.pool import Pool
from tashi.sched.supply import Supply

if TYPE_CHECKING:
    from tashi.sched.kinds import Place

UNHEARD = "its capacity is not known yet"
HOST_LABEL = "host"  # every host by itself, unless an administrator gives the label another meaning
STRIDE = 16
NUMBERS = 10**18  # a host's number is below it, see tashi.model.name
_EMPTY: Mapping[str, int] = {}


def turn_of(number: int) -> int:
    """Where a host stands among equals: of every sixteen the first, then of every sixteen the second, and so on.

    Hosts that came together stand together, in a rack or a row. Were they filled in the order of their numbers, those
    that are still empty would all be in the last rack, and nothing that wants to be spread would find room.
    """
    return (number - 1) % STRIDE * NUMBERS + number


class Room:
    """One host: what may be promised of it, and what is free of that."""

    __slots__ = (
        "core_limit", "cores_used", "disk_used", "free_cores", "free_memory", "geometry", "host", "labels",
        "memory_limit", "memory_used", "number", "place", "supply", "turn",
    )  # fmt: skip

    def __init__(self, host: str) -> None:
        self.host = host
        self.number = int(host.rpartition("-")[2])
        self.turn = turn_of(self.number)
        self.cores_used = self.memory_used = 0
        self.disk_used: dict[str, int] = {}
        self.place: Place | None = None  # where it stands in an index
        self.take(Supply(host, 0, 0, unwell=UNHEARD))

    def take(self, supply: Supply) -> None:
        """Be what the host says now; claims stay."""
        self.supply = supply
        self.core_limit, self.memory_limit = supply.core_limit, supply.memory_limit
        self.free_cores = self.core_limit - self.cores_used
        self.free_memory = self.memory_limit - self.memory_used
        self.labels: dict[str, str] = {HOST_LABEL: supply.host, **dict(supply.labels)}
        self.geometry: Geometry = geometry_of(
            self.core_limit + supply.foreign_cores, self.memory_limit + supply.foreign_memory_bytes
        )

    def disk_free(self, pool: str) -> int | None:
        """Bytes free in one of its own pools; None when it has no such pool."""
        size = next((size for name, size in self.supply.disk if name == pool), None)
        return None if size is None else size - self.disk_used.get(pool, 0)

    def stocks(self) -> tuple[Stock, ...]:
        """Its own pools, coarsely."""
        used = self.disk_used
        return tuple([stock_of(pool, size, size - used.get(pool, 0)) for pool, size in self.supply.disk])


class View:
    """All hosts by id, the shared pool, and which groups are on which hosts."""

    def __init__(self) -> None:
        self.rooms: dict[str, Room] = {}
        self.pool = Pool()
        self.members: dict[str, dict[str, int]] = {}  # group -> host -> how many of it are there
        self.shunned: dict[str, dict[str, int]] = {}  # group -> host -> how many there want none of it beside them
        self._tallies: dict[str, dict[str, dict[str, int]]] = {}  # group -> label -> value -> members, where asked

    # -- hosts ------------------------------------------------------------------------------------------------------
    def set_host(self, supply: Supply) -> None:
        """Add a host, or change what is known of it; claims stay."""
        room = self._room(supply.host)
        labels = room.labels
        room.take(supply)
        if labels != room.labels:
            self._tallies.clear()

    def drop_host(self, host: str) -> None:
        """Forget a host and its claims; one that was never there is no error."""
        if self.rooms.pop(host, None) is None:
            return
        for book in (self.members, self.shunned):
            for group in [group for group, hosts in book.items() if host in hosts]:
                _count(book, group, host, -book[group][host])
        self._tallies.clear()

    # -- claims -----------------------------------------------------------------------------------------------------
    def claim(self, host: str, demand: Demand) -> None:
        """Count a VM as being on a host: its size, its disk in the host's own pools, and its rules."""
        self._change(self.rooms.get(host) or self._room(host), demand, 1)

    def release(self, host: str, demand: Demand) -> None:
        """Take a claim back. Raises KeyError for an unknown host, ValueError for more than was claimed."""
        room = self.rooms[host]
        if demand.cores > room.cores_used or demand.memory_bytes > room.memory_used:
            raise ValueError(
                f"{host}: releases {demand.cores} cores, {demand.memory_bytes} bytes that were never claimed"
            )
        self._change(room, demand, -1)

    def free(self, host: str) -> tuple[int, int]:
        """(cores, bytes of memory) not claimed; negative when a host lost capacity. KeyError: no such host."""
        room = self.rooms[host]
        return room.free_cores, room.free_memory

    def used(self, host: str) -> tuple[int, int]:
        """(cores, bytes of memory) claimed. KeyError: no such host."""
        room = self.rooms[host]
        return room.cores_used, room.memory_used

    # -- company ----------------------------------------------------------------------------------------------------
    def where(self, group: str) -> Mapping[str, int]:
        """Hosts with members of a group, and how many each has."""
        return self.members.get(group, _EMPTY)

    def shunning(self, group: str) -> Mapping[str, int]:
        """Hosts with VMs that want no member of this group beside them."""
        return self.shunned.get(group, _EMPTY)

    def tally(self, group: str, label: str) -> Mapping[str, int]:
        """Members of a group by the value that their hosts have of a label; hosts without it are not counted."""
        tallies = self._tallies.setdefault(group, {})
        if label not in tallies:
            counts: dict[str, int] = {}
            for host, count in self.where(group).items():
                value = self.rooms[host].labels.get(label)
                if value is not None:
                    counts[value] = counts.get(value, 0) + count
            tallies[label] = counts
        return tallies[label]

    # -- inside -----------------------------------------------------------------------------------------------------
    def _room(self, host: str) -> Room:
        room = self.rooms.get(host)
        if room is None:
            room = self.rooms[host] = Room(host)
        return room

    def _change(self, room: Room, demand: Demand, sign: int) -> None:
        cores, memory = sign * demand.cores, sign * demand.memory_bytes
        room.cores_used += cores
        room.memory_used += memory
        room.free_cores -= cores
        room.free_memory -= memory
        for pool, size in demand.disk:
            if pool != SHARED:
                room.disk_used[pool] = room.disk_used.get(pool, 0) + sign * size
        if demand.rules is not NO_RULES:
            self._mingle(room, demand.rules, sign)

    def _mingle(self, room: Room, rules: Rules, sign: int) -> None:
        if rules.group:
            _count(self.members, rules.group, room.host, sign)
            for label, counts in self._tallies.get(rules.group, {}).items():
                value = room.labels.get(label)
                if value is not None:
                    _add(counts, value, sign)
        for group in set(rules.apart):
            _count(self.shunned, group, room.host, sign)


def _count(book: dict[str, dict[str, int]], key: str, host: str, change: int) -> None:
    hosts = book.setdefault(key, {})
    _add(hosts, host, change)
    if not hosts:
        del book[key]


def _add(counts: dict[str, int], key: str, change: int) -> None:
    left = counts.get(key, 0) + change
    if left:
        counts[key] = left
    else:
        counts.pop(key, None)


def names(items: Iterable[str]) -> str:
    """What people read of several."""
    return ", ".join(sorted(items))
