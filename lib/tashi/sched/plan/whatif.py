"""Questions about a cluster as people type them, and the answers as records.

``h3,h7`` are lost together; ``rack:r1`` are all hosts with that label, ``rack:any`` is each value of it in turn;
``any:2`` is every two hosts. ``nothing`` asks whether those that wait for room find some.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tashi.model.units import parse_size
from tashi.sched.group import in_turn
from tashi.sched.plan.board import Board
from tashi.sched.plan.loss import Answer, Loss, lose, lose_each, why_not
from tashi.sched.plan.proof import prove
from tashi.sched.plan.snapshot import Guest, Place, Snapshot
from tashi.sched.view import NUMBERS
from tashi.wire.errors import Code, NotFound, Refused

NOTHING = "nothing"
ANY = "any"
MOST_ADDED = 10_000
_ADD = re.compile(r"([0-9]{1,5})x([0-9]{1,4})c/(.+)", re.ASCII)
_RANK: dict[Answer, int] = {"no": 0, "open": 1, "yes": 2}
Record = dict[str, object]


class Told(NamedTuple):
    """The answer to one question. ``cases``: losses that it is about; ``looked``: those that were looked at one by one;
    ``worst``: the one that tells most."""

    asked: str
    answer: Answer
    cases: int
    looked: int
    worst: Loss | None


def ask(board: Board, asked: str) -> Told:
    """The answer to a question as typed. Raises NotFound for a host or label that is not there, and Refused

    (bad-request) for what is no question."""
    if asked == NOTHING:
        return Told(asked, (loss := let_in(board)).answer, 1, 1, loss)
    label, colon, value = asked.partition(":")
    if label == ANY and colon:
        if not re.fullmatch("[1-9][0-9]{0,3}", value, re.ASCII):
            raise Refused(Code.BAD_REQUEST, f"{asked}: any:1 is any one host, any:2 any two, and so on")
        proof = prove(board, int(value))
        return _explained(board, Told(asked, proof.answer, proof.combinations, proof.looked, proof.worst))
    if colon and value == ANY:
        losses = lose_each(board, label)
        worst = min(losses, key=lambda loss: _RANK[loss.answer])  # of those the first, which is the worst
        return _explained(board, Told(asked, worst.answer, len(losses), len(losses), worst))
    if colon:
        hosts = [host for host, room in board.index.rooms.items() if room.labels.get(label) == value]
        if not hosts:
            raise NotFound(f"{asked}: no host has this label")
    else:
        hosts = list(dict.fromkeys(board.snapshot.find_host(ref) for ref in asked.split(",")))
    loss = lose(board, hosts, explain=True)
    return Told(asked, loss.answer, 1, 1, loss)


def _explained(board: Board, told: Told) -> Told:
    """With the reason for each guest that the worst loss leaves out."""
    if told.worst is None or not told.worst.left:
        return told
    reasons = lose(board, told.worst.hosts, explain=True, steps=0).reasons
    return told._replace(worst=told.worst._replace(reasons=reasons))


def let_in(board: Board) -> Loss:
    """Those that wait for room, placed as the queue lets them in: as a loss of no host.

    Requests in turn, all parts of one or none, and nobody's after one of the same owner's that still waits.
    """
    placed: dict[str, str] = {}
    reasons: dict[str, str] = {}
    behind: dict[str, str] = {}  # owner -> whose place is waited for
    for request in in_turn(_requests(board), lambda each: (each[0].demand.owner, _asked(each[0]))):
        owner, first = request[0].demand.owner, request[0].name
        if owner in behind:
            reasons |= {guest.id: f"{owner} has asked for {behind[owner]} before" for guest in request}
            continue
        there = _place(board, request, reasons)
        placed |= there
        if not there and owner and not request[0].demand.pin:
            behind[owner] = first
    for guest in placed:
        board.lift(guest)
    return Loss((), placed, tuple(reasons), "no" if reasons else "yes", reasons)


def _requests(board: Board) -> Iterable[list[Guest]]:
    """Those that wait, by what they were asked for with."""
    requests: dict[int, list[Guest]] = {}
    for guest in board.snapshot.guests.values():
        if guest.id not in board.at:
            requests.setdefault(_asked(guest), []).append(guest)
    return requests.values()


def _asked(guest: Guest) -> int:
    """When it was asked for, next to others; below zero by its own number where nobody knows."""
    return guest.asked or int(guest.id[2:]) - NUMBERS


def _place(board: Board, request: list[Guest], reasons: dict[str, str]) -> dict[str, str]:
    """Where all parts of a request come to be; none, and the reasons told, when one of them finds no place."""
    placed: dict[str, str] = {}
    for guest in request:
        host = board.pick(guest.id)
        if host is None:
            why = why_not(board, guest.id)
            reasons |= {each.id: f"all or none, and {guest.name}: {why}" for each in request} | {guest.id: why}
            for each in placed:
                board.lift(each)
            return {}
        board.set_down(guest.id, host)
        placed[guest.id] = host
    return placed


def record(board: Board, told: Told) -> Record:
    """An answer for people and pipes."""
    loss = told.worst or Loss((), {}, (), "yes")
    guests = board.snapshot.guests
    reasons = [f"{guests[guest].name}: {loss.reasons[guest]}" for guest in loss.left[:1]]
    return {
        "lose": told.asked,
        "answer": told.answer,
        "lost": [board.snapshot.name(host) for host in loss.hosts],
        "vms": loss.displaced,
        "left": [guests[guest].name for guest in loss.left],
        "cases": told.cases,
        "looked": told.looked,
        "reason": reasons[0] if reasons else None,
    }


def rows(board: Board, told: Told) -> list[Record]:
    """One record for each VM that the loss of an answer is about: where it would go, or why nowhere."""
    loss, snapshot = told.worst, board.snapshot
    if loss is None:
        return []
    return [
        {
            "lose": told.asked,
            "name": snapshot.guests[guest].name,
            "id": guest,
            "from": snapshot.name(snapshot.guests[guest].host) or None,
            "to": snapshot.name(loss.placed[guest]) if guest in loss.placed else None,
            "cores": snapshot.guests[guest].demand.cores,
            "memory_bytes": snapshot.guests[guest].demand.memory_bytes,
            "reason": loss.reasons.get(guest),
        }
        for guest in (*loss.left, *sorted(loss.placed, key=lambda guest: int(guest[2:])))
    ]


def add_hosts(snapshot: Snapshot, typed: Sequence[str]) -> Snapshot:
    """With these hosts besides: ``4x64c/256G`` are four of 64 cores and 256 GiB each.

    Their features, networks, programs and ratios are those that most hosts have; labels they have none. Raises
    Refused (bad-request) that names what is no such thing.
    """
    hosts = dict(snapshot.hosts)
    number = max((int(host[2:]) for host in hosts), default=0)
    usual = Counter(
        place.supply._replace(
            host="", cores=0, memory_bytes=0, closed="", unwell="", labels=frozenset(), reservation=None, failures=0,
            foreign_cores=0, foreign_memory_bytes=0,
        )
        for place in hosts.values()
    ).most_common(1)  # fmt: skip
    if not usual:
        raise Refused(Code.BAD_REQUEST, "there are no hosts that new ones could be like")
    added = 0
    for text in typed:
        count, cores, memory = _parse_add(text)
        for _ in range(count):
            number, added = number + 1, added + 1
            supply = usual[0][0]._replace(host=f"h-{number}", cores=cores, memory_bytes=memory)
            hosts[supply.host] = Place(f"new-{added}", supply)
    return snapshot._replace(hosts=hosts)


def _parse_add(text: str) -> tuple[int, int, int]:
    found = _ADD.fullmatch(text)
    if not found or not 1 <= int(found[1]) <= MOST_ADDED or not int(found[2]):
        wrong = f"--add {text[:40]!r}: write 4x64c/256G, from 1 to {MOST_ADDED} hosts"
        raise Refused(Code.BAD_REQUEST, wrong)
    try:
        return int(found[1]), int(found[2]), parse_size(found[3])
    except ValueError as error:
        raise Refused(Code.BAD_REQUEST, f"--add {text[:40]}: {error}") from None
