"""Small files that have to be whole and durable."""

from __future__ import annotations

import os


def write_durably(path: str, data: bytes, mode: int) -> None:
    """Replace ``path`` in one step: a crash leaves the old file or the new one, never a part. Raises OSError."""
    fresh = path + ".new"
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
    os.rename(fresh, path)
    sync_folder(path)


def sync_folder(path: str) -> None:
    """Make a new or changed name durable: sync the folder that ``path`` is in."""
    fd = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
