"""How a choice stands among all hosts: the next best, and how many hosts each filter keeps out, by what is counted.

Of a demand that fits nowhere: which hosts come nearest to it.

No host is asked one by one, but for a few that stand at the very level of what is wanted: that costs the same however
many hosts there are. A host that is open and well is counted under every filter that is against it, another one once,
under `state` or `health`.
"""

from __future__ import annotations

from itertools import chain, islice
from typing import NamedTuple

from tashi.model.choice import Scored
from tashi.sched.demand import NO_RULES, SHARED, Demand
from tashi.sched.explain import Verdict, explain
from tashi.sched.filters import FILTERS, Question
from tashi.sched.index import Index
from tashi.sched.kinds import Kind
from tashi.sched.view import Room
from tashi.sched.weights import terms

NEXT_BEST = 2
LOOKED_AT = 64  # hosts that are looked at one by one, for each filter
VALUES = 256  # of a label over which a group is spread
NEAREST = 20
WORDS = {
    "pin": "not asked for",
    "state": "drained or draining",
    "health": "not well or not heard",
    "leftover": "with something of it",
    "queue": "kept for others",
    "version": "with older programs",
    "features": "without its features",
    "networks": "without its networks",
    "labels": "without its labels",
    "reservation": "reserved for others",
    "cores": "with too few cores free",
    "memory": "with too little memory free",
    "disk": "with too little disk free",
    "affinity": "without what it must be with",
    "anti-affinity": "with what it must be apart from",
    "spread": "where its group is ahead",
}
FOR_ROOM = tuple(FILTERS)[list(FILTERS).index("cores") :]  # filters that look at what is free, and at company
_LIKENESS = ("version", "features", "networks")


class Survey(NamedTuple):
    """``hosts`` in all, ``open`` of them open and well; ``kept_out``: by filter, how many.

    ``exact``: else more hosts stood at the level of what is wanted than were looked at, so that there may be more.
    """

    hosts: int
    open: int
    kept_out: dict[str, int]
    exact: bool = True

    @property
    def words(self) -> str:
        """How many are kept out, and why, most first; one may be counted for several things."""
        least = "" if self.exact else "at least "
        most = sorted(self.kept_out.items(), key=lambda each: -each[1])
        return ", ".join(f"{least}{count} {WORDS[name]}" for name, count in most)


NO_SURVEY = Survey(0, 0, {})


class Standing(NamedTuple):
    """``best``: the chosen one, then the next best."""

    best: tuple[Scored, ...]
    survey: Survey


class Surveyor:
    """Chooses by an index, and tells how the choice stands.

    What was found for one is good for the next alike, while it goes to the same host.
    """

    def __init__(self, index: Index) -> None:
        self._index = index
        self._seen: object = None
        self._others: tuple[Scored, ...] = ()
        self._survey = NO_SURVEY

    def choose(self, demand: Demand, wall: float = 0.0) -> Standing | None:
        """What `Index.pick` chooses, None where it finds no host. It claims nothing."""
        index = self._index
        rooms = index.best(demand, 1 + NEXT_BEST, wall)
        if not rooms:
            return None
        latest = index.latest()
        if latest is None or latest is not self._seen:
            self._others = tuple([_score(index, demand, room) for room in rooms[1:]])
            self._seen, self._survey = latest, survey(index, demand, wall)
        return Standing((_score(index, demand, rooms[0]), *self._others), self._survey)


def _score(index: Index, demand: Demand, room: Room) -> Scored:
    """A host's points for a demand that fits there."""
    parts = {name: points for name, points in terms(index, room, demand, index.policy) if points}
    return Scored(room.host, sum(parts.values()), parts)


def nearest(index: Index, demand: Demand, wall: float = 0.0) -> list[Verdict]:
    """What is against the hosts that come nearest to a demand which fits nowhere: those with the least against them.

    First those that lack room alone, in the end those that are not as they must be. Where there are many hosts, the
    emptiest of each kind are looked at.
    """
    hosts = list(index.rooms) if len(index.rooms) <= LOOKED_AT else _emptiest(index)
    verdicts = explain(index, demand, wall, hosts)
    return sorted(verdicts, key=lambda each: _distance(index.rooms[each.host], demand, each))[:NEAREST]


def _distance(room: Room, demand: Demand, verdict: Verdict) -> tuple[bool, int, float]:
    """Whether more than room is against a host, how much is, and what share of the demand is not free there."""
    asked = ((room.free_cores, demand.cores), (room.free_memory, demand.memory_bytes))
    lacks = max((1 - free / wanted for free, wanted in asked if wanted), default=0.0)
    refusals = verdict.refusals
    return bool(refusals) and refusals[0].filter not in FOR_ROOM, len(refusals), max(lacks, 0.0)


def survey(index: Index, demand: Demand, wall: float = 0.0) -> Survey:
    """How many hosts each filter keeps out."""
    total, opened = len(index.rooms), index.kinds.standing
    if demand.pin and not demand.fallback:
        return Survey(total, opened, {"pin": total - (demand.pin in index.rooms)})
    heeded = index.policy.heed(demand)
    count = _Count(index, heeded, wall)
    kept_out = {name: number for name, number in count.all() if number}
    return Survey(total, opened, kept_out, count.exact)


