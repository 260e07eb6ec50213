"""Moves that empty hosts, so that fewer are used: the emptiest first, wholly or not at all.

First in thought: the host's guests are taken off it and set down where placement would. One that finds no place takes
that of smaller ones, which then look for theirs; what is in hand gets smaller each time, so this comes to an end. Then
in earnest: of all guests that end up elsewhere those are moved whose place is free already, again and again. If some
can't go before others have gone that can't go before them, the host stays.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from tashi.sched.plan.board import Board
from tashi.sched.plan.even import MARGIN
from tashi.sched.plan.moves import Move, price
from tashi.sched.plan.score import counts

AT_ONCE = 2  # guests that make room for one
HOSTS = 200  # that are looked at for one guest: those with most room
TRIES = 50  # sets of guests that might make room for one, the smallest first
DEEP = 30  # hosts, the emptiest, for which others make room


def empty(board: Board, most: int, may_move: set[str]) -> Iterator[Move]:
    """Up to ``most`` moves of those guests, made on the board; hosts that can't be emptied with what is left stay."""
    again = True
    while again:
        again = False
        for number, host in enumerate(_emptiest_first(board)):
            if not set(board.on[host]) <= may_move or not 0 < len(board.on[host]) <= most:
                continue
            moves = _clear(board, host, most, may_move if number < DEEP else set())
            if moves:
                again = True
                most -= len(moves)
                may_move -= {move.guest for move in moves}
                yield from (move._replace(gain=1 / len(moves)) for move in moves)


def _emptiest_first(board: Board) -> list[str]:
    """Hosts in use that may be emptied."""
    rooms = board.index.rooms
    hosts = [host for host, guests in board.on.items() if guests and counts(rooms[host])]
    hosts = [host for host in hosts if not board.besides.get(host)]

    def share(host: str) -> float:
        room = rooms[host]
        return max(room.cores_used / room.core_limit, room.memory_used / room.memory_limit)

    return sorted(hosts, key=lambda host: (share(host), int(host[2:])))


def _clear(board: Board, host: str, most: int, may_move: set[str]) -> list[Move]:
    """Move everybody off a host; no moves, and all as before, when that can't be done, or is not worth its price."""
    places = _think(board, host, may_move)
    if not places or len(places) > most:
        return []
    cost = sum(price(board.snapshot, guest, board.at[guest]).hosts for guest in places)
    return _move(board, host, places) if MARGIN * cost < 1 else []


def _think(board: Board, host: str, may_move: set[str]) -> dict[str, str]:
    """Where guests would be if a host were empty, those alone that would be elsewhere; none when there is no way."""
    rooms = board.index.rooms
    besides = frozenset(
        each for each, room in rooms.items() if each == host or not (room.cores_used or room.memory_used)
    )
    home = dict.fromkeys(board.on[host], host)
    left = list(home)
    for guest in left:
        board.lift(guest)
    while left:
        left = board.largest_first(left)
        guest = left[0]
        target = board.pick(guest, besides)
        if target is None:
            target, others = _eject(board, guest, besides, may_move)
            if not target:
                break
            for other in others:
                home.setdefault(other, board.lift(other))
            left += others
        board.set_down(guest, target)
        left.remove(guest)
    places = {} if left else {guest: board.at[guest] for guest, there in home.items() if board.at[guest] != there}
    for guest, there in home.items():
        if guest in board.at:
            board.lift(guest)
        board.set_down(guest, there)
    return places


def _eject(board: Board, guest: str, besides: frozenset[str], may_move: set[str]) -> tuple[str, list[str]]:
    """A host, and the smallest guests there without which this one fits; no host when they are not smaller than it."""
    rooms, wants = board.index.rooms, board.wants
    needed, size = wants[guest], sum(board.shares(guest))
    hosts = sorted((host for host in board.on if host not in besides and counts(rooms[host])), key=lambda each: (
        -min(rooms[each].free_cores, needed.cores), -rooms[each].free_memory))[:HOSTS]  # fmt: skip
    found = []
    for host in hosts:
        cores = needed.cores - rooms[host].free_cores
        memory = needed.memory_bytes - rooms[host].free_memory
        smaller = [(sum(board.shares(each)), each) for each in board.on[host] if each in may_move]
        smaller = [each for each in smaller if each[0] < size]
        for count in range(1, AT_ONCE + 1):
            for some in combinations(smaller, count):
                others = [each for _, each in some]
                total = sum(each for each, _ in some)
                if total >= size or sum(wants[each].cores for each in others) < cores:
                    continue
                if sum(wants[each].memory_bytes for each in others) >= memory:
                    found.append((total, host, others))
    for _, host, others in sorted(found)[:TRIES]:
        for other in others:
            board.lift(other)
        fits = board.fits(guest, host)
        for other in others:
            board.set_down(other, host)
        if fits:
            return host, others
    return "", []


def _move(board: Board, host: str, places: dict[str, str]) -> list[Move]:
    """The moves that bring guests to their places, made on the board, in an order in which each is legal."""
    name, left, moves = board.snapshot.name(host), list(places), list[Move]()
    while left:
        waiting = []
        for guest in left:
            source = board.at[guest]
            if board.try_move(guest, places[guest]):
                why = f"empties {name}" if source == host else f"makes room, so that {name} is emptied"
                moves.append(Move(guest, source, places[guest], 0.0, why))
            else:
                waiting.append(guest)
        if len(waiting) == len(left):
            for move in reversed(moves):
                board.move(move.guest, move.source)
            return []
        left = waiting
    return moves
