"""What this host has, measured or stated: cores, memory, disks, versions.

Memory is read from /proc/meminfo: what a hypervisor's library says can be wrong inside virtual machines.
"""

from __future__ import annotations

import os
import socket

from tashi.model.host import Facts
from tashid.driver.settings import DriverSettings


def host_facts(settings: DriverSettings, accelerator: str, versions: dict[str, str]) -> Facts:
    """Facts of this host; the settings' own figures win over measured ones. Sizes are bytes."""
    own_total, own_used = _file_system(settings.state)
    pool_total, _ = _file_system(settings.pool)
    address = settings.address or socket.gethostname()
    return Facts(
        cores=settings.cores or len(os.sched_getaffinity(0)),
        memory_bytes=settings.memory_bytes or memory_bytes(),
        disk_bytes=settings.disk_bytes or own_total,
        disk_used_bytes=min(own_used, settings.disk_bytes or own_used),
        pool_bytes=pool_total,
        accelerator=accelerator,
        address=address,
        migrate_uri=settings.migrate_uri or f"qemu+tls://{_in_uri(address)}/system",
        versions={**versions, "kernel": os.uname().release},
    )


def memory_bytes(path: str = "/proc/meminfo") -> int:
    """The host's memory as its kernel tells it. Raises ValueError when it doesn't."""
    with open(path, encoding="ascii") as file:
        for line in file:
            if line.startswith("MemTotal:"):
                return int(line.split()[1]) * 1024
    raise ValueError(f"{path} has no MemTotal")


def _file_system(path: str) -> tuple[int, int]:
    """Size and used bytes of the file system that holds ``path``; zeros while there is no such folder."""
    try:
        what = os.statvfs(path)
    except FileNotFoundError:
        return 0, 0
    return what.f_blocks * what.f_frsize, (what.f_blocks - what.f_bfree) * what.f_frsize


def _in_uri(address: str) -> str:
    return f"[{address}]" if ":" in address else address
