"""One decision of placement as it is kept: what was asked in which state of things, what came of it, and why.

It is written as an array, because there is one for each placement: fields are only ever added at the end.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct


class Outcome(StrEnum):
    PLACED = "placed"
    HELD = "held"  # it waits for room
    REFUSED = "refused"


class Scored(NamedTuple):
    """A host that would do: its id, its points in thousandths, and those of each weight that gives any."""

    host: str
    points: int
    terms: dict[str, int]


class Unfit(NamedTuple):
    """A host that would not do: its id, the first filter that said no, and all that spoke against it."""

    host: str
    filter: str
    reason: str


class Choice(Struct, frozen=True, array_like=True, gc=False):
    """``host`` is the id of the chosen one, empty for none. ``vm`` is empty for a request that left no record.

    The input is the state at ``revision`` of the change log, and ``cores`` to ``exclude``; ``policy`` is the version of
    the policy. Nothing is left to chance, so ``seed`` is 0: equals are told apart by their numbers.
    ``best``: the chosen one, then the next best. ``kept_out``: by filter how many of the ``hosts`` it was against, one
    may be under several; ``exact``: else at least so many. ``nearest``: of those that would not do.
    ``before``: the decision about the same VM before this one.
    """

    id: str
    wall: float
    outcome: Outcome
    vm: str
    name: str
    owner: str
    by: str
    verb: str
    job: str
    host: str
    revision: int
    policy: int
    cores: int
    memory_bytes: int
    asks: str = ""
    pin: str = ""
    exclude: tuple[str, ...] = ()
    hosts: int = 0
    open: int = 0
    kept_out: dict[str, int] = {}
    exact: bool = True
    best: tuple[Scored, ...] = ()
    nearest: tuple[Unfit, ...] = ()
    reason: str = ""
    before: str = ""
    seed: int = 0
