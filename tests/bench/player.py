"""Plays a trace through the placement engine: each create is placed and claimed, each delete is released.

Every host has its disks to itself, and every other text in its line is a label that groups can be spread over.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tashi.sched.demand import Demand, Rules
from tashi.sched.index import Index
from tashi.sched.policy import Policy
from tashi.sched.supply import Supply
from tests.bench.history import Line, Name, parts_of, rule_of
from tests.bench.judge import Judge

MIB, GIB = 2**20, 2**30
POOL = "own"
NO_LABELS = ("op", "id")


class Claim(NamedTuple):
    host: str
    demand: Demand


class Player:
    """The engine, and the trace's names for its hosts."""

    def __init__(self, policy: Policy) -> None:
        self.index = Index(policy)
        self._names: dict[str, Name] = {}  # the engine's host -> the trace's
        self._claims: dict[Name, Claim] = {}

    def play(self, line: Line) -> Name | None:
        """The next line; of a create, the name of its host, None when there is no room for it.

        A VM that is not there may be deleted. Raises ValueError for one that is created twice.
        """
        if line["op"] == "host":
            host = f"h-{len(self._names) + 1}"
            self._names[host] = line["id"]
            self.index.set_host(supply_of(host, line))
        elif line["op"] == "create":
            return self._create(line["id"], demand_of(line))
        elif line["op"] == "delete" and line["id"] in self._claims:
            self.index.release(*self._claims.pop(line["id"]))
        return None

    def _create(self, name: Name, demand: Demand) -> Name | None:
        if name in self._claims:
            raise ValueError(f"{name} is there already")
        host = self.index.pick(demand)
        if host is None:
            return None
        self.index.claim(host, demand)
        self._claims[name] = Claim(host, demand)
        return self._names[host]


def supply_of(host: str, line: Line) -> Supply:
    """A host's line as the engine has it."""
    offer = parts_of(line)
    labels = frozenset((key, text) for key, text in line.items() if isinstance(text, str) and key not in NO_LABELS)
    return Supply(host, offer.cores, offer.memory_mib * MIB, disk=((POOL, offer.disk_gib * GIB),), labels=labels)


def demand_of(line: Line) -> Demand:
    """A create's line as the engine has it."""
    size = parts_of(line)
    group, spread = rule_of(line)
    disk = ((POOL, size.disk_gib * GIB),) if size.disk_gib else ()
    return Demand(size.cores, size.memory_mib * MIB, disk, rules=Rules(group, spread=spread))


def played(trace: Iterable[Line], policy: Policy, until_refused: bool = False) -> Judge:
    """A trace played to its end, or to the first create that finds no room; judged, and nothing was wrong."""
    player, judge = Player(policy), Judge()
    for line in trace:
        judge.see(line, player.play(line))
        if until_refused and judge.refusals:
            break
    assert not judge.faults, judge.faults
    return judge
