"""May a store live in this directory, and is it ours alone?

LMDB's locks and its memory map hold on local file systems only, and a store has one controller: the directory is
refused on a network file system, and a `flock` on the file ``lock`` in it keeps a second controller out. The lock
dies with its process, however that ends; workers don't inherit it.
"""

from __future__ import annotations

import fcntl
import os

from tashi.wire.errors import Code, Refused
from tashid.store.interface import Locked

MOUNTS = "/proc/self/mountinfo"
NETWORK = {
    "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs", "lustre",
    "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "smb3", "smbfs",
    "fuse.ceph", "fuse.glusterfs", "fuse.juicefs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs",
}  # fmt: skip


def file_system(path: str, mounts: str) -> str:
    """The type of the file system that holds ``path``, from the text of proc(5)'s mountinfo."""
    real = os.path.realpath(path)
    best, found = "", "unknown"
    for line in mounts.splitlines():
        mount, _, source = line.partition(" - ")
        point = _plain(mount.split(" ")[4])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # a later line covers an earlier one at the same place
            best, found = point, source.split(" ")[0]
    return found


def _plain(escaped: str) -> str:
    """A mount point without mountinfo's octal escapes: ``/my\\040disk`` is ``/my disk``."""
    return os.fsdecode(os.fsencode(escaped).decode("unicode_escape").encode("latin-1"))


def refuse_network(path: str) -> None:
    """Raise Refused when ``path`` lies on a network file system."""
    with open(MOUNTS, encoding="utf-8", errors="surrogateescape") as file:
        found = file_system(path, file.read())
    if found in NETWORK:
        raise Refused(
            Code.IMPOSSIBLE,
            f"store {path} is on a network file system ({found}): locks and the memory map do not hold there",
            hint="put it on a local disk: [controller] state in tashi.toml",
        )


class Lock:
    """The lock on a store's directory, ours until ``release``. Raises Locked when somebody else has it."""

    def __init__(self, directory: str) -> None:
        self._path = path = os.path.join(directory, "lock")
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.fstat(self._file).st_nlink:
                raise BlockingIOError  # somebody who only looked has just taken it away
        except BlockingIOError as error:
            holder = os.pread(self._file, 20, 0).decode("ascii", "replace").strip()
            os.close(self._file)
            raise Locked(
                f"store {directory} is in use by process {holder or 'unknown'}",
                hint="one controller per store: stop the other one, or give this one a state of its own",
            ) from error
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, f"{os.getpid()}\n".encode(), 0)

    def release(self, forget: bool = False) -> None:
        """``forget``: take the file away, too, where no store is to lock."""
        if forget:
            os.unlink(self._path)
        os.close(self._file)
