"""A plan of moves: first those that mend broken rules, then those whose gain is worth their price.

Under spread hosts are made even, under pack they are emptied. Every beginning of the plan is legal: a guest comes only
where every filter lets it, no host gets over its capacity on the way, and no rule is broken that was not before.

Hysteresis: a gain must be `even.MARGIN` times the price, a guest that was moved in the last hour rests unless it is to
mend something, and no guest is moved twice. What was moved in the last hour counts against the bound of moves an hour.
"""

from __future__ import annotations

from typing import NamedTuple

from tashi.sched.plan.board import Board
from tashi.sched.plan.empty import empty
from tashi.sched.plan.even import even
from tashi.sched.plan.moves import Move
from tashi.sched.plan.repair import repair
from tashi.sched.plan.score import score
from tashi.sched.plan.snapshot import Snapshot

HOUR_SECONDS = 3600.0
MOVES_PER_HOUR = 20


class Plan(NamedTuple):
    """``broken_*``: how many rules of how many guests are broken; ``after`` is what the moves promise."""

    moves: list[Move]
    before: float
    after: float
    broken_before: int
    broken_after: int

    @property
    def words(self) -> str:
        """What the plan promises, in one line."""
        moves = f"{len(self.moves)} {'move' if len(self.moves) == 1 else 'moves'}"
        return (
            f"{moves}: broken rules from {self.broken_before} to {self.broken_after}, "
            f"score from {self.before:.3f} to {self.after:.3f}"
        )


def balance(snapshot: Snapshot, per_hour: int = MOVES_PER_HOUR) -> Plan:
    """Moves for a cluster, no more than may be made in this hour."""
    board = Board(snapshot)
    before, broken = score(board), len(board.wrongs(list(board.at)))
    guests = [snapshot.guests[guest] for guest in board.at]
    recent = {guest.id for guest in guests if guest.moved_wall and snapshot.wall - guest.moved_wall < HOUR_SECONDS}
    most = max(0, per_hour - len(recent))
    may_move = {guest.id for guest in guests if not guest.stays and not guest.also}
    moves = list(repair(board, most, may_move))
    most -= len(moves)
    better = even if snapshot.policy.order == "spread" else empty
    moves += better(board, most, may_move - recent)
    may_move -= {move.guest for move in moves}
    moves += repair(board, per_hour - len(recent) - len(moves), may_move)  # what only could be now
    return Plan(moves, before, score(board), broken, len(board.wrongs(list(board.at))))
