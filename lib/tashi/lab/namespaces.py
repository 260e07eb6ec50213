"""unshare(2) and mount(2), which Python 3.11 does not have."""

from __future__ import annotations

import ctypes
import os

# linux/sched.h
MOUNTS, CGROUPS, HOST_NAME = 0x0002_0000, 0x0200_0000, 0x0400_0000
IPC, PIDS, NET = 0x0800_0000, 0x2000_0000, 0x4000_0000
ALL = MOUNTS | CGROUPS | HOST_NAME | IPC | PIDS | NET

# linux/mount.h
BIND, RECURSIVE, PRIVATE = 4096, 16384, 1 << 18

_libc = ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Leave these namespaces for new ones (PIDS: the next child does). Raises OSError."""
    if _libc.unshare(flags) != 0:
        raise OSError(ctypes.get_errno(), f"unshare: {os.strerror(ctypes.get_errno())}")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """mount(2). Raises OSError naming the target."""
    failed = _libc.mount(
        os.fsencode(source), os.fsencode(target), kind.encode() or None, ctypes.c_ulong(flags), options.encode() or None
    )
    if failed:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), target)
