"""Made histories of a cluster, for placement: hosts, then VMs that come and go, as JSON lines.

::

    python -m tests.bench.trace --hosts 100 --load 0.85 --seed 1 > static.jsonl
    python -m tests.bench.trace --hosts 1000 --load 0.8 --days 14 > churn.jsonl
    python -m tests.bench.trace --hosts 1000 --load 1.1 --days 14 --ramp > rising.jsonl

The first line tells the distributions and the seed; the same seed makes the same file. The others are as in `history`;
``at`` is in seconds since the beginning, and nothing waits for it.

What is made, and why: sizes as public traces of clouds have them, most small and a few as large as half a host, whose
cores and memory don't go together; disks with a longer tail still; two kinds of lifetimes, minutes to hours (most of
what is created) and weeks (most of what is there); many come alone, some in bursts or in groups. Without ``--days``
nothing is deleted: VMs come until the scarcest resource would be above the load. With it, the cluster is kept at the
load for so long, a little below it but in bursts; with ``--ramp`` the load grows from nothing.
"""

from __future__ import annotations

import argparse
import heapq
import json
import math
import random
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields

Line = dict[str, str | int]

STEP_SECONDS, DAY_SECONDS = 60, 86_400
CALM = 0.96  # of the load, where it stays unless there is a burst


