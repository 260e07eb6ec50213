"""A cluster at one moment: what every plan is made from, be it of the live cluster or of a file.

The controller goes on while a plan is made. That is why each VM carries its record's generation: who carries a plan out
says of each step what it was made for, and a record that has changed since refuses it.
"""

from __future__ import annotations

from typing import NamedTuple

from tashi.sched.demand import SHARED, Demand
from tashi.sched.policy import Policy
from tashi.sched.supply import Supply
from tashi.wire.errors import NotFound

LINK_BYTES_PER_SECOND = 117_000_000  # of 1 Gbit/s, what TCP leaves of it: where nothing was measured


class Place(NamedTuple):
    """A host. ``link_bytes_per_second``: how fast the last guest left it, 0 when none has."""

    name: str
    supply: Supply
    link_bytes_per_second: int = 0


class Guest(NamedTuple):
    """A VM. ``host``: the id of where its capacity is claimed, empty while it waits for room; ``also``: further hosts
    that may still have something of it and count it too. ``stays``: why it can't be moved now. ``moved_wall``: when it
    was moved last, in seconds since 1970, 0 for never. ``asked``: the number of the request with which it waits, 0 when
    nobody knows.
    """

    id: str
    name: str
    demand: Demand
    host: str = ""
    generation: int = 0
    also: tuple[str, ...] = ()
    stays: str = ""
    moved_wall: float = 0.0
    asked: int = 0


class Snapshot(NamedTuple):
    """``revision`` is the change log's, ``wall`` when it was taken, in seconds since 1970. Hosts and guests by id."""

    revision: int
    wall: float
    policy: Policy
    hosts: dict[str, Place]
    guests: dict[str, Guest]

    def name(self, host: str) -> str:
        """A host's name by its id; the id itself of one that is not here."""
        return self.hosts[host].name if host in self.hosts else host

    def find_host(self, ref: str) -> str:
        """The id of a host that is named by name or id. Raises NotFound for one that is not here."""
        if ref in self.hosts:
            return ref
        found = next((host for host, place in self.hosts.items() if place.name == ref), None)
        if found is None:
            raise NotFound(f"{ref}: no such host")
        return found


def to_be_moved(guest: Guest) -> Demand:
    """What a guest asks of another host. Its disk in the shared pool is there already; where it is it can't go to."""
    demand = guest.demand
    if demand.disk:
        demand = demand._replace(disk=tuple(each for each in demand.disk if each[0] != SHARED))
    if guest.also:
        demand = demand._replace(exclude=demand.exclude | frozenset(guest.also))
    return demand
