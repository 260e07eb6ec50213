"""Moves that make hosts more even, steepest first: what moves most of the score for its price."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from tashi.sched.plan.board import Board
from tashi.sched.plan.moves import Move, price
from tashi.sched.plan.score import Evenness

FULLEST, EMPTIEST = 40, 30  # hosts that are looked at: of up to so many, all
MARGIN = 2.0  # a gain must be this many times the price
LEAST = 0.002  # and so many hosts


def even(board: Board, most: int, may_move: set[str]) -> Iterator[Move]:
    """Up to ``most`` moves of those guests, made on the board; each was the best single one when it was made."""
    evenness = Evenness(board)
    for _ in range(most):
        move = next(
            (move for move in _best_first(board, evenness, may_move) if board.try_move(move.guest, move.target)), None
        )
        if move is None:
            return
        may_move.discard(move.guest)
        yield move


def _best_first(board: Board, evenness: Evenness, may_move: set[str]) -> Iterable[Move]:
    """Moves worth their price by size alone, the best first."""
    sources = sorted(evenness.hosts, key=evenness.share, reverse=True)[:FULLEST]
    targets = _targets(board, evenness)
    found = []
    for source in sources:
        for guest in board.on[source]:
            if guest not in may_move:
                continue
            cores, memory = board.wants[guest].cores, board.wants[guest].memory_bytes
            cost = price(board.snapshot, guest, source).hosts
            leaving = evenness.leaving(source, cores, memory)
            if leaving < max(MARGIN * cost, LEAST):
                continue
            for target in targets:
                gain = leaving - evenness.coming(target, cores, memory)
                if target != source and gain > MARGIN * cost and gain > LEAST:
                    found.append((cost - gain, int(guest[2:]), int(target[2:]), Move(guest, source, target, gain, "")))
    found.sort(key=lambda each: each[:3])
    names = board.snapshot
    return (
        move._replace(why=f"evens {names.name(move.source)} and {names.name(move.target)}") for _, _, _, move in found
    )


def _targets(board: Board, evenness: Evenness) -> list[str]:
    """The emptiest hosts: in all, of cores, of memory."""
    rooms = board.index.rooms
    orders = (
        evenness.share,
        lambda host: rooms[host].cores_used / rooms[host].core_limit,
        lambda host: rooms[host].memory_used / rooms[host].memory_limit,
    )
    return list(dict.fromkeys(host for key in orders for host in sorted(evenness.hosts, key=key)[:EMPTIEST]))
