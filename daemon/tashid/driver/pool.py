"""Files of the shared pool, opened so that nothing outside it can be reached.

A path is relative to the pool and walked one component at a time by descriptor, never through a symbolic link; so a
link that is swapped in between check and use changes nothing.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tashid.driver.interface import DriverError

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


class NotThere(DriverError):
    """There is no such file, or no such folder above it."""


def split_path(path: str) -> list[str]:
    """The components of a path in the pool. Raises DriverError for anything but plain names between slashes."""
    parts = path.split("/")
    if len(path) > 4096 or "\0" in path or any(part in ("", ".", "..") for part in parts):
        raise DriverError(f"{path[:200]!r} is not a path below the pool: plain names with '/' between them")
    return parts


def absolute_path(pool: str, path: str) -> str:
    """Where a path of the pool is on this host, for programs that take names."""
    return os.path.join(pool, *split_path(path))


def _walk(pool: str, folders: list[str], create: bool) -> int:
    held = os.open(pool, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for name in folders:
            if create:
                with suppress(FileExistsError):  # as wanted; the open below refuses what is no folder
                    os.mkdir(name, 0o755, dir_fd=held)
            inner = os.open(name, _FOLDER, dir_fd=held)
            os.close(held)
            held = inner
    except BaseException:
        os.close(held)
        raise
    return held


@contextmanager
def open_parent(pool: str, path: str, create: bool = False) -> Iterator[tuple[int, str]]:
    """The folder that holds ``path``, as a descriptor, and the last component; missing folders are made if asked.

    Raises DriverError when a component is missing, is no folder, or is a symbolic link.
    """
    *folders, last = split_path(path)
    try:
        held = _walk(pool, folders, create)
    except FileNotFoundError as error:
        raise NotThere(f"{path!r}: its folder is not in the pool {pool}") from error
    except OSError as error:
        raise DriverError(f"{path!r}: its folder in the pool {pool} can't be opened: {error.strerror}") from error
    try:
        yield held, last
    finally:
        os.close(held)


@contextmanager
def open_regular(pool: str, path: str) -> Iterator[tuple[int, int]]:
    """A regular file of the pool, opened once for reading: descriptor and size in bytes.

    Raises DriverError for a link, a device, a pipe, a folder, or nothing at all.
    """
    with open_parent(pool, path) as (folder, name):
        try:
            file = os.open(name, _FILE, dir_fd=folder)
        except FileNotFoundError as error:
            raise NotThere(f"{path!r}: there is no such file in the pool {pool}") from error
        except OSError as error:
            raise DriverError(f"{path!r}: can't be opened as a plain file: {error.strerror}") from error
        try:
            what = os.fstat(file)
            if not stat.S_ISREG(what.st_mode):
                raise DriverError(f"{path!r}: not a regular file")
            yield file, what.st_size
        finally:
            os.close(file)
