"""An image in the shared pool. Disks of VMs are overlays on it, so its file never changes."""

from __future__ import annotations

from msgspec import Struct


class Image(Struct, frozen=True, omit_defaults=True):
    """Paths are relative to the pool. ``size_bytes`` is the virtual size; 0 until an agent has checked the header."""

    id: str
    name: str
    owner: str
    path: str
    format: str
    created_at: str
    size_bytes: int = 0
    state: str = "checking"  # checking, ready
    kernel: str = ""
    initrd: str = ""
    kernel_args: str = ""
    job: str = ""
