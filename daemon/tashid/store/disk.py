"""What a store asks of its disk: files as long as they should be, names that last, and space kept aside.

When the disk is full nothing can be committed, not even a deletion. The ballast is a file of real blocks: it is given
up for commits that make room (destroy, cancel, reports, pruning) and made again as soon as the disk has room for it.
Until then ordinary commits are refused, or they would eat what it gave.
"""

from __future__ import annotations

import errno
import os

BALLAST_BYTES = 8 * 2**20
DISK_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


def lengthen(path: str, size: int) -> None:
    """Make the file at least ``size`` bytes long, durably; the new part is a hole. Raises OSError."""
    file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        if os.fstat(file).st_size < size:
            os.ftruncate(file, size)
            os.fsync(file)
    finally:
        os.close(file)


def sync_directory(path: str) -> None:
    """Make the names in a directory durable, after a rename. Raises OSError."""
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


class Ballast:
    """``held`` tells whether the blocks are ours at this moment."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.held = False
        self.hold()

    def hold(self) -> bool:
        """Take the space; False when the disk has not that much. Raises OSError for any other reason."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, BALLAST_BYTES)
            self.held = True
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            os.ftruncate(file, 0)  # a part of it is of no use to anybody
        finally:
            os.close(file)
        return self.held

    def release(self) -> None:
        """Give the space back to the disk."""
        os.truncate(self._path, 0)
        self.held = False
