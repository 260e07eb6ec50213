"""Hosts that no filter but those about room and company can tell apart are one kind, and stand on one shelf.

Only hosts that are open and well are here. A demand names some of what makes a kind: which kinds pass is worked out
once and kept until a kind comes or goes.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache
from typing import NamedTuple

from tashi.sched.crowd import Crowds
from tashi.sched.demand import SHARED, Demand
from tashi.sched.filters import FILTERS, Question
from tashi.sched.geometry import Geometry, Stock
from tashi.sched.policy import Policy
from tashi.sched.shelf import NOWHERE, Shelf
from tashi.sched.supply import Reservation, Supply
from tashi.sched.view import Room, View
from tashi.sched.weights import MOST_FAILURES, failures

FACETS = 256  # sets of labels with shelves of their own; the one that was asked for longest ago makes room
QUESTIONS = 4096  # sets of features, networks, versions and pools whose kinds are remembered
SAMPLE = "sample-0"
NO_POOLS: frozenset[str] = frozenset()
Labels = frozenset[tuple[str, str]]


class Trait(NamedTuple):
    """What hosts of one kind have in common."""

    geometry: Geometry
    features: frozenset[str]
    networks: frozenset[str]
    versions: tuple[tuple[str, str], ...]
    pools: frozenset[str]  # of its own
    stocks: tuple[Stock, ...]  # the same, when it matters what is free there
    reservation: Reservation | None
    failures: int


def _trait(room: Room, supply: Supply, by_stock: bool) -> Trait:
    return Trait(
        room.geometry,
        supply.features,
        supply.networks,
        supply.versions,
        frozenset(name for name, _ in supply.disk) if supply.disk else NO_POOLS,
        room.stocks() if by_stock else (),
        supply.reservation,
        min(supply.failures, MOST_FAILURES),
    )


@lru_cache(maxsize=QUESTIONS)
def _sample(features: frozenset[str], networks: frozenset[str], versions: tuple[tuple[str, str], ...]) -> Room:
    room = Room(SAMPLE)
    room.take(Supply(SAMPLE, 0, 0, features=features, networks=networks, versions=versions))
    return room


class Kind:
    """``sample`` is a host that has what makes the kind for filters, and nothing else; kinds alike there share it."""

    __slots__ = ("failures", "geometry", "sample", "shelf", "size", "trait")

    def __init__(self, trait: Trait) -> None:
        self.trait = trait
        self.sample = _sample(trait.features, trait.networks, trait.versions)
        self.shelf = Shelf()
        self.size = 0
        self.geometry = trait.geometry
        self.failures = failures(trait.failures)  # points


Standing = list[tuple[Kind, Shelf]]


class Passing(NamedTuple):
    """Kinds that pass for some demands; ``reserved``: some of them are not for everybody."""

    shelves: Standing
    reserved: bool


class Place:
    """Where a host stands: on its kind's shelf and those of labels asked for, and beside them on those of crowds; at

    one row and level on all of them.
    """

    __slots__ = ("beside", "kind", "level", "row", "shelves")

    def __init__(self, kind: Kind) -> None:
        self.kind, self.row, self.level = kind, NOWHERE, NOWHERE
        self.shelves = [kind.shelf]
        self.beside: list[Shelf] = []

    def move(self, turn: int, row: int, level: int) -> None:
        """Stand somewhere else, or nowhere."""
        old_row, old_level = self.row, self.level
        self.row, self.level = row, level
        for shelves in (self.shelves, self.beside) if self.beside else (self.shelves,):
            for shelf in shelves:
                if old_row != NOWHERE:
                    shelf.take(turn, old_row, old_level)
                if row != NOWHERE:
                    shelf.put(turn, row, level)


class Kinds:
    """All kinds, the hosts by label, and the shelves that some labels and crowds have."""

    def __init__(self, crowds: Crowds) -> None:
        self._crowds = crowds
        self.reserved = 0  # how many kinds are not for everybody
        self.by_stock = False  # whether hosts with more or less free in their own pools are of different kinds
        self._kinds: dict[Trait, Kind] = {}
        self._standing: dict[int, tuple[Room, Place]] = {}  # by turn: hosts that are open and well
        self._labelled: dict[tuple[str, str], set[int]] = {}
        self._facets: dict[Labels, dict[Kind, Shelf]] = {}
        self._spread: dict[str, int] = {}  # labels over which groups are spread: how many hosts have them
        self._passing: dict[tuple[object, ...], Passing] = {}

    def join(self, room: Room, supply: Supply) -> Place:
        """A host becomes open and well, or of another kind: what ``supply`` says. It has no row yet."""
        trait = _trait(room, supply, self.by_stock)
        kind = self._kinds.get(trait)
        if kind is None:
            kind = self._kinds[trait] = Kind(trait)
            self.reserved += trait.reservation is not None
            self._passing.clear()
        kind.size += 1
        place = Place(kind)
        self._standing[room.turn] = room, place
        for pair in room.labels.items():
            self._labelled.setdefault(pair, set()).add(room.turn)
        for labels, facet in self._facets.items():
            if labels <= room.labels.items():
                place.shelves.append(facet.setdefault(kind, Shelf()))
        self._count(room, place, 1)
        self._crowds.join(room, place)
        return place

    def leave(self, room: Room, place: Place) -> None:
        """The opposite; its labels are still those with which it came."""
        self._count(room, place, -1)
        self._crowds.leave(room, place)
        place.move(room.turn, NOWHERE, NOWHERE)
        for pair in room.labels.items():
            turns = self._labelled[pair]
            turns.remove(room.turn)
            if not turns:
                del self._labelled[pair]
        del self._standing[room.turn]
        kind = place.kind
        kind.size -= 1
        if not kind.size:
            del self._kinds[kind.trait]
            self.reserved -= kind.trait.reservation is not None
            self._passing.clear()
            self._crowds.forget([kind.shelf, *(facet.pop(kind) for facet in self._facets.values() if kind in facet)])

    def passing(self, demand: Demand, wall: float) -> Standing:
        """The kinds whose hosts a demand may have, as far as what they are and their labels go, and their shelves."""
        pools = frozenset(pool for pool, _ in demand.disk if pool != SHARED) if demand.disk else NO_POOLS
        key = (demand.features, demand.networks, demand.versions, pools)
        found = self._passing.get(key)
        if found is None:
            if len(self._passing) >= QUESTIONS:
                self._passing.clear()
            found = self._passing[key] = self._alike(demand, pools)
        shelves = found.shelves
        if found.reserved:
            owner, groups = demand.owner, demand.groups
            shelves = [
                (kind, shelf)
                for kind, shelf in shelves
                if (held := kind.trait.reservation) is None or held.admits(owner, groups, wall)
            ]
        return self._labelled_so(shelves, demand.labels) if demand.labels else shelves

    def every(self) -> Collection[Kind]:
        """All kinds that there are now."""
        return self._kinds.values()

    @property
    def standing(self) -> int:
        """How many hosts are open and well."""
        return len(self._standing)

    def labelled(self, labels: Labels) -> int:
        """How many of them have all these labels."""
        if len(labels) == 1:
            return len(self._labelled.get(next(iter(labels)), ()))
        return len(set[int].intersection(*(self._labelled.get(pair, set()) for pair in labels)))

    def domains(self, label: str) -> None:
        """From now on every shelf knows which values of this label its hosts have."""
        if label not in self._spread:
            self._spread[label] = 0
            for room, place in self._standing.values():
                self._count_one(label, room, place, 1)

    def with_label(self, label: str) -> int:
        """How many have any value of a label over which groups are spread."""
        return self._spread[label]

    # -- inside -----------------------------------------------------------------------------------------------------
    def _count(self, room: Room, place: Place, change: int) -> None:
        for label in self._spread:
            self._count_one(label, room, place, change)

    def _count_one(self, label: str, room: Room, place: Place, change: int) -> None:
        value = room.labels.get(label)
        if value is not None:
            self._spread[label] += change
            for shelf in place.shelves:
                shelf.count(label, value, change)

    def _alike(self, demand: Demand, pools: frozenset[str]) -> Passing:
        question = Question(_NOTHING, demand, _POLICY, 0.0)
        unlike = [FILTERS[name].why_not for name in _LIKENESS]
        kinds = [kind for kind in self._kinds.values() if pools <= kind.trait.pools]
        passes = {sample: not any(no(question, sample) for no in unlike) for sample in {each.sample for each in kinds}}
        kinds = [kind for kind in kinds if passes[kind.sample]]
        return Passing(
            [(kind, kind.shelf) for kind in kinds], any(kind.trait.reservation is not None for kind in kinds)
        )

    def _labelled_so(self, shelves: Standing, labels: Labels) -> Standing:
        """The shelves of the same kinds, with the hosts alone that have all these labels."""
        facet = self._facets.pop(labels, None)
        if facet is None:
            facet = self._make(labels)
        self._facets[labels] = facet  # the newest is the last
        return [(kind, facet[kind]) for kind, _ in shelves if kind in facet]

    def _having(self, labels: Labels) -> list[tuple[Room, Place]]:
        few = min((self._labelled.get(pair, set()) for pair in labels), key=len)
        hosts = [self._standing[turn] for turn in few]
        return [(room, place) for room, place in hosts if len(labels) == 1 or labels <= room.labels.items()]

    def _make(self, labels: Labels) -> dict[Kind, Shelf]:
        while len(self._facets) >= FACETS:
            self._drop(next(iter(self._facets)))
        facet: dict[Kind, Shelf] = {}
        for room, place in self._having(labels):
            shelf = facet.get(place.kind)
            if shelf is None:
                shelf = facet[place.kind] = Shelf()
            place.shelves.append(shelf)
            if place.row != NOWHERE:
                shelf.put(room.turn, place.row, place.level)
            self._crowds.stand(room, place, shelf)
            for label in self._spread:
                if label in room.labels:
                    shelf.count(label, room.labels[label], 1)
        return facet

    def _drop(self, labels: Labels) -> None:
        facet = self._facets.pop(labels)
        for room, place in self._having(labels):
            shelf = facet[place.kind]
            self._crowds.part(room, place, shelf)
            place.shelves.remove(shelf)
        self._crowds.forget(facet.values())


_NOTHING, _POLICY = View(), Policy()
_LIKENESS = ("version", "features", "networks")
