"""An agent's memory on disk: a file of JSON lines, appended before anything is done or said.

Each line is the CRC-32 of its JSON in eight hexadecimal digits, a space, and the JSON. A line torn by a kill or a power
cut is the last one, and was never acted upon: it is cut off at the next start. A wrong line anywhere else means that
the disk can't be believed, and is refused.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable
from typing import Any

from tashi.run.files import sync_folder
from tashi.wire.errors import Fault, Unavailable

Record = dict[str, Any]


class Outbox:
    """The file. ``records`` are what it held when it was opened, in order."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(os.dup(self._fd), "rb") as file:
            self.records, self._good = _read(path, file.read())
        self.lines = len(self.records)
        os.ftruncate(self._fd, self._good)
        os.fsync(self._fd)
        sync_folder(path)

    def append(self, records: Iterable[Record]) -> None:
        """Durable when it returns. Raises Unavailable, and then nothing was added."""
        lines = [_line(record) for record in records]
        data = b"".join(lines)
        try:
            os.ftruncate(self._fd, self._good)  # a failed append may have left something
            _write_all(self._fd, data, self._good)
            os.fdatasync(self._fd)
        except OSError as error:
            raise Unavailable(f"{self._path}: {error.strerror}") from error
        self._good += len(data)
        self.lines += len(lines)

    def rewrite(self, records: Iterable[Record]) -> None:
        """Replace all lines by these, in one step. Raises Unavailable, and then nothing was changed."""
        fresh = self._path + ".new"
        lines = [_line(record) for record in records]
        try:
            fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            try:
                _write_all(fd, b"".join(lines), 0)
                os.fsync(fd)
                os.rename(fresh, self._path)
            except BaseException:
                os.close(fd)
                raise
            sync_folder(self._path)
        except OSError as error:
            raise Unavailable(f"{self._path}: {error.strerror}") from error
        os.close(self._fd)
        self._fd, self._good, self.lines = fd, sum(map(len, lines)), len(lines)

    def close(self) -> None:
        """Give up the file."""
        os.close(self._fd)


def _line(record: Record) -> bytes:
    text = json.dumps(record, separators=(",", ":")).encode()
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _write_all(fd: int, data: bytes, offset: int) -> None:
    while data:
        written = os.pwrite(fd, data, offset)
        data, offset = data[written:], offset + written


def _read(path: str, data: bytes) -> tuple[list[Record], int]:
    """(records, bytes that are good). Raises Fault when something else than the last line is wrong."""
    records: list[Record] = []
    good = 0
    while good < len(data):
        end = data.find(b"\n", good) + 1
        record = _parse(data[good : end - 1]) if end else None
        if record is None:
            # What follows a torn line was never written; the tail of a file may be zeros after a power cut.
            if any(_parse(line) is not None for line in data[good:].split(b"\n")[1:]):
                raise Fault(
                    f"{path}: line {len(records) + 1} is damaged",
                    "the disk can't be trusted; move the file away and the agent starts from what its host shows",
                )
            return records, good
        records.append(record)
        good = end
    return records, good


def _parse(line: bytes) -> Record | None:
    if len(line) < 10 or line[8:9] != b" ":
        return None
    try:
        if int(line[:8], 16) != zlib.crc32(line[9:]):
            return None
        record = json.loads(line[9:])
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
