"""A cluster to try things on: guests are lifted and set down, hosts closed and opened, and all of it undone.

What may be where is for the filters to say, as for every placement; the board only keeps count.
"""

from __future__ import annotations

from collections.abc import Iterable

from tashi.sched.demand import Demand
from tashi.sched.filters import Question, Refusal
from tashi.sched.index import Index
from tashi.sched.plan.snapshot import Snapshot, to_be_moved

LIVELY = ("state", "health", "leftover", "queue")  # filters that say where a guest may come, not where it may be


class Board:
    """``at``: the host of each guest that has one; ``on``: the guests of each host. ``besides``: guests that a host
    counts although they are elsewhere."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self.index = Index(snapshot.policy)
        self.at: dict[str, str] = {}
        self.on: dict[str, dict[str, None]] = {host: {} for host in snapshot.hosts}
        self.besides: dict[str, list[str]] = {}
        self.wants: dict[str, Demand] = {}
        self._questions: dict[str, Question] = {}
        self._followers: dict[str, list[str]] = {}  # group -> those who must be where it is
        self.members: dict[str, list[str]] = {}  # group -> its guests
        self._spreads: dict[str, dict[Demand, list[str]]] = {}  # group -> what they ask -> those that are spread
        for place in snapshot.hosts.values():
            self.index.set_host(place.supply)
        rooms = self.index.rooms.values()
        self._largest = (
            max((room.core_limit for room in rooms), default=0) or 1,
            max((room.memory_limit for room in rooms), default=0) or 1,
        )
        for guest in snapshot.guests.values():
            self.wants[guest.id] = to_be_moved(guest)
            self._note_rules(guest.id)
            for host in guest.also:
                self.index.claim(host, self.wants[guest.id])
                self.besides.setdefault(host, []).append(guest.id)
            if guest.host:
                self.set_down(guest.id, guest.host)

    # -- guests -----------------------------------------------------------------------------------------------------
    def set_down(self, guest: str, host: str) -> None:
        """Count a guest on a host, fitting or not."""
        self.index.claim(host, self.wants[guest])
        self.at[guest] = host
        self.on[host][guest] = None

    def lift(self, guest: str) -> str:
        """Take a guest off its host, which is returned. Raises KeyError for one that is on none."""
        host = self.at.pop(guest)
        del self.on[host][guest]
        self.index.release(host, self.wants[guest])
        return host

    def move(self, guest: str, host: str) -> str:
        """Lift it and set it down; returns where it was."""
        source = self.lift(guest)
        self.set_down(guest, host)
        return source

    def try_move(self, guest: str, host: str) -> bool:
        """Move a guest if it may come there, and if that breaks nobody's rule that was not broken before."""
        source = self.lift(guest)
        if host == source or not self.fits(guest, host):
            self.set_down(guest, source)
            return False
        self.set_down(guest, host)
        minding = self._minding(guest, source)
        if not minding:
            return True
        after = self.wrongs(minding)
        self.move(guest, source)
        if after - self.wrongs(minding):
            return False
        self.move(guest, host)
        return True

    def pick(self, guest: str, besides: frozenset[str] = frozenset()) -> str | None:
        """Where placement would put a guest that is on no host, but for these hosts."""
        demand = self.wants[guest]
        if besides:
            demand = demand._replace(exclude=demand.exclude | besides)
        return self.index.pick(demand, self.snapshot.wall)

    def largest_first(self, guests: Iterable[str]) -> list[str]:
        """The order in which guests are best placed: who needs most, of cores or of memory, comes first."""
        return sorted(guests, key=lambda guest: (-self.size(guest), int(guest[2:])))

    def size(self, guest: str) -> float:
        """How much of the largest host a guest needs, of cores or of memory."""
        return max(self.shares(guest))

    def shares(self, guest: str) -> tuple[float, float]:
        """How much of the largest host a guest needs, of cores and of memory."""
        demand, (cores, memory) = self.wants[guest], self._largest
        return demand.cores / cores, demand.memory_bytes / memory

    # -- what the filters say ---------------------------------------------------------------------------------------
    def question(self, guest: str) -> Question:
        """A guest's demand to be put to hosts, while it is on none."""
        question = self._questions.get(guest)
        if question is None:
            question = self.index.question(self.wants[guest], self.snapshot.wall)
            if not self.wants[guest].rules.spread:  # that one counts its group when it is made
                self._questions[guest] = question
        return question

    def fits(self, guest: str, host: str) -> bool:
        """Whether a guest that is on no host may come to this one."""
        demand, room = self.wants[guest], self.index.rooms[host]
        if room.free_cores < demand.cores or room.free_memory < demand.memory_bytes:
            return False
        return self.question(guest).fits(room)

    def broken(self, guest: str) -> list[Refusal]:
        """What is against a guest's being where it is: rules that it breaks there, room that there is not."""
        host = self.lift(guest)
        refusals = [] if self.fits(guest, host) else self.question(guest).refusals(self.index.rooms[host])
        self.set_down(guest, host)
        return [each for each in refusals if each.filter not in LIVELY]

    def wrongs(self, guests: Iterable[str]) -> set[tuple[str, str]]:
        """(guest, filter) for all that is against the places of these guests."""
        return {(guest, each.filter) for guest in guests for each in self.broken(guest)}

    def _note_rules(self, guest: str) -> None:
        demand = self.wants[guest]
        rules = demand.rules
        for group in rules.together:
            self._followers.setdefault(group, []).append(guest)
        if rules.group:
            self.members.setdefault(rules.group, []).append(guest)
        if rules.group and rules.spread:
            self._spreads.setdefault(rules.group, {}).setdefault(_alike(demand), []).append(guest)

    def _minding(self, guest: str, source: str) -> list[str]:
        """Guests whose rules this one may have broken by moving: who must be with its group and was left alone there,
        and its group, where that is spread. Where all ask alike the filters have looked at the place that it came to,
        and the others can only mind that the one it left has too few now."""
        demand = self.wants[guest]
        rules = demand.rules
        found = [each for each in self._followers.get(rules.group, ()) if self.at.get(each) == source]
        for asked, members in self._spreads.get(rules.group, {}).items():
            tally = self.index.tally(rules.group, asked.rules.spread)
            there = tally.get(self.index.rooms[source].labels.get(asked.rules.spread, ""), 0)
            if asked != _alike(demand) or max(tally.values(), default=0) - there > asked.rules.skew:
                found += [each for each in members if each in self.at]
        return found

    # -- hosts ------------------------------------------------------------------------------------------------------
    def close(self, host: str, why: str) -> None:
        """Let nothing come to a host; who is there stays."""
        self.index.set_host(self.snapshot.hosts[host].supply._replace(closed=why))

    def reopen(self, host: str) -> None:
        """Let a host be as the snapshot has it."""
        self.index.set_host(self.snapshot.hosts[host].supply)


def _alike(demand: Demand) -> Demand:
    """What decides which values a spread is counted over."""
    return demand._replace(pin="", fallback=False, exclude=frozenset(), local=())
