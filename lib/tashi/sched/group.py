"""Several VMs of one request: all of them, or as many as there is room for."""

from __future__ import annotations

from collections.abc import Sequence

from tashi.sched.demand import Demand
from tashi.sched.index import Index


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
