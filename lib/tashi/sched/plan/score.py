"""How good the places of guests are, as one number in hosts; less is better.

Under spread it tells how uneven the hosts are: 0 when all are used alike, 1 when it is as bad as if one average host
more than that were wholly used. Each resource of a host counts the square of its used share, by the host's size, so
that a large host and a small one are even when their shares are. Under pack it is the number of hosts that are used.
"""

from __future__ import annotations

from typing import NamedTuple

from tashi.sched.plan.board import Board
from tashi.sched.view import Room


class Scale(NamedTuple):
    """What one core and one byte count on a host: see `Evenness`. 0 for what a host has none of."""

    cores: float
    memory: float


class Evenness:
    """The score under spread, and what a move would change of it. Hosts that take nothing now don't count."""

    def __init__(self, board: Board) -> None:
        rooms = board.index.rooms
        self.hosts = [host for host, room in rooms.items() if counts(room)]
        self.mean_cores = sum(rooms[host].core_limit for host in self.hosts) / max(len(self.hosts), 1)
        self.mean_memory = sum(rooms[host].memory_limit for host in self.hosts) / max(len(self.hosts), 1)
        self._board = board
        self.scales = {
            host: Scale(
                1 / (2 * rooms[host].core_limit * self.mean_cores),
                1 / (2 * rooms[host].memory_limit * self.mean_memory),
            )
            for host in self.hosts
        }

    def score(self) -> float:
        """What the hosts' squares sum up to above the least that is possible with what is used."""
        rooms = [(self._board.index.rooms[host], self.scales[host]) for host in self.hosts]
        squares = sum(scale.cores * room.cores_used**2 + scale.memory * room.memory_used**2 for room, scale in rooms)
        if not rooms:
            return 0.0
        cores = sum(room.cores_used for room, _ in rooms) / self.mean_cores
        memory = sum(room.memory_used for room, _ in rooms) / self.mean_memory
        return max(0.0, squares - (cores**2 + memory**2) / (2 * len(rooms)))

    def leaving(self, host: str, cores: int, memory: int) -> float:
        """By how much the score falls when this much leaves a host."""
        room, scale = self._board.index.rooms[host], self.scales[host]
        return (
            scale.cores * (2 * room.cores_used - cores) * cores
            + scale.memory * (2 * room.memory_used - memory) * memory
        )

    def coming(self, host: str, cores: int, memory: int) -> float:
        """By how much it rises when this much comes to one."""
        room, scale = self._board.index.rooms[host], self.scales[host]
        return (
            scale.cores * (2 * room.cores_used + cores) * cores
            + scale.memory * (2 * room.memory_used + memory) * memory
        )

    def share(self, host: str) -> float:
        """How full a host is: its shares of cores and memory, added."""
        room = self._board.index.rooms[host]
        return room.cores_used / room.core_limit + room.memory_used / room.memory_limit


def counts(room: Room) -> bool:
    """Whether a host is one of those that a plan fills or evens."""
    return not room.supply.closed and not room.supply.unwell and room.core_limit > 0 and room.memory_limit > 0


def hosts_used(board: Board) -> int:
    """Hosts that have something of a guest."""
    return sum(1 for room in board.index.rooms.values() if room.cores_used or room.memory_used)


def score(board: Board) -> float:
    """The cluster's score under its policy."""
    return Evenness(board).score() if board.snapshot.policy.order == "spread" else float(hosts_used(board))
