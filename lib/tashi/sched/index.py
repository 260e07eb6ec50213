"""Where the next VM goes, at a cost that does not grow with the number of hosts.

Hosts that may take a VM stand on shelves (`shelf`), one for each kind: hosts that no filter but those about room and
company can tell apart (`kinds`). A demand asks each kind once, then walks the shelves of those that pass (`search`).
Labels have many values, so they make no kinds: a demand that names labels gets shelves of its own, of the hosts that
have them, kept and updated as long as such demands come. A change of a host moves it on its shelves; nothing else is
touched.

The choice depends on what is there, never on how it came about. `oracle` says the same by looking at every host.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import NamedTuple

from tashi.sched.crowd import Crowds, Mark
from tashi.sched.demand import NO_RULES, SHARED, Demand, Rules
from tashi.sched.filters import Question
from tashi.sched.kinds import Kind, Kinds, Place, Standing
from tashi.sched.policy import OPTIONAL, Policy
from tashi.sched.search import Best, Search, fewest, slope_of, walk
from tashi.sched.shelf import NOWHERE
from tashi.sched.supply import Supply
from tashi.sched.view import Room, View
from tashi.sched.weights import company, disk, terms


class Last(NamedTuple):
    """What was asked last, and the best hosts for it, ``most`` at most: one that asks the same gets the first again.

    Under pack that is so while it has room, because it only got fuller, until anything else changes; and only for
    demands that mind nobody else, the pool or the time.
    """

    demand: Demand | None
    rooms: list[Room]
    most: int


NOBODY = Last(None, [Room("nobody-0")], 0)


class Index(View):
    """A view that knows at once where the next VM goes."""

    def __init__(self, policy: Policy | None = None) -> None:
        super().__init__()
        self._by_turn: dict[int, Room] = {}
        self.over: dict[str, Room] = {}  # hosts that are open and well, and have promised more than they have
        self.set_policy(policy or Policy())

    def set_policy(self, policy: Policy) -> None:
        """Decide by another policy from now on."""
        self.policy = policy
        self._slopes = {"pack": slope_of("pack", policy), "spread": slope_of("spread", policy)}
        self._failure, self._company = policy.weight("failures"), policy.weight("company")
        self._disk = policy.weight("disk")
        self._shuns = "anti-affinity" in policy.filters
        self._all_ask = set(policy.filters) >= set(OPTIONAL)
        self._crowds = Crowds(self)
        self._kinds = Kinds(self._crowds)
        self._last = NOBODY
        self._closed = 0  # hosts that are given nothing
        self.over.clear()
        for room in self.rooms.values():
            room.place = None
            self._stand(room)

    # -- changes ----------------------------------------------------------------------------------------------------
    def set_host(self, supply: Supply) -> None:
        room = self._room(supply.host)
        if supply != room.supply:
            self._go(room)
            super().set_host(supply)
            self._stand(room)

    def drop_host(self, host: str) -> None:
        room = self.rooms.get(host)
        if room is not None:
            self._go(room)
            super().drop_host(host)
            del self._by_turn[room.turn]

    def _room(self, host: str) -> Room:
        room = super()._room(host)
        self._by_turn[room.turn] = room
        return room

    def _change(self, room: Room, demand: Demand, sign: int) -> None:
        if sign < 0 or room is not self._last.rooms[0]:
            self._last = NOBODY
        super()._change(room, demand, sign)
        if room.place is None:
            return
        if self._kinds.by_stock and demand.disk and room.stocks() != room.place.kind.trait.stocks:
            self._change_kind(room, room.place)
        else:
            self._seat(room, room.place)

    def _mingle(self, room: Room, rules: Rules, sign: int) -> None:
        super()._mingle(room, rules, sign)
        self._crowds.changed(room, rules)

    # -- the question -----------------------------------------------------------------------------------------------
    def pick(self, demand: Demand, now_wall: float = 0.0) -> str | None:
        """The id of the best host for a VM, None when there is none. It claims nothing."""
        rooms = self.best(demand, 1, now_wall)
        return rooms[0].host if rooms else None

    def best(self, demand: Demand, count: int, now_wall: float = 0.0) -> list[Room]:
        """The host that `pick` chooses, then those that it would choose were the ones before not there.

        ``count`` at most, and of a demand with a pin that fits that one alone.
        """
        last, rooms, known = self._last
        if count <= known and demand == last and _holds(rooms[0], demand):
            return rooms[:count]
        asked = demand
        if not self._all_ask:
            demand = self.policy.heed(demand)
        if demand.disk and self._pool_is_full(demand):
            return []
        shelves, search = self._prepare(demand, now_wall)
        if demand.pin:
            pinned = Best()
            self._judge([demand.pin], demand, shelves, search, pinned)
            if pinned.found or not demand.fallback:
                return [each.room for each in pinned.found]
        best = Best(count)
        self._look(demand, shelves, search, best)
        rooms = [each.room for each in best.found]
        alone = demand.rules is NO_RULES and not (demand.disk or demand.local or self._kinds.reserved)
        if rooms and alone and (demand.order or self.policy.order) == "pack":
            self._last = Last(asked, rooms, count)
        return rooms

    def latest(self) -> object:
        """The same object as long as nothing was claimed but what `pick` has chosen for one demand again and again.

        None when it can't be told.
        """
        return self._last if self._last is not NOBODY else None

    def at(self, turn: int) -> Room:
        """The host with this turn."""
        return self._by_turn[turn]

    @property
    def closed(self) -> int:
        """How many hosts their administrators give nothing."""
        return self._closed

    @property
    def kinds(self) -> Kinds:
        """Hosts by what filters can tell apart."""
        return self._kinds

    def could_hold(self, host: str, demand: Demand, now_wall: float = 0.0) -> bool:
        """Whether this very host could take the VM, were nothing on it; it is open and well."""
        room = self.rooms.get(host)
        if room is None or room.place is None:
            return False
        demand = self.policy.heed(demand)
        kinds = {kind for kind, _ in self._kinds.passing(demand, now_wall)}
        large = room.core_limit >= demand.cores and room.memory_limit >= demand.memory_bytes
        return large and room.place.kind in kinds and demand.labels <= room.labels.items()

    def fitting(self, demand: Demand, now_wall: float = 0.0) -> Iterator[Room]:
        """Every host that a VM could have now, in no order."""
        demand = self.policy.heed(demand)
        if self._pool_is_full(demand):
            return
        shelves, search = self._prepare(demand, now_wall)
        only = demand.pin if not demand.fallback else ""
        for _, shelf in shelves:
            for turn in shelf.turns():
                room = self._by_turn[turn]
                if (not only or room.host == only) and search.takes(room):
                    yield room

    def bans(self, rules: Rules) -> list[Mark]:
        """Where company alone keeps a VM with these rules out."""
        marks: list[Mark] = [("with", group) for group in rules.apart] if self._shuns else []
        if self._shuns and rules.group:
            marks.append(("shunning", rules.group))
        return marks

    def having(self, marks: list[Mark]) -> int:
        """How many hosts that are open and well have any of these marks."""
        return self._crowds.count(marks)

    def with_all(self, groups: list[str]) -> int:
        """On how many hosts that are open and well all these groups are."""
        if len(set(groups)) == 1:
            return self.having([("with", groups[0])])
        hosts = set(self.where(groups[0])).intersection(*map(self.where, groups[1:]))
        return sum(1 for host in hosts if self.rooms[host].place is not None)

    def most_there(self, demand: Demand, now_wall: float = 0.0) -> int:
        """How many of its group a value of a demand's spread label may have already, to have one more."""
        return self._prepare(demand, now_wall)[1].most

    def question(self, demand: Demand, now_wall: float = 0.0) -> Question:
        """The demand as filters are asked it, host by host; what takes a look at all hosts is known already."""
        heeded = self.policy.heed(demand)
        shelves, search = self._prepare(heeded, now_wall)
        question = Question(self, demand, self.policy, now_wall)
        if search.spread:
            question.values = set[str]().union(*(shelf.domains.get(search.spread, ()) for _, shelf in shelves))
        return question

    def _pool_is_full(self, demand: Demand) -> bool:
        return any(pool == SHARED and self.pool.why_not(size) for pool, size in demand.disk)

    def _prepare(self, demand: Demand, wall: float) -> tuple[Standing, Search]:
        """The shelves that a demand may take from, and what a host there must pass besides."""
        search = Search(self, demand, self._shuns)
        if search.disk and self._disk and (demand.order or self.policy.order) == "spread":
            self._tell_stocks_apart()
            search.stocked = partial(self._stocked, demand)
        if search.spread:
            self._kinds.domains(search.spread)
        shelves = self._kinds.passing(demand, wall)
        if search.spread:
            shelves = [each for each in shelves if each[0].geometry.could_hold(demand.cores, demand.memory_bytes)]
            most = fewest([shelf for _, shelf in shelves], search.spread, search.tally)
            search.most = most + demand.rules.skew - 1
        return shelves, search

    def _look(self, demand: Demand, shelves: Standing, search: Search, best: Best) -> None:
        """Let ``best`` see the best hosts on these shelves that pass; a pin is not looked at."""
        slope = self._slopes[demand.order or self.policy.order]
        if demand.rules is NO_RULES and not demand.local:
            walk(shelves, slope, self._failure, search, self._by_turn, best)
            return
        rules, passing = demand.rules, shelves
        if search.together:
            group = min(filter(self.where, rules.together), key=lambda each: len(self.where(each)))
            if not self._crowds.large([("with", group)]):
                self._judge(self.where(group), demand, shelves, search, best)
                return
            passing = self._crowds.of([("with", group)]).alone(shelves)
        few, many = {host for host, _ in demand.local}, list[str]()
        for group in dict.fromkeys((*rules.near, *rules.away)):
            if self._crowds.large([("with", group)]):
                many.append(group)
            else:
                few.update(self.where(group))
        if few:
            self._judge(few, demand, shelves, search, best)
        search.leave_out([few, *map(self.where, many)])
        marks = self.bans(rules) + [("with", group) for group in many]
        if search.spread and not search.most:
            marks.append(("with", rules.group))  # no value of the label may have two
        if self._crowds.large(marks):
            search.passed_over = self._crowds.of(marks).beside
        walk(passing, slope, self._failure, search, self._by_turn, best)
        for at, group in enumerate(many):
            search.leave_out([few, *map(self.where, many[:at])])
            near = sum(each in many[at:] for each in rules.near)
            search.besides = self._company * company(rules, near, rules.away.count(group))
            search.points = partial(self._points, demand)
            alone = self._crowds.of([("with", group)]).alone(shelves)
            walk(alone, slope, self._failure, search, self._by_turn, best)

    def _judge(self, hosts: Iterable[str], demand: Demand, shelves: Standing, search: Search, best: Best) -> None:
        """Let ``best`` see a few hosts, one by one."""
        kinds = {kind for kind, _ in shelves}
        for host in hosts:
            room = self.rooms.get(host)
            if room is None or room.place is None or room.place.kind not in kinds:
                continue
            if not demand.labels <= room.labels.items() or not search.takes(room):
                continue
            best.see(self._points(demand, room), room.turn, room)

    def _points(self, demand: Demand, room: Room) -> int:
        return sum(each for _, each in terms(self, room, demand, self.policy))

    def _stocked(self, demand: Demand, kind: Kind) -> int:
        return self._disk * disk(demand, kind.trait.stocks, kind.geometry)

    # -- where hosts stand ------------------------------------------------------------------------------------------
    def _stand(self, room: Room) -> None:
        """Put a host where it belongs, if it may take anything."""
        supply = room.supply
        self._closed += bool(supply.closed)
        if supply.closed or supply.unwell:
            return
        room.place = self._kinds.join(room, self.policy.hear(supply))
        self._seat(room, room.place)

    def _go(self, room: Room) -> None:
        self._last = NOBODY
        self._closed -= bool(room.supply.closed)
        if room.place is not None:
            self._kinds.leave(room, room.place)
            room.place = None
            self.over.pop(room.host, None)

    def _change_kind(self, room: Room, place: Place) -> None:
        """Put an open host among those that are like it now."""
        self._kinds.leave(room, place)
        room.place = self._kinds.join(room, self.policy.hear(room.supply))
        self._seat(room, room.place)

    def _tell_stocks_apart(self) -> None:
        """From now on what is free in a host's own pools is part of its kind."""
        if not self._kinds.by_stock:
            self._kinds.by_stock = True
            for room in self.rooms.values():
                if room.place is not None and room.supply.disk:
                    self._change_kind(room, room.place)

    def _seat(self, room: Room, place: Place) -> None:
        """Move a host to the row and level where it belongs now."""
        if room.free_cores < 0 or room.free_memory < 0:
            row = level = NOWHERE
            self.over[room.host] = room
        else:
            row = room.free_cores // room.geometry.core_grain
            level = room.free_memory // room.geometry.memory_grain
        if row == place.row and level == place.level:
            return
        if place.row == NOWHERE:
            self.over.pop(room.host, None)
        place.move(room.turn, row, level)


def _holds(room: Room, demand: Demand) -> bool:
    return demand.cores <= room.free_cores and demand.memory_bytes <= room.free_memory
