"""Whether guests that are on no host all find one: yes with their places, no with a proof, or left open.

Placing them one by one, the largest first, mostly works, and what it finds is proof enough. Where it leaves some out, a
count of how many so large ones the room can hold may prove that there is no way, and so does one that no host can take
whoever else comes. Else every way is tried, up to STEPS questions to hosts; what is not settled by then is left open,
and said to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tashi.sched.plan.board import Board
from tashi.sched.view import Room

STEPS = 50_000  # questions to hosts: less than a second
DEEPEST = 200  # guests: more are not tried every way

LIFTED = ("affinity", "spread")  # filters that may say yes when others have come; all else only gets worse


class Fill(NamedTuple):
    """``left``: guests without a place, the largest first. ``proven``: none is left, or no way places all of them."""

    placed: dict[str, str]
    left: tuple[str, ...]
    proven: bool


def fill(board: Board, guests: Sequence[str], steps: int = STEPS) -> Fill:
    """Set down as many as go; who is left stays on no host."""
    ordered = board.largest_first(guests)
    placed, left = _one_by_one(board, ordered)
    if not left:
        return Fill(placed, (), True)
    for guest in placed:
        board.lift(guest)
    proven = too_many(board, ordered) or (steps > 0 and any(_has_none(board, guest) for guest in left))
    if not proven and steps > 0 and len(ordered) <= DEEPEST:
        search = _Search(board, ordered, steps)
        if search.all_find(ordered):
            return Fill(search.places, (), True)
        proven = search.steps >= 0
    for guest, host in placed.items():
        board.set_down(guest, host)
    return Fill(placed, tuple(left), proven)


def _one_by_one(board: Board, guests: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """Where placement puts them; those left out are tried again as long as that helps, as it may with a spread."""
    placed: dict[str, str] = {}
    left, before = list(guests), len(guests) + 1
    while left and len(left) < before:
        before, trying = len(left), left
        left = []
        for guest in trying:
            host = board.pick(guest)
            if host is None:
                left.append(guest)
            else:
                board.set_down(guest, host)
                placed[guest] = host
    return placed, left


def too_many(board: Board, guests: Sequence[str]) -> bool:
    """Whether there are more guests of at least some size than the open hosts can hold of just that size."""
    sizes = [(board.wants[guest].cores, board.wants[guest].memory_bytes) for guest in guests]
    rooms = [
        (room.free_cores, room.free_memory)
        for room in board.index.rooms.values()
        if room.free_cores > 0 and room.free_memory > 0 and not room.supply.closed and not room.supply.unwell
    ]
    for cores, memory in set(sizes):
        count = sum(1 for other in sizes if other[0] >= cores and other[1] >= memory)
        for free_cores, free_memory in rooms:
            count -= min(free_cores // cores, free_memory // memory)
            if count <= 0:
                break
        if count > 0:
            return True
    free = [sum(room[part] for room in rooms) for part in (0, 1)]
    return any(sum(size[part] for size in sizes) > free[part] for part in (0, 1))


def _has_none(board: Board, guest: str) -> bool:
    """Whether no host can take this one, wherever the others come."""
    question = board.question(guest)
    return not any(
        all(refusal.filter in LIFTED for refusal in question.refusals(room)) for room in board.index.rooms.values()
    )


class _Search:
    """Every way to place some guests. Of hosts that nothing tells apart one is tried; the guest with the fewest hosts
    comes first, unless the order may matter: a spread or a wish for company depends on who is there already."""

    def __init__(self, board: Board, guests: Sequence[str], steps: int) -> None:
        self.board, self.steps = board, steps  # below 0: spent
        self.places: dict[str, str] = {}
        rules = [board.wants[guest].rules for guest in guests]
        self._order_matters = any(each.spread or each.together for each in rules)
        self._groups = sorted({group for each in rules for group in (each.group, *each.apart, *each.together) if group})
        self._named = {host for guest in guests for host in (board.wants[guest].pin, *board.wants[guest].exclude)}
        self._kinds: dict[str, object] = {
            host: host if host in self._named else room.supply._replace(host="", failures=0)
            for host, room in board.index.rooms.items()
        }

    def all_find(self, guests: list[str]) -> bool:
        """Whether a place was found for all; they are on it then."""
        if not guests:
            return True
        choices = []
        for guest in guests:
            hosts = self._hosts(guest)
            if self.steps < 0:
                return False
            choices.append((len(hosts), guest, hosts))
            if not hosts and not self._order_matters:
                return False
        choices.sort(key=lambda choice: choice[0])
        for _, guest, hosts in choices if self._order_matters else choices[:1]:
            others = [each for each in guests if each != guest]
            for host in hosts:
                self.board.set_down(guest, host)
                self.places[guest] = host
                if self.all_find(others):
                    return True
                self.board.lift(guest)
                del self.places[guest]
                if self.steps < 0:
                    return False
        return False

    def _hosts(self, guest: str) -> list[str]:
        """Hosts that it fits on, of those alike the first; the fullest first."""
        board, seen, found = self.board, set(), []
        for host, room in board.index.rooms.items():
            self.steps -= 1
            if not board.fits(guest, host):
                continue
            looks = self._looks(host, room)
            if looks not in seen:
                seen.add(looks)
                found.append((room.free_cores, room.free_memory, room.number, host))
        return [host for *_, host in sorted(found)]

    def _looks(self, host: str, room: Room) -> tuple[object, ...]:
        view = self.board.index
        company = tuple((view.where(each).get(host, 0), host in view.shunning(each)) for each in self._groups)
        disk = tuple(sorted(room.disk_used.items()))
        return (self._kinds[host], room.free_cores, room.free_memory, disk, company)
