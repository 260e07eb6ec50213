"""A laboratory of real hosts for the time of a benchmark."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from tashi.lab import namespace_host
from tashi.lab.lab import Lab, down
from tashi.lab.record import Settings
from tests.bench import figures
from tests.lab.commands import Shell

NAME = "bench"
# Every host states more than this machine has: what is measured is not the room.
ROOMY: Settings = {"agent": {"cores": 64, "memory": "64G"}, "placement": {"policy": "spread"}}


@contextmanager
def laboratory(hosts: int) -> Iterator[Shell]:
    """A shell in a lab of hosts h1, h2...; skips the benchmark where there can be none."""
    missing = "root" if os.geteuid() != 0 else namespace_host.missing()
    if missing:
        figures.skip(f"real hosts need {missing}")
    down(NAME)
    try:
        Lab.up(NAME, hosts, "libvirt", settings=ROOMY)
        yield Shell(NAME)
    finally:
        down(NAME)
