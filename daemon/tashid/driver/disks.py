"""Disks of guests in the shared pool: made as overlays over an image by qemu-img, and deleted.

A disk is there whole or not at all: it is made beside its place and then linked into it, never over another. Formats
are always given to qemu-img, so it guesses nothing.
"""

from __future__ import annotations

import os
import subprocess
from contextlib import suppress

from tashi.model.guest import Disk
from tashid.driver.image_header import SIZE_MAX, inspect
from tashid.driver.interface import DriverError, missing
from tashid.driver.pool import NotThere, absolute_path, open_parent
from tashid.driver.words import plain_words

SECONDS = 20.0
GRAIN = 2**20  # sizes are rounded up to this: firmware does not boot from a virtio disk of a few sectors


def make_disk(pool: str, disk: Disk) -> bool:
    """Make a disk if it is missing; whether it was. Raises DriverError, and leaves nothing then.

    One that was made once is not made again, and no folder for it.

    With a base it is an overlay, of the base's size when none is asked; a smaller size than the base's is refused.
    """
    size = disk.size_bytes
    backing: list[str] = []
    if disk.made:
        if not _is_there(pool, disk.path):
            raise missing(absolute_path(pool, disk.path))
        return False
    with open_parent(pool, disk.path, create=True) as (folder, name):
        if _exists(folder, name):
            return False
        if disk.base:
            base_bytes = inspect(pool, disk.base, disk.base_format).size_bytes
            if size and size < base_bytes:
                raise DriverError(f"{disk.path!r}: {size} bytes are less than the {base_bytes} of {disk.base!r}")
            size = size or base_bytes
            # relative: the pool may be mounted elsewhere on another host
            above = os.path.dirname(absolute_path(pool, disk.path))
            backing = ["-F", disk.base_format, "-b", os.path.relpath(absolute_path(pool, disk.base), above)]
        size = -(-size // GRAIN) * GRAIN
        if not 0 < size <= SIZE_MAX:
            raise DriverError(f"{disk.path!r}: {size} bytes are no size for a disk")
        fresh = f".{name}.{os.getpid()}.new"
        path = os.path.join(os.path.dirname(absolute_path(pool, disk.path)), fresh)
        try:
            run_qemu_img(["create", "-q", "-f", disk.format, *backing, "--", path, str(size)])
            with suppress(FileExistsError):  # another call made it in the meantime: as wanted
                os.link(fresh, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        finally:
            with suppress(FileNotFoundError):
                os.unlink(fresh, dir_fd=folder)
    return True


def delete_disk(pool: str, path: str) -> None:
    """Delete a disk of the pool; one that isn't there is success. Raises DriverError for what is no plain file."""
    try:
        with open_parent(pool, path) as (folder, name):
            os.unlink(name, dir_fd=folder)
    except (FileNotFoundError, NotThere):
        return
    except OSError as error:
        raise DriverError(f"{path!r}: can't be deleted: {error.strerror}") from error


def run_qemu_img(args: list[str], seconds: float = SECONDS) -> str:
    """Run qemu-img and return what it printed. Raises DriverError with its words, made printable."""
    try:
        done = subprocess.run(
            ["qemu-img", *args], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
            timeout=seconds, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise DriverError(f"qemu-img {args[0]}: not done in {seconds:g} s") from error
    except OSError as error:
        raise DriverError(f"qemu-img: {error.strerror}") from error
    if done.returncode:
        raise DriverError(f"qemu-img {args[0]}: {plain_words(done.stderr) or f'status {done.returncode}'}")
    return done.stdout


def _is_there(pool: str, path: str) -> bool:
    try:
        with open_parent(pool, path) as (folder, name):
            return _exists(folder, name)
    except NotThere:
        return False


def _exists(folder: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