class _Count:
    """One demand's counts."""

    def __init__(self, index: Index, demand: Demand, wall: float) -> None:
        self.index, self.demand, self.wall = index, demand, wall
        self.exact = True
        self.kinds = index.kinds.every()

    def all(self) -> list[tuple[str, int]]:
        index, demand = self.index, self.demand
        counts = [("state", index.closed), ("health", len(index.rooms) - index.closed - index.kinds.standing)]
        if demand.exclude:
            counts.append(("leftover", self._of_these(demand.exclude)))
        if demand.kept:
            counts.append(("queue", self._of_these(demand.kept)))
        if demand.versions or demand.features or demand.networks:
            question = Question(index, demand, index.policy, self.wall)
            for name in _LIKENESS:
                why_not = FILTERS[name].why_not
                counts.append((name, sum(kind.size for kind in self.kinds if why_not(question, kind.sample))))
        if demand.labels:
            counts.append(("labels", index.kinds.standing - index.kinds.labelled(demand.labels)))
        if index.kinds.reserved and "reservation" in index.policy.filters:
            counts.append(("reservation", sum(kind.size for kind in self.kinds if not self._admits(kind))))
        counts += [("cores", self._short_of_cores()), ("memory", self._short_of_memory())]
        if demand.disk:
            counts.append(("disk", self._short_of_disk()))
        return counts + self._company() if demand.rules is not NO_RULES else counts

    def _of_these(self, hosts: frozenset[str]) -> int:
        rooms = self.index.rooms
        return sum(1 for host in hosts if host in rooms and rooms[host].place is not None)

    def _admits(self, kind: Kind) -> bool:
        held = kind.trait.reservation
        return held is None or held.admits(self.demand.owner, self.demand.groups, self.wall)

    def _short_of_cores(self) -> int:
        wanted = self.demand.cores
        total = sum(1 for room in self.index.over.values() if room.free_cores < wanted)
        for kind in self.kinds:
            grain, shelf = kind.geometry.core_grain, kind.shelf
            row = wanted // grain
            total += shelf.short_of_cores(row)
            if wanted % grain and row < len(shelf.rows):
                there = shelf.rows[row]
                turns = (-turn for cell in there.cells.values() for turn in cell)
                rooms = [self.index.at(turn) for turn in islice(turns, LOOKED_AT)]
                self.exact = self.exact and there.size <= LOOKED_AT
                total += sum(1 for room in rooms if room.free_cores < wanted)
        return total

    def _short_of_memory(self) -> int:
        wanted = self.demand.memory_bytes
        total = sum(1 for room in self.index.over.values() if room.free_memory < wanted)
        for kind in self.kinds:
            grain, shelf = kind.geometry.memory_grain, kind.shelf
            level = wanted // grain
            total += shelf.short_of_memory(level)
            if wanted % grain and level < len(shelf.levels) and shelf.levels[level]:
                turns = (-turn for row in shelf.rows for turn in row.cells.get(level, ()))
                rooms = [self.index.at(turn) for turn in islice(turns, LOOKED_AT)]
                self.exact = self.exact and shelf.levels[level] <= LOOKED_AT
                total += sum(1 for room in rooms if room.free_memory < wanted)
        return total

    def _short_of_disk(self) -> int:
        index, wanted = self.index, self.demand.disk
        if any(pool == SHARED and index.pool.why_not(size) for pool, size in wanted):
            return index.kinds.standing
        own = {pool for pool, _ in wanted if pool != SHARED}
        total = 0
        for kind in self.kinds if own else ():
            if not own <= kind.trait.pools:
                total += kind.size
                continue
            over = [room for room in index.over.values() if room.place is not None and room.place.kind is kind]
            rooms = [*over, *map(index.at, islice(kind.shelf.turns(), LOOKED_AT))]
            self.exact = self.exact and len(rooms) == kind.size
            short = FILTERS["disk"].why_not
            question = Question(index, self.demand, index.policy, self.wall)
            total += sum(1 for room in rooms if short(question, room))
        return total

    def _company(self) -> list[tuple[str, int]]:
        """Hosts that groups are on are few, or known by group."""
        index, rules, opened = self.index, self.demand.rules, self.index.kinds.standing
        counts: list[tuple[str, int]] = []
        together = [group for group in rules.together if index.where(group)]
        if together:
            counts.append(("affinity", opened - index.with_all(together)))
        if "anti-affinity" in index.policy.filters:
            counts.append(("anti-affinity", index.having(index.bans(rules))))
        if rules.spread:
            counts.append(("spread", self._uneven()))
        return counts

    def _uneven(self) -> int:
        """Hosts without the spread label, and those with a value of it that may not have one more of the group."""
        index, rules, kinds = self.index, self.demand.rules, self.index.kinds
        label, most, tally = (
            rules.spread,
            index.most_there(self.demand, self.wall),
            index.tally(rules.group, rules.spread),
        )
        looked_at = islice(tally.items(), VALUES)
        ahead = sum(kinds.labelled(frozenset({(label, value)})) for value, there in looked_at if there > most)
        if len(tally) > VALUES:
            self.exact = False
            if not most and kinds.with_label(label) == kinds.standing:
                ahead = max(ahead, index.having([("with", rules.group)]))  # one is there already
        return kinds.standing - kinds.with_label(label) + ahead


def _emptiest(index: Index) -> list[str]:
    """A few hosts of each kind: for each number of free cores one with the most memory, then those with most cores."""
    kinds = sorted(index.kinds.every(), key=lambda kind: -kind.size)[:LOOKED_AT]
    each = max(1, LOOKED_AT // max(1, len(kinds)))
    found: dict[int, None] = {}
    for kind in kinds:
        rows = [row for row in reversed(kind.shelf.rows) if row.filled]
        best = (-row.cells[row.filled.bit_length() - 1][-1] for row in rows)
        turns = (-turn for row in rows for cell in row.cells.values() for turn in reversed(cell))
        found.update(dict.fromkeys(islice(chain(best, turns), each)))
    return [index.at(turn).host for turn in found]