@dataclass(frozen=True)
class Recipe:
    """All that a trace depends on. Sizes of memory are MiB, of disks GiB, times hours."""

    hosts: int = 100
    load: float = 0.85  # of the scarcest resource
    days: float = 0  # 0: nothing is deleted
    ramp: bool = False
    seed: int = 1
    host_cores: int = 32
    host_memory_mib: int = 131_072
    host_disk_gib: int = 1000
    racks: int = 0  # 0: one for every 20 hosts, and at least 5
    cores: str = "1,2,3,4,6,8,12,16"
    cores_alpha: float = 1.2  # the weight of n cores is n to the power of -alpha
    memory_per_core_mib: float = 3500  # median, log-normal
    memory_sigma: float = 0.6
    memory_step_mib: int = 256
    disk_gib: float = 40  # median, log-normal
    disk_sigma: float = 0.9
    short_share: float = 0.8
    short_hours: float = 1  # mean, exponential
    long_hours: float = 240
    burst_share: float = 0.02  # of arrivals
    burst_mean: float = 20  # geometric; a burst is of one size, and short-lived
    group_share: float = 0.05
    group_mean: float = 4  # geometric, at least 2, and at most as many as half of the places
    rack_share: float = 0.3  # of groups; the others are spread over hosts

    @property
    def rack_count(self) -> int:
        return min(self.racks or max(self.hosts // 20, 5), self.hosts)

    @property
    def capacity(self) -> tuple[int, int, int]:
        """Cores, memory and disk of all hosts."""
        return (self.hosts * self.host_cores, self.hosts * self.host_memory_mib, self.hosts * self.host_disk_gib)


@dataclass(frozen=True)
class Size:
    """What one VM asks for."""

    cores: int
    memory_mib: int
    disk_gib: int

    @property
    def parts(self) -> tuple[int, int, int]:
        return self.cores, self.memory_mib, self.disk_gib


@dataclass(frozen=True)
class Arrival:
    """So many VMs of one size, asked for together."""

    size: Size
    count: int = 1
    hours: tuple[float, ...] = ()
    spread: str = ""  # a group's


class Chance:
    """Draws what arrives."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self._random = recipe, random.Random(recipe.seed)
        self._cores = [int(each) for each in recipe.cores.split(",")]
        self._weights = [each**-recipe.cores_alpha for each in self._cores]

    def arrival(self) -> Arrival:
        recipe, draw, size = self.recipe, self._random, self._size()
        kind = draw.random()
        if kind < recipe.burst_share:
            count = self._geometric(recipe.burst_mean)
            return Arrival(size, count, tuple(draw.expovariate(1 / recipe.short_hours) for _ in range(count)))
        if kind < recipe.burst_share + recipe.group_share:
            spread = "rack" if draw.random() < recipe.rack_share else "host"
            places = recipe.rack_count if spread == "rack" else recipe.hosts
            count = min(1 + self._geometric(recipe.group_mean - 1), max(places // 2, 1))
            return Arrival(size, count, (self._hours(),) * count, spread)
        return Arrival(size, 1, (self._hours(),))

    def _size(self) -> Size:
        recipe, draw = self.recipe, self._random
        (cores,) = draw.choices(self._cores, self._weights)
        ratio = draw.lognormvariate(math.log(recipe.memory_per_core_mib), recipe.memory_sigma)
        memory = max(1, round(cores * ratio / recipe.memory_step_mib)) * recipe.memory_step_mib
        disk = max(1, round(draw.lognormvariate(math.log(recipe.disk_gib), recipe.disk_sigma)))
        return Size(cores, min(memory, recipe.host_memory_mib // 2), min(disk, recipe.host_disk_gib // 2))

    def _hours(self) -> float:
        recipe, draw = self.recipe, self._random
        return draw.expovariate(1 / (recipe.short_hours if draw.random() < recipe.short_share else recipe.long_hours))

    def _geometric(self, mean: float) -> int:
        return 1 + int(math.log(1 - self._random.random()) / math.log(1 - 1 / mean)) if mean > 1 else 1


class Cluster:
    """What would be there if nothing were refused."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self._used = recipe, [0, 0, 0]
        self._ends: list[tuple[float, int, Size]] = []  # a heap
        self._vms = self._groups = 0

    @property
    def load(self) -> float:
        """The scarcest resource's."""
        return self._load((0, 0, 0))

    def would_be(self, arrival: Arrival) -> float:
        """The load with this arrival in it."""
        cores, memory, disk = (arrival.count * part for part in arrival.size.parts)
        return self._load((cores, memory, disk))

    def create(self, arrival: Arrival, at: float) -> Iterator[Line]:
        """The lines of an arrival; its VMs are counted until they end."""
        rules: Line = {}
        if arrival.spread:
            self._groups += 1
            rules = {"group": f"g-{self._groups}", "spread": arrival.spread}
        for hours in arrival.hours:
            self._vms += 1
            self._count(arrival.size, 1)
            heapq.heappush(self._ends, (at + hours * 3600, self._vms, arrival.size))
            yield {"op": "create", "id": f"v-{self._vms}", "at": round(at), **asdict(arrival.size), **rules}

    def expire(self, now: float) -> Iterator[Line]:
        """The lines of what has ended until now."""
        while self._ends and self._ends[0][0] <= now:
            at, number, size = heapq.heappop(self._ends)
            self._count(size, -1)
            yield {"op": "delete", "id": f"v-{number}", "at": round(at)}

    def _load(self, more: tuple[int, int, int]) -> float:
        capacity = self.recipe.capacity
        return max((used + add) / has for used, add, has in zip(self._used, more, capacity, strict=True))

    def _count(self, size: Size, sign: int) -> None:
        self._used = [used + sign * part for used, part in zip(self._used, size.parts, strict=True)]


def lines(recipe: Recipe) -> Iterator[Line]:
    """A whole trace, but for its first line."""
    yield from hosts(recipe)
    chance, cluster = Chance(recipe), Cluster(recipe)
    steps = round(recipe.days * DAY_SECONDS / STEP_SECONDS)
    if not steps:
        while cluster.would_be(arrival := chance.arrival()) <= recipe.load:
            yield from cluster.create(arrival, 0)
    for step in range(steps):
        now = step * STEP_SECONDS
        top = recipe.load * ((step + 1) / steps if recipe.ramp else 1)
        yield from cluster.expire(now)
        while cluster.load < CALM * top and cluster.would_be(arrival := chance.arrival()) <= top:
            yield from cluster.create(arrival, now)


def hosts(recipe: Recipe) -> Iterator[Line]:
    """The hosts' lines, racks of equal length one after the other."""
    for number in range(recipe.hosts):
        yield {
            "op": "host",
            "id": f"h-{number + 1}",
            "cores": recipe.host_cores,
            "memory_mib": recipe.host_memory_mib,
            "disk_gib": recipe.host_disk_gib,
            "rack": f"r-{number * recipe.rack_count // recipe.hosts + 1}",
        }


def main() -> None:
    parser = argparse.ArgumentParser(description="Print the made history of a cluster.")
    for field in fields(Recipe):
        option = f"--{field.name.replace('_', '-')}"
        if field.type == "bool":
            parser.add_argument(option, action="store_true")
        else:
            parser.add_argument(option, type=type(field.default), default=field.default, help="%(default)s")
    recipe = Recipe(**vars(parser.parse_args()))
    write = sys.stdout.write
    write(json.dumps({"op": "trace", **asdict(recipe)}, separators=(",", ":")) + "\n")
    for line in lines(recipe):
        write(json.dumps(line, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
