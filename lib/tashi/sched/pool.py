"""The one shared pool of disks: its room is counted once for the cluster, never once for each host."""

from __future__ import annotations

from tashi.model.units import format_size


class Pool:
    """Bytes of disk in the pool, claimed and free. A capacity of 0 is not known yet and refuses nothing."""

    def __init__(self) -> None:
        self.capacity_bytes = 0
        self.used_bytes = 0

    def claim(self, size_bytes: int) -> None:
        """Count a disk. Never refused: what is there is counted."""
        self.used_bytes += size_bytes

    def release(self, size_bytes: int) -> None:
        """Take a claim back. Raises ValueError for more than was claimed."""
        if size_bytes > self.used_bytes:
            raise ValueError(f"pool: releases {size_bytes} bytes, {self.used_bytes} are claimed")
        self.used_bytes -= size_bytes

    def why_not(self, size_bytes: int) -> str:
        """The reason why a disk of this size does not fit now, or an empty text."""
        if not self.capacity_bytes or self.used_bytes + size_bytes <= self.capacity_bytes:
            return ""
        free = max(self.capacity_bytes - self.used_bytes, 0)
        return f"needs {format_size(size_bytes)} of disk, the pool has {format_size(free)} free"

    def ever_fits(self, size_bytes: int) -> bool:
        """Whether an empty pool could hold it."""
        return not self.capacity_bytes or size_bytes <= self.capacity_bytes
