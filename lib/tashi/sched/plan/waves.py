"""Waves of hosts that can be drained and rebooted together, with every guest running and every rule kept throughout.

Wave by wave, the emptiest first: a host joins when all its guests can be moved, one by one, to hosts that are not in
the wave; first to those that need no reboot any more, so that few guests move twice. A host that took guests in does
not join the same wave. When a wave has been rebooted its hosts are free for the next one's guests.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import NamedTuple

from tashi.sched.plan.board import Board
from tashi.sched.plan.loss import why_not
from tashi.sched.plan.moves import Move, price
from tashi.sched.plan.snapshot import Snapshot

REBOOT = "to be rebooted"


class Wave(NamedTuple):
    """``moves``: per host, in the order in which they are to be made."""

    hosts: tuple[str, ...]
    moves: dict[str, tuple[Move, ...]]


class Waves(NamedTuple):
    """``stuck``: hosts that can't be drained, and why."""

    waves: list[Wave]
    stuck: dict[str, str]


def plan_reboots(snapshot: Snapshot, hosts: Collection[str] | None = None) -> Waves:
    """Waves for these hosts, or for all. Guests are packed, so that hosts come free."""
    board = Board(snapshot._replace(policy=snapshot.policy._replace(order="pack")))
    left = list(snapshot.hosts if hosts is None else hosts)
    stuck = {host: why for host in left if (why := _fixed(board, host))}
    left = [host for host in left if host not in stuck]
    waves = []
    while left:
        wave = _wave(board, left)
        if not wave.hosts:
            stuck |= {host: _reason(board, host) for host in left}
            break
        waves.append(wave)
        left = [host for host in left if host not in wave.hosts]
    return Waves(waves, stuck)


def _fixed(board: Board, host: str) -> str:
    """Why a host can't be drained whatever room there is."""
    guests = board.snapshot.guests
    for guest in board.besides.get(host, ()):
        return f"{guests[guest].name}: something of it is there still"
    return next((f"{guests[each].name}: {guests[each].stays}" for each in board.on[host] if guests[each].stays), "")


def _wave(board: Board, left: Sequence[str]) -> Wave:
    """The next wave of those left; the board is as it is after it."""
    moves: dict[str, tuple[Move, ...]] = {}
    took: set[str] = set()
    settled = len(left) < len(board.on)
    ordered = sorted(left, key=lambda host: (board.index.used(host)[1], int(host[2:])))
    for besides in ([frozenset(left)] if settled else []) + [frozenset()]:
        for host in ordered:
            if host in moves or host in took:
                continue
            board.close(host, REBOOT)
            done = drain(board, host, besides)
            if done is None:
                board.reopen(host)
            else:
                moves[host] = tuple(done)
                took.update(move.target for move in done)
    for host in moves:
        board.reopen(host)
    return Wave(tuple(sorted(moves, key=lambda host: int(host[2:]))), moves)


def drain(board: Board, host: str, besides: frozenset[str] = frozenset()) -> list[Move] | None:
    """Move all guests off a closed host, and to none of those ``besides``, the largest first; None, and none moved,
    when some can't be."""
    moves, left = _empty(board, host, besides)
    if not left:
        return moves
    for move in reversed(moves):
        board.move(move.guest, host)
    return None


def _empty(board: Board, host: str, besides: frozenset[str] = frozenset()) -> tuple[list[Move], list[str]]:
    """Move as many guests off a closed host as go: the moves, and who is left."""
    moves: list[Move] = []
    left = board.largest_first(board.on[host])
    before = len(left) + 1
    while left and len(left) < before:
        before, trying = len(left), left
        left = []
        for guest in trying:
            board.lift(guest)
            target = board.pick(guest, besides)
            board.set_down(guest, host)
            if target is not None and board.try_move(guest, target):
                moves.append(Move(guest, host, target, 0.0, f"{board.snapshot.name(host)} is to be rebooted"))
            else:
                left.append(guest)
    return moves, left


def _reason(board: Board, host: str) -> str:
    """Why a host can't be drained, by the largest guest that finds no place when all others have one."""
    board.close(host, REBOOT)
    moves, left = _empty(board, host)
    board.lift(left[0])
    fits = board.pick(left[0]) is not None
    why = "its leaving breaks a rule of others" if fits else why_not(board, left[0], (host,))
    board.set_down(left[0], host)
    for move in reversed(moves):
        board.move(move.guest, host)
    board.reopen(host)
    return f"{board.snapshot.guests[left[0]].name}: {why}"


def records(snapshot: Snapshot, waves: Waves) -> list[dict[str, object]]:
    """One record for each host: its wave, and what draining it moves."""
    found: list[dict[str, object]] = []
    for number, wave in enumerate(waves.waves, 1):
        for host in wave.hosts:
            costs = [price(snapshot, move.guest, host) for move in wave.moves[host]]
            found.append(
                {
                    "wave": number,
                    "name": snapshot.name(host),
                    "id": host,
                    "vms": len(costs),
                    "copy_bytes": sum(cost.bytes for cost in costs),
                    "copy_seconds": round(sum(cost.seconds for cost in costs), 1),
                }
            )
    return found
