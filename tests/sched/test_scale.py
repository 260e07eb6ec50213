"""The cost of a placement does not grow with the cluster, and hosts are filled well."""

from __future__ import annotations

import random
import time

from tashi.sched.demand import Demand, Rules
from tashi.sched.index import Index
from tests.sched.made import GIB, cluster


def filled(hosts: int) -> Index:
    index, chance = cluster(hosts, racks=max(2, hosts // 40)), random.Random(1)
    for room in list(index.rooms.values()):
        index.claim(room.host, Demand(chance.randrange(56), chance.randrange(200) * GIB))
    return index


def test_the_cost_does_not_grow_with_the_hosts() -> None:
    def seconds_each(index: Index) -> float:
        best, chance = float("inf"), random.Random(2)
        for turn in range(6):
            demands = [
                Demand(
                    cores := chance.choice((1, 2, 4)),
                    cores * chance.choice((2, 4, 8)) * GIB,
                    rules=Rules(group := f"g{turn}-{number // 20}", (group,), spread="rack"),
                )
                for number in range(100)
            ]
            start = time.thread_time()
            for demand in demands:
                host = index.pick(demand)
                assert host is not None
                index.claim(host, demand)
            best = min(best, (time.thread_time() - start) / len(demands))
        return best

    few, many = seconds_each(filled(400)), seconds_each(filled(20_000))
    assert many < 2 * few, f"{few * 1e6:.0f} us at 400 hosts, {many * 1e6:.0f} us at 20,000"


def test_hosts_are_filled_to_within_fifteen_hundredths_of_the_least_that_would_do() -> None:
    index, chance = cluster(100), random.Random(3)
    cores = memory = 0
    while max(cores / 64, memory / 256) < 70:
        size = chance.choices((1, 2, 4, 8, 16, 32), (35, 28, 18, 10, 6, 3))[0]
        demand = Demand(size, min(256, size * chance.choice((1, 2, 4, 8))) * GIB)
        host = index.pick(demand)
        assert host is not None, "no rejection"
        index.claim(host, demand)
        cores, memory = cores + demand.cores, memory + demand.memory_bytes // GIB
    used = sum(index.used(host) != (0, 0) for host in index.rooms)
    assert used <= 1.15 * max(cores / 64, memory / 256)
