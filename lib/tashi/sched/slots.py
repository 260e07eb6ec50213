"""How many more of one size fit: per host and in all, with every rule kept.

Capacity alone is a division per host. Rules of company bound it: apart from its own group there is one a host, and a
spread lets no value of a label run ahead of the one that is full first. The number is what would be placed if one were
asked for after the other; a test counts that.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from tashi.sched.demand import SHARED, Demand
from tashi.sched.index import Index
from tashi.sched.view import Room, View


class Slots(NamedTuple):
    """``hosts``: those with room for any, and for how many by themselves; ``total``: what all take together."""

    total: int
    hosts: dict[str, int]


def slots(index: Index, demand: Demand, now_wall: float = 0.0) -> Slots:
    """How many VMs like this one fit now. A demand of nothing fits without end, and is refused: ValueError."""
    if demand.cores < 1 and demand.memory_bytes < 1:
        raise ValueError("a machine of no cores and no memory: there is no end to them")
    demand = index.policy.heed(demand)
    rules = demand.rules
    # Whether a value of the spread label is full already is for the sum to see.
    open_ended = demand._replace(rules=rules._replace(spread=""))
    hosts = {
        room.host: _alone(room, demand)
        for room in index.fitting(open_ended, now_wall)
        if not rules.spread or rules.spread in room.labels
    }
    total = _spread(index, demand, hosts, now_wall) if rules.spread else sum(hosts.values())
    if rules.group in rules.together and rules.group and not index.where(rules.group):
        total = hosts.get(index.pick(demand, now_wall) or "", 0)  # the others follow the first
    return Slots(min(total, _pool(index, demand, total)), hosts)


def _alone(room: Room, demand: Demand) -> int:
    """How many this host would take if no other did; it takes one at least."""
    counts = [free // wanted for free, wanted in _amounts(room, demand) if wanted]
    return min(*counts, 1) if demand.rules.group and demand.rules.group in demand.rules.apart else min(counts)


def _amounts(room: Room, demand: Demand) -> Iterator[tuple[int, int]]:
    yield room.free_cores, demand.cores
    yield room.free_memory, demand.memory_bytes
    for pool, wanted in demand.disk:
        if pool != SHARED:
            yield room.disk_free(pool) or 0, wanted


def _spread(index: Index, demand: Demand, hosts: Mapping[str, int], wall: float) -> int:
    """Each value is filled until it has ``skew`` more of the group than the value that is full first."""
    rules = demand.rules
    room_in = dict.fromkeys(index.question(demand, wall).values, 0)
    for host, count in hosts.items():
        room_in[index.rooms[host].labels[rules.spread]] += count
    there = {value: index.tally(rules.group, rules.spread).get(value, 0) for value in room_in}
    level = min((there[value] + count for value, count in room_in.items()), default=0)
    return sum(min(count, max(0, level + rules.skew - there[value])) for value, count in room_in.items())


def _pool(view: View, demand: Demand, most: int) -> int:
    """How many disks the shared pool has room for; ``most`` when nobody knows its size, or there is no disk."""
    size = sum(wanted for pool, wanted in demand.disk if pool == SHARED)
    if not size or not view.pool.capacity_bytes:
        return most
    return max(0, view.pool.capacity_bytes - view.pool.used_bytes) // size
