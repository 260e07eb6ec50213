"""The smallest change that mends a broken rule: one move where one is enough, else two, the fewest bytes first.

Broken is what a filter has against a guest's being where it is: others that it must be apart from, a spread that has
become uneven, a label that was taken away, a host over its capacity. A move never breaks what was not broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tashi.sched.plan.board import Board
from tashi.sched.plan.moves import Move
from tashi.sched.plan.score import score

NEAR = 60  # hosts: of more, only the one that placement would choose is tried for a guest
TRIES = 2_000  # pairs of moves for one broken rule


class _Change(NamedTuple):
    """``moves``: (guest, target). Changes sort by what they leave broken, how many moves, and bytes."""

    broken: int
    steps: int
    bytes: int
    moves: tuple[tuple[str, str], ...]


def repair(board: Board, most: int, may_move: set[str]) -> Iterator[Move]:
    """Up to ``most`` moves of those guests, made on the board; what can't be mended is left as it is."""
    wrongs = board.wrongs(list(board.at))
    hopeless: set[tuple[str, str]] = set()
    while True:
        broken = sorted(wrongs - hopeless, key=lambda each: (int(each[0][2:]), each[1]))
        if not broken:
            return
        guest, rule = broken[0]
        change = _smallest(board, guest, may_move)
        if change is None or change.steps > most:
            hopeless.add((guest, rule))
            continue
        most -= change.steps
        hopeless.clear()  # what could not be mended may be now
        for number, (each, target) in enumerate(change.moves):
            why = f"mends {rule} of {board.snapshot.guests[guest].name}"
            last = number == len(change.moves) - 1
            before, source = score(board), board.move(each, target)
            may_move.discard(each)
            yield Move(each, source, target, before - score(board), why if last else f"makes room: the next {why}")
        wrongs = board.wrongs({each for each, _ in wrongs})


def _smallest(board: Board, guest: str, may_move: set[str]) -> _Change | None:
    """The smallest change after which less is broken around this guest."""
    rules, host = board.wants[guest].rules, board.at[guest]
    groups = [rules.group, *rules.together, *rules.apart]
    around = dict.fromkeys(
        [guest, *board.on[host], *(each for group in groups for each in board.members.get(group, ()))]
    )
    near = [each for each in around if each in board.at]
    before = len(board.wrongs(near))
    movable = [each for each in near if each in may_move]
    for changes in (_one(board, movable, near), _two(board, movable, near, may_move)):
        smallest = min((change for change in changes if change.broken < before), default=None)
        if smallest is not None:
            return smallest
    return None


def _one(board: Board, movable: Sequence[str], near: Sequence[str]) -> Iterator[_Change]:
    for guest in movable:
        source = board.at[guest]
        for target in _targets(board, guest):
            if board.try_move(guest, target):
                yield _Change(len(board.wrongs(near)), 1, board.wants[guest].memory_bytes, ((guest, target),))
                board.move(guest, source)


def _two(board: Board, movable: Sequence[str], near: Sequence[str], may_move: set[str]) -> Iterator[_Change]:
    """Somebody on the target makes room first."""
    tries = 0
    for guest in movable:
        source = board.at[guest]
        for target in board.on:
            others = [each for each in board.on[target] if each in may_move and each != guest]
            for other in others if target != source else ():
                for elsewhere in _targets(board, other):
                    tries += 1
                    if tries > TRIES:
                        return
                    if elsewhere == source or not board.try_move(other, elsewhere):
                        continue
                    if board.try_move(guest, target):
                        size = board.wants[other].memory_bytes + board.wants[guest].memory_bytes
                        yield _Change(len(board.wrongs(near)), 2, size, ((other, elsewhere), (guest, target)))
                        board.move(guest, source)
                    board.move(other, target)


def _targets(board: Board, guest: str) -> list[str]:
    """Hosts to try for a guest: what placement would choose first."""
    source = board.lift(guest)
    chosen = board.pick(guest, frozenset((source,)))
    board.set_down(guest, source)
    others = list(board.on) if len(board.on) <= NEAR else []
    return list(dict.fromkeys([*([chosen] if chosen else []), *(each for each in others if each != source)]))
