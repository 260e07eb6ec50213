"""N+k: whether any k hosts may be lost at once, of all that there are.

One host after the other is lost, and its guests are placed: that settles k = 1. For more, most combinations need no
look. Theory: a loss's witness is where its guests went. Two losses whose witnesses have no host in common, neither the
lost ones nor those that took guests in, and no group that some rule names, can happen at once: each guest of the one
finds its new host as it was found, because nothing that the filters look at is changed by the other one. (That a
spread's label may have lost a value only makes it easier.) So each host gets a few witnesses that share no target, made
by going round from different places, each a bit set; a combination is covered if some choice of them is disjoint. What
is not covered is looked at, one by one.

Bounds: COMBINATIONS at most are asked about; of those not covered the LOOKS largest are looked at, and fewer once one
of them is proven to be too much; of those for which no way is found at once every way is tried, as far as `fill` says,
until TRIED are open all the same. What these leave out makes the answer open, never yes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import nlargest
from itertools import chain
from math import comb
from typing import NamedTuple

from tashi.sched.plan.board import Board
from tashi.sched.plan.fill import STEPS
from tashi.sched.plan.loss import LOST, Answer, Loss, lose, weight
from tashi.wire.errors import Code, Refused

COMBINATIONS = 1_000_000
LOOKS = 20_000
TRIED = 20  # losses left open although every way was tried as far as `fill` goes; of more not even that is done
LOOKS_AFTER_NO = 2_000  # for a worse one than that which proves it
WITNESSES = 4  # of one host


class Proof(NamedTuple):
    """``covered`` combinations need no look, ``looked`` were looked at. ``worst``: when the answer is no, the worst
    that was proven; when it is open, the worst of those not settled; else the one with most guests of those looked at.
    """

    answer: Answer
    combinations: int
    covered: int
    looked: int
    worst: Loss | None


def prove(board: Board, count: int) -> Proof:
    """Whether any ``count`` hosts may be lost. Raises Refused (bad-request) when there are too few hosts or too many

    combinations."""
    hosts = sorted(board.on, key=lambda host: int(host[2:]))
    if not 1 <= count < max(len(hosts), 1):
        most = f"from 1 to {len(hosts) - 1}" if len(hosts) > 1 else "none"
        raise Refused(Code.BAD_REQUEST, f"any:{count}: of {len(hosts)} hosts, {most} may be lost")
    combinations = comb(len(hosts), count)
    if combinations > COMBINATIONS:
        raise Refused(
            Code.BAD_REQUEST,
            f"any:{count}: {combinations} combinations of {len(hosts)} hosts, {COMBINATIONS} are the most looked at",
        )
    if count == 1:
        open_ones: list[tuple[int, ...]] = [(at,) for at in range(len(hosts))]
    else:
        groups: dict[str, int] = {}
        open_ones = list(uncovered([witnesses(board, hosts, at, groups) for at in range(len(hosts))], count))
    memory = [sum(board.wants[guest].memory_bytes for guest in board.on[host]) for host in hosts]
    largest = nlargest(LOOKS, open_ones, key=lambda each: sum(memory[at] for at in each))
    looked, worst = _look(board, [[hosts[at] for at in each] for each in largest])
    answer: Answer = "yes" if worst is None else worst.answer
    if len(largest) < len(open_ones) and answer == "yes":
        answer = "open"
    return Proof(answer, combinations, combinations - len(open_ones), looked, worst)


def _look(board: Board, combinations: Sequence[Sequence[str]]) -> tuple[int, Loss | None]:
    """Lose them, one combination after the other: how many were looked at, and the worst."""
    rank: dict[Answer, int] = {"no": 0, "open": 1, "yes": 2}
    worst: Loss | None = None
    after = tried = 0
    for looked, hosts in enumerate(combinations):
        proven = worst is not None and worst.answer == "no"
        after += proven
        if after > LOOKS_AFTER_NO:
            return looked, worst
        loss = lose(board, hosts, steps=0 if proven or tried == TRIED else STEPS)
        tried += loss.answer == "open" and not proven and tried < TRIED
        if worst is None or (rank[loss.answer], weight(board, loss)) < (rank[worst.answer], weight(board, worst)):
            worst = loss
    return len(combinations), worst


def witnesses(board: Board, hosts: Sequence[str], at: int, groups: dict[str, int]) -> list[int]:
    """Ways to lose ``hosts[at]`` alone, which share no target, as sets of bits: of hosts by their places in the list,
    and of groups after them, by the numbers that they get."""
    lost = hosts[at]
    guests = board.largest_first(board.on[lost])
    own = 1 << at
    for guest in guests:
        for group in _named(board, guest):
            own |= 1 << len(hosts) + groups.setdefault(group, len(groups))
    if not guests:
        return [own]
    board.close(lost, LOST)
    for guest in guests:
        board.lift(guest)
    found: list[int] = []
    used = 0
    hopeless = any(board.pick(guest) is None for guest in guests)  # asked of the index, not host by host
    for number in range(0 if hopeless else WITNESSES):
        targets = _go_round(board, hosts, guests, (at * 7919 + number * len(hosts) // WITNESSES) % len(hosts), used)
        if not targets:
            break
        used |= targets
        found.append(own | targets)
    for guest in guests:
        board.set_down(guest, lost)
    board.reopen(lost)
    return found


def _named(board: Board, guest: str) -> list[str]:
    rules = board.wants[guest].rules
    return [group for group in (rules.group, *rules.apart, *rules.together) if group]


def _go_round(board: Board, hosts: Sequence[str], guests: Sequence[str], start: int, used: int) -> int:
    """Place guests, each on the next host that it fits on; the hosts that took some, or 0 if some found none."""
    targets, at = 0, start
    placed = []
    for guest in guests:
        at = next((each for each in _round(at, len(hosts), used) if board.fits(guest, hosts[each])), -1)
        if at < 0:
            targets = 0
            break
        board.set_down(guest, hosts[at])
        placed.append(guest)
        targets |= 1 << at
    for guest in placed:
        board.lift(guest)
    return targets


def _round(start: int, count: int, used: int) -> Iterator[int]:
    """Places after ``start``, and from the beginning up to it, but for those used."""
    return (at for at in chain(range(start + 1, count), range(start + 1)) if not used >> at & 1)


def uncovered(masks: Sequence[Sequence[int]], count: int) -> Iterator[tuple[int, ...]]:
    """Combinations of which no choice of witnesses is disjoint, as places in the list."""
    first = [each[0] if each else -1 for each in masks]

    def walk(start: int, chosen: tuple[int, ...], unions: Sequence[int]) -> Iterator[tuple[int, ...]]:
        union = unions[0] if unions else -1
        if len(chosen) == count - 1:
            for at in range(start, len(masks)):
                if union & first[at] and not _disjoint(unions, masks[at]):
                    yield (*chosen, at)
            return
        for at in range(start, len(masks)):
            both = [one | other for one in unions for other in masks[at] if not one & other]
            yield from walk(at + 1, (*chosen, at), both)

    return walk(0, (), (0,))


def _disjoint(unions: Sequence[int], masks: Sequence[int]) -> bool:
    return any(not union & mask for union in unions for mask in masks)
