"""A backup: one file with the store and the controller's keys, which says of itself whether it is whole.

    the store's data file, copied without gaps
    a line of JSON, what it is (`Manifest`), keys included
    the SHA-256 of all that, 64 hexadecimal digits, and a newline

It is written beside the running controller by a child of its (``python -m tashid.backup``), which may be killed at any
moment: until every record of the copy has been read and all is on the disk, the file's name ends in ``.tmp``.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from typing import Any, BinaryIO

import msgspec

from tashi.model.units import stamp
from tashi.run.child import serve, take_channel
from tashi.wire.errors import Code, Refused, TashiError, Unavailable
from tashid import contents
from tashid.store.disk import sync_directory
from tashid.store.interface import Damaged, TooNew
from tashid.store.snapshot import Snapshot

FORMAT = 1
ANOTHER = "use another backup"
SUM_BYTES = 65  # 64 digits and a newline
MANIFEST_MAX, KEY_FILE_MAX = 2**20, 2**16  # bytes
ROOM = 64 * 2**20  # bytes that a copy leaves free on its disk: the store may be on the same one
PIECE = 2**20  # bytes read at once


class Manifest(msgspec.Struct, frozen=True):
    """``data_bytes`` of the store come first in the file; ``digest`` and ``lines`` are those of its export.

    ``keys``: the text of each key file of the controller, by name.
    """

    tashi_backup: int
    at: str
    schema: int
    epoch: int
    revision: int
    lines: int
    digest: str
    data_bytes: int
    keys: dict[str, str]


# -- writing ---------------------------------------------------------------------------------------------------------
def write(state: str, path: str, wall: float) -> Manifest:
    """Back up the controller whose folder is ``state``. Raises TashiError or OSError, and leaves nothing then."""
    folder = os.path.join(state, "store")
    data = os.path.join(folder, "data.mdb")
    if os.path.lexists(path):
        raise Refused(
            Code.CONFLICT, f"{path}: it is there already", "a backup never replaces a file: give another name"
        )
    if os.path.realpath(os.path.dirname(path)) == os.path.realpath(folder):
        raise Refused(Code.BAD_REQUEST, f"{path}: that is the store's own folder", "put backups on another disk")
    free = os.statvfs(os.path.dirname(path))
    if free.f_bavail * free.f_frsize < os.stat(data).st_blocks * 512 + ROOM:
        raise Unavailable(f"{path}: the disk has not room enough for a copy", "make room on it, or use another one")
    with _partial(path) as file:
        with closing(Snapshot(data, beside=True)) as live:
            live.copy(file.fileno())
        manifest = _look_through(path + ".tmp", _keys(state), wall)
        file.seek(manifest.data_bytes)
        file.write(b"\n" + msgspec.json.encode(manifest) + b"\n")
        file.flush()
        file.write(_sum(file, file.tell()).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
    return manifest


@contextmanager
def _partial(path: str) -> Iterator[BinaryIO]:
    """A new file ``path``.tmp; when all went well it is called ``path``, else it goes."""
    partial = path + ".tmp"
    with suppress(FileNotFoundError):
        if stat.S_ISREG(os.lstat(partial).st_mode):
            os.unlink(partial)  # of a backup that was cut short
    file = os.open(partial, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with open(file, "w+b") as stream:
            yield stream
        if os.path.lexists(path):
            raise Refused(Code.CONFLICT, f"{path}: it has come to be there meanwhile", "give another name")
        os.rename(partial, path)
        sync_directory(os.path.dirname(path))
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(partial)
        raise


def _look_through(partial: str, keys: dict[str, str], wall: float) -> Manifest:
    """Read every record of the copy, as the controller would. Raises Damaged."""
    with closing(Snapshot(partial, beside=False)) as copy:
        _refuse(partial, contents.wrong(copy))
        total = contents.digest(copy)
        revision = copy.header.pruned
        for entry in copy.log():
            revision = entry.revision
        header = copy.header
    size = os.path.getsize(partial)
    return Manifest(
        FORMAT, stamp(wall), header.schema, header.epoch, revision, total.lines, total.digest, size, keys
    )  # fmt: skip


def _keys(state: str) -> dict[str, str]:
    """The controller's key files: without them the agents would not know who came back."""
    found = {}
    for name in sorted(os.listdir(state)):
        if name.endswith(".key"):
            with open(os.path.join(state, name), encoding="ascii") as file:
                found[name] = file.read(KEY_FILE_MAX)
    return found


# -- reading ---------------------------------------------------------------------------------------------------------
def read(path: str) -> Manifest:
    """What a backup says of itself, its sum compared. Raises Damaged, TooNew or OSError."""
    with open(path, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - SUM_BYTES))
        told = file.read()
        if len(told) != SUM_BYTES or _sum(file, size - SUM_BYTES) != told.decode("ascii", "replace").strip():
            raise _bad(path, "its checksum does not fit: it is not a backup, or not as it was written")
        start = max(0, size - SUM_BYTES - MANIFEST_MAX)
        file.seek(start)
        tail = file.read(size - SUM_BYTES - start)
    line = tail[tail.rfind(b"\n", 0, len(tail) - 1) + 1 :]
    try:
        told_format = msgspec.json.decode(line, type=_Format).tashi_backup
        if told_format > FORMAT:
            raise TooNew(
                f"{path}: a backup of format {told_format}; this version knows {FORMAT}", "use a newer version"
            )
        manifest = msgspec.json.decode(line, type=Manifest)
    except ValueError as error:
        raise _bad(path, f"what it says of itself can't be read: {error}") from error
    if manifest.data_bytes + 1 + len(line) + SUM_BYTES != size:
        raise _bad(path, "it has not the length that it says")
    return manifest


def verify(path: str) -> tuple[Manifest, list[str]]:
    """What a backup says of itself, and everything that is wrong in it. Raises as `read`, and what Snapshot raises."""
    manifest = read(path)
    with closing(Snapshot(path, beside=False)) as copy:
        found = contents.wrong(copy)
        if not found and contents.digest(copy).digest != manifest.digest:
            found = ["its records are not those that it was made of"]
    return manifest, found


class _Format(msgspec.Struct):
    tashi_backup: int


def _sum(file: BinaryIO, size: int) -> str:
    file.seek(0)
    total, left = hashlib.sha256(), size
    while left > 0 and (piece := file.read(min(PIECE, left))):
        total.update(piece)
        left -= len(piece)
    return total.hexdigest()


def _bad(path: str, text: str) -> Damaged:
    return Damaged(f"{path}: {text}", ANOTHER)


def _refuse(path: str, wrong: list[str]) -> None:
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        raise Damaged(f"{path}: {wrong[0]}{more}", "tashi-check says more of the store that it is made of")


# -- the child -------------------------------------------------------------------------------------------------------
def _write(args: dict[str, Any]) -> dict[str, object]:
    """The worker's one verb. What it raises leaves nothing behind."""
    try:
        manifest = write(args["state"], args["path"], time.time())
    except TashiError as error:
        raise Unavailable(f"{error.text}: {error.hint}" if error.hint else error.text) from error
    except OSError as error:
        raise Unavailable(
            f"{args['path']}: {error.strerror}: the controller, uid {os.geteuid()}, can't write it"
        ) from error
    return {
        "bytes": os.path.getsize(args["path"]), "lines": manifest.lines, "digest": manifest.digest,
        "revision": manifest.revision,
    }  # fmt: skip


if __name__ == "__main__":
    serve(take_channel(), {"write": _write}, (TashiError,))
