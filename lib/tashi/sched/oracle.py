"""The placement rule said the slow and obvious way: look at every host. Tests hold the index against it."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from tashi.sched.index import Policy


class View(NamedTuple):
    """One host as the rule sees it: cores and bytes of memory that are not claimed."""

    host: str
    free_cores: int
    free_memory: int
    eligible: bool


def choose(
    hosts: Iterable[View], cores: int, memory_bytes: int, policy: Policy, exclude: AbstractSet[str]
) -> str | None:
    """Among the hosts that fit: the fewest free cores, then the least free memory (spread: the most); then the
    lowest number."""
    sign = 1 if policy == "pack" else -1
    fitting = [
        (sign * view.free_cores, sign * view.free_memory, int(view.host.rpartition("-")[2]), view.host)
        for view in hosts
        if view.eligible and view.host not in exclude and view.free_cores >= cores and view.free_memory >= memory_bytes
    ]
    return min(fitting)[-1] if fitting else None
