"""The weights: each gives a host that fits points from -1000 to 1000; the sum, weighted, decides.

``order`` and ``balance`` look at what would be free after the placement, in the coarse measure of `geometry`. Both fall
as a host gets emptier (pack) or rise (spread), because balance counts at most half as much as order: that is why an
index may walk hosts from full to empty and stop at the first that can't be beaten. ``disk`` is the same for all hosts
whose own pools are as empty, in 32 levels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from tashi.sched.demand import SHARED, Demand, Order, Rules
from tashi.sched.geometry import SCALE, Geometry, Stock
from tashi.sched.policy import Policy
from tashi.sched.view import Room, View

MOST_FAILURES = 4
MOST_DISK = 3  # times as much of a pool as of cores and memory: beyond that it counts no more
WHOLE = 10**6  # a host, when shares of it are compared


After = tuple[int, int]  # how empty a host would be of cores and of memory: 0 to SCALE each


class Weight(NamedTuple):
    name: str
    reason: str
    points: Callable[[View, Room, Demand, Order, After], int]


def _order(view: View, room: Room, demand: Demand, order: Order, after: After) -> int:
    cores, memory = after
    return cores + memory if order == "spread" else 2 * SCALE - cores - memory


def _balance(view: View, room: Room, demand: Demand, order: Order, after: After) -> int:
    cores, memory = after
    return 2 * SCALE - 2 * abs(cores - memory)


def _company(view: View, room: Room, demand: Demand, order: Order, after: After) -> int:
    """Points for wished-for company, less those for unwished."""
    rules = demand.rules
    if not rules.near and not rules.away:
        return 0
    near = sum(room.host in view.where(group) for group in rules.near)
    away = sum(room.host in view.where(group) for group in rules.away)
    return company(rules, near, away)


def company(rules: Rules, near: int, away: int) -> int:
    """Points where so many are of the groups that a VM would be near, and of those that it would be away from."""
    return (1000 * near // len(rules.near) if near else 0) - (1000 * away // len(rules.away) if away else 0)


def _data(view: View, room: Room, demand: Demand, order: Order, after: After) -> int:
    """Points for a demand's data that lies there, of the most that any host has of it."""
    if not demand.local:
        return 0
    most = max((size for _, size in demand.local), default=0)
    here = sum(size for host, size in demand.local if host == room.host)
    return 1000 * min(here, most) // most if most > 0 and here > 0 else 0


def disk(demand: Demand, stocks: Iterable[Stock], geometry: Geometry) -> int:
    """Points for what is free of a host's own pools.

    They count by how much of them a VM wants, beside its share of cores and memory: one with a large disk goes where
    there is disk, one with little goes where there is all else. Were they just added up, hosts would be even in the
    sum, each with too much of something.
    """
    core_grain, core_full, memory_grain, memory_full = geometry
    cores = demand.cores * WHOLE // (core_grain * core_full)
    memory = demand.memory_bytes * WHOLE // (memory_grain * memory_full)
    most = max(1, MOST_DISK * (cores + memory) // 2)
    points, free = 0, {stock.pool: stock for stock in stocks}
    for pool, wanted in demand.disk:
        if pool != SHARED and pool in free:
            _, grain, full, levels = free[pool]
            share = wanted * WHOLE // (grain * full)
            points += 1000 * levels // full * min(share, most) // most
    return min(points, 1000)


def _disk(view: View, room: Room, demand: Demand, order: Order, after: After) -> int:
    return disk(demand, room.stocks(), room.geometry) if demand.disk and order == "spread" else 0


def failures(count: int) -> int:
    """Points for starts that failed lately; beyond MOST_FAILURES it gets no worse."""
    return -1000 * min(count, MOST_FAILURES) // MOST_FAILURES


def _failures(view: View, room: Room, demand: Demand, order: Order, after: After) -> int:
    return failures(room.supply.failures) if room.supply.failures else 0


WEIGHTS: dict[str, Weight] = {
    each.name: each
    for each in (
        Weight("order", "the fuller the better (pack), or the emptier (spread)", _order),
        Weight("balance", "cores and memory would run out together", _balance),
        Weight("disk", "the emptier its own pools (spread), for a VM that wants much of them", _disk),
        Weight("company", "groups that it would be near are there, those it would avoid are not", _company),
        Weight("data", "bytes of its data that are there", _data),
        Weight("failures", "few starts failed there lately", _failures),
    )
}


_POINTS = {name: weight.points for name, weight in WEIGHTS.items()}


def terms(view: View, room: Room, demand: Demand, policy: Policy) -> list[tuple[str, int]]:
    """(weight, its weighted points in thousandths of a point) of a host that fits."""
    order = demand.order or policy.order
    after = room.geometry.after(room.free_cores, demand.cores, room.free_memory, demand.memory_bytes)
    return [(name, weight * _POINTS[name](view, room, demand, order, after)) for name, weight in policy.weights]
