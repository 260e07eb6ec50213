"""What if these hosts were lost: who would be without a place, and why; the board is as before then."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType
from typing import Literal, NamedTuple

from tashi.sched.plan.board import Board
from tashi.sched.plan.fill import STEPS, fill
from tashi.wire.errors import NotFound

Answer = Literal["yes", "no", "open"]
NAMED_HOSTS = 3  # a reason names so many hosts, and counts the rest
LOST = "lost"


class Loss(NamedTuple):
    """``hosts`` lost together. ``placed``: guest -> its new host; ``left``: guests without one, the largest first.

    ``answer``: whether all find a place; ``no`` is proven, ``open`` says that none was found for those left and that
    not every way was tried.
    """

    hosts: tuple[str, ...]
    placed: dict[str, str]
    left: tuple[str, ...]
    answer: Answer
    reasons: Mapping[str, str] = MappingProxyType({})

    @property
    def displaced(self) -> int:
        """How many guests lose their host."""
        return len(self.placed) + len(self.left)


def lose(board: Board, hosts: Sequence[str], explain: bool = False, steps: int = STEPS) -> Loss:
    """Lose these hosts at once, and start who was there elsewhere. ``explain``: tell why for each one left. ``steps``:
    how far to look for a way that is not found at once, see `fill`."""
    for host in hosts:
        board.close(host, LOST)
        for guest in board.besides.get(host, ()):
            board.index.release(host, board.wants[guest])
    home = {guest: host for host in hosts for guest in board.on[host]}
    for each in home:
        board.lift(each)
    filled = fill(board, list(home), steps)
    reasons = {guest: why_not(board, guest, hosts) for guest in filled.left} if explain else {}
    for each in filled.placed:
        board.lift(each)
    for each, host in home.items():
        board.set_down(each, host)
    for host in hosts:
        for guest in board.besides.get(host, ()):
            board.index.claim(host, board.wants[guest])
        board.reopen(host)
    answer: Answer = "yes" if not filled.left else "no" if filled.proven else "open"
    return Loss(tuple(hosts), filled.placed, filled.left, answer, reasons)


def why_not(board: Board, guest: str, besides: Collection[str] = ()) -> str:
    """Why a guest that is on no host fits on none, but for those ``besides``: the first hosts, and how many more."""
    question, more = board.question(guest), 0
    told: list[str] = []
    for host, room in sorted(board.index.rooms.items(), key=lambda item: item[1].number):
        if host in besides:
            continue
        if len(told) == NAMED_HOSTS:
            more += 1
            continue
        reasons = "; ".join(refusal.text for refusal in question.refusals(room))
        told.append(f"{board.snapshot.name(host)}: {reasons}")
    if more:
        told.append(f"and {more} more {'host' if more == 1 else 'hosts'}")
    return ", ".join(told) or "there is no other host"


def lose_each(board: Board, label: str) -> list[Loss]:
    """What if all hosts with one value of a label were lost, for each of its values; worst first.

    Raises NotFound for a label that no host has.
    """
    values: dict[str, list[str]] = {}
    for host, room in board.index.rooms.items():
        if label in room.labels:
            values.setdefault(room.labels[label], []).append(host)
    if not values:
        raise NotFound(f"{label}: no host has such a label")
    return sorted((lose(board, hosts) for _, hosts in sorted(values.items())), key=lambda loss: weight(board, loss))


def weight(board: Board, loss: Loss) -> tuple[int, ...]:
    """A key that sorts the worst loss first: most left out, most of their memory, most displaced; then by number."""
    memory = sum(board.wants[guest].memory_bytes for guest in loss.left)
    return (-len(loss.left), -memory, -loss.displaced, *(int(host[2:]) for host in loss.hosts))
