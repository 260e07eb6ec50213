"""Clusters made for tests of placement."""

from __future__ import annotations

from tashi.sched.index import Index
from tashi.sched.policy import Policy
from tashi.sched.supply import Supply

GIB = 2**30


def cluster(hosts: int, cores: int = 64, memory: int = 256, racks: int = 0, policy: Policy | None = None) -> Index:
    """Equal hosts h-1, h-2 ...; memory in GiB; with ``racks`` each has a label rack, r1, r2 ... in turn."""
    index = Index(policy)
    for number in range(1, hosts + 1):
        labels = frozenset({("rack", f"r{(number - 1) % racks + 1}")}) if racks else frozenset()
        index.set_host(Supply(f"h-{number}", cores, memory * GIB, labels=labels))
    return index
