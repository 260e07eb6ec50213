"""Why this host and not that one: every filter's answer and every weight's points, host by host."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tashi.model.units import format_size
from tashi.sched.demand import NO_RULES, SHARED, Demand
from tashi.sched.filters import HOST, Question, Refusal, new_enough
from tashi.sched.index import Index
from tashi.sched.view import Room
from tashi.sched.weights import terms


class Verdict(NamedTuple):
    """One host's answer. ``refusals`` in the order of the filters, none when it fits; ``points`` in thousandths."""

    host: str
    refusals: tuple[Refusal, ...]
    points: int = 0
    terms: tuple[tuple[str, int], ...] = ()

    @property
    def fits(self) -> bool:
        return not self.refusals

    @property
    def reason(self) -> str:
        """All that speaks against it, in one line."""
        return "; ".join(each.text for each in self.refusals)

    def cure(self, name: str) -> str:
        """What would make the host fit that people know by this name, in one line."""
        return "; ".join(each.cure.replace(HOST, name) for each in self.refusals)


def explain(index: Index, demand: Demand, wall: float = 0.0, hosts: Iterable[str] | None = None) -> list[Verdict]:
    """A verdict for each host, or each of ``hosts``: those that fit, the best first, then the others by number."""
    question = index.question(demand, wall)
    rooms = [index.rooms[host] for host in (index.rooms if hosts is None else hosts)]
    found = [(_verdict(question, index, room), room) for room in rooms]
    # A host asked for with a fallback comes first whenever it fits, as in `oracle`.
    found.sort(
        key=lambda each: (
            not each[0].fits,
            each[0].host != demand.pin,
            -each[0].points,
            each[1].turn if each[0].fits else each[1].number,
        )
    )
    return [verdict for verdict, _ in found]


def _verdict(question: Question, index: Index, room: Room) -> Verdict:
    refusals = tuple(question.refusals(room))
    if refusals:
        return Verdict(room.host, refusals)
    parts = tuple(terms(index, room, question.demand, index.policy))
    return Verdict(room.host, (), sum(points for _, points in parts), parts)


def why_never(index: Index, demand: Demand) -> str:
    """What no host has, were all of them empty, well and open to everybody; empty when some host could hold it.

    Looks at hosts until one could.
    """
    if any(_could(room, demand) for room in index.rooms.values()):
        return ""
    rooms = list(index.rooms.values())
    for key, value in sorted(demand.labels):
        if not any(room.labels.get(key) == value for room in rooms):
            return f"no host has the label {key}={value}"
    spread = demand.rules.spread
    if spread and not any(spread in room.labels for room in rooms):
        return f"no host has a label {spread}"
    for feature in sorted(demand.features):
        if not any(feature in room.supply.features for room in rooms):
            return f"no host has {feature}"
    for network in sorted(demand.networks):
        if not any(network in room.supply.networks for room in rooms):
            return f"no host has the network {network}"
    own = [each for each in demand.disk if each[0] != SHARED]
    for pool, size in own:
        there = [has for room in rooms for name, has in room.supply.disk if name == pool]
        if not there:
            return f"no host has a pool {pool}"
        if max(there) < size:
            return f"no host's pool {pool} could ever hold {format_size(size)}"
    for program, least in demand.versions:
        if not any(new_enough(room.supply, program, least) for room in rooms):
            return f"no host has {program} {least}"
    asks = sorted([*(f"{key}={value}" for key, value in demand.labels), *demand.features, *demand.networks])
    asks += [f"{program} {least}" for program, least in demand.versions]
    asks += [f"{format_size(size)} in pool {pool}" for pool, size in own]
    such = f" with {', '.join(asks)}" if asks else ""
    return f"no host{such} could ever hold {size_of(demand)}"


def most_ever(index: Index, demand: Demand, enough: int) -> int:
    """How many such VMs all hosts together could hold, were they empty, well and open to everybody.

    Looks at hosts until that is ``enough``.
    """
    alone = demand.rules.group in demand.rules.apart
    total = 0
    for room in index.rooms.values():
        if _could(room, demand):
            most = min(room.core_limit // demand.cores, room.memory_limit // demand.memory_bytes)
            total += min(most, 1) if alone else most
            if total >= enough:
                break
    return total


def size_of(demand: Demand) -> str:
    """``4 cores and 8G of memory``."""
    return f"{demand.cores} {'core' if demand.cores == 1 else 'cores'} and {format_size(demand.memory_bytes)} of memory"


def asks_of(demand: Demand) -> str:
    """What it asks besides: ``rack=r1, apart from ann/web``; empty for nothing."""
    if demand.rules is NO_RULES and not (demand.labels or demand.features or demand.versions):
        return ""
    rules = demand.rules
    asks = [f"{key}={value}" for key, value in sorted(demand.labels)] + sorted(demand.features)
    asks += [f"{program} {least}" for program, least in demand.versions]
    for words, groups in (
        ("apart from", rules.apart),
        ("with", rules.together),
        ("away from", rules.away),
        ("near", rules.near),
    ):
        asks += [f"{words} {group}" for group in groups]
    if rules.spread:
        asks.append(f"spread over {rules.spread}")
    return ", ".join(asks)


def _could(room: Room, demand: Demand) -> bool:
    if demand.cores > room.core_limit or demand.memory_bytes > room.memory_limit:
        return False
    supply = room.supply
    labelled = not demand.labels or demand.labels <= room.labels.items()
    labelled = labelled and (not demand.rules.spread or demand.rules.spread in room.labels)
    roomy = not demand.disk or all(_ever_fits(room, pool, size) for pool, size in demand.disk)
    new = all(new_enough(supply, program, least) for program, least in demand.versions)
    return labelled and roomy and new and demand.features <= supply.features and demand.networks <= supply.networks


def _ever_fits(room: Room, pool: str, size: int) -> bool:
    """Whether a disk could be there were the pool empty; the shared one is for others to look at."""
    return pool == SHARED or any(name == pool and size <= has for name, has in room.supply.disk)
