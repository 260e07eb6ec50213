"""Several VMs of one request: all of them, or as many as there is room for; and whose request has its turn first."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from tashi.sched.demand import Demand
from tashi.sched.index import Index

T = TypeVar("T")


def in_turn(requests: Iterable[T], asked: Callable[[T], tuple[str, int]]) -> list[T]:
    """Everybody's first request, then everybody's second; of those who asked first comes first.

    ``asked``: who made a request, and its number, which rises.
    """
    turns: dict[str, int] = {}
    ranked = []
    for request in sorted(requests, key=lambda each: asked(each)[1]):
        owner, number = asked(request)
        turns[owner] = turns.get(owner, 0) + 1
        ranked.append((turns[owner], number, request))
    return [request for *_, request in sorted(ranked, key=lambda each: each[:2])]


def place_group(
    index: Index, demands: Sequence[Demand], partial: bool = False, now_wall: float = 0.0
) -> list[str | None]:
    """Claim a host for each, one after the other, and say which; None for those without.

    Not ``partial``: when one finds none nothing is claimed, and all are None.
    """
    hosts: list[str | None] = []
    for demand in demands:
        host = index.pick(demand, now_wall)
        if host is not None:
            index.claim(host, demand)
        elif not partial:
            for claimed, given in zip(reversed(hosts), reversed(demands[: len(hosts)]), strict=True):
                assert claimed is not None
                index.release(claimed, given)
            return [None] * len(demands)
        hosts.append(host)
    return hosts
