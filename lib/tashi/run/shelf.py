"""Where a fake driver keeps its world: in memory for a simulator, in a folder for agents that are processes.

Rows lie in rooms (``hosts/h1``, ``moves``) under a key. In a folder each is one JSON file, replaced as a whole while a
lock is held, so that any number of processes may look and change, and be killed in between.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

import msgspec

Row = TypeVar("Row", bound=msgspec.Struct)


class Shelf(Protocol):
    def locked(self) -> Any:
        """A context within which nobody else reads or writes; never nested."""

    def rows(self, room: str, type: type[Row]) -> dict[str, Row]:
        """All rows of a room, a copy; a room that is not there is empty."""

    def rooms(self, above: str) -> list[str]:
        """Names of the rooms within a room."""

    def row(self, room: str, key: str, type: type[Row]) -> Row | None: ...

    def put(self, room: str, key: str, row: msgspec.Struct) -> None: ...

    def drop(self, room: str, key: str) -> None:
        """Remove a row; one that is not there is success."""


class MemoryShelf:
    def __init__(self) -> None:
        self._rooms: dict[str, dict[str, Any]] = {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        yield

    def rows(self, room: str, type: type[Row]) -> dict[str, Row]:
        return dict(self._rooms.get(room, {}))

    def rooms(self, above: str) -> list[str]:
        return [room.removeprefix(f"{above}/") for room in self._rooms if room.startswith(f"{above}/")]

    def row(self, room: str, key: str, type: type[Row]) -> Row | None:
        return self._rooms.get(room, {}).get(key)

    def put(self, room: str, key: str, row: msgspec.Struct) -> None:
        self._rooms.setdefault(room, {})[key] = row

    def drop(self, room: str, key: str) -> None:
        self._rooms.get(room, {}).pop(key, None)


class FolderShelf:
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        os.makedirs(path, exist_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        with open(os.path.join(self._path, "lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def rows(self, room: str, type: type[Row]) -> dict[str, Row]:
        try:
            names = sorted(os.listdir(os.path.join(self._path, room)))
        except FileNotFoundError:
            return {}
        keys = [name.removesuffix(".json") for name in names if name.endswith(".json")]
        found = ((key, self.row(room, key, type)) for key in keys)
        return {key: row for key, row in found if row is not None}

    def rooms(self, above: str) -> list[str]:
        try:
            return sorted(os.listdir(os.path.join(self._path, above)))
        except FileNotFoundError:
            return []

    def row(self, room: str, key: str, type: type[Row]) -> Row | None:
        try:
            with open(self._file(room, key), "rb") as file:
                return msgspec.json.decode(file.read(), type=type)
        except FileNotFoundError:
            return None

    def put(self, room: str, key: str, row: msgspec.Struct) -> None:
        path = self._file(room, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(f"{path}.new", "wb") as file:  # one writer at a time: the lock is held
            file.write(msgspec.json.encode(row))
        os.replace(f"{path}.new", path)

    def drop(self, room: str, key: str) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._file(room, key))

    def _file(self, room: str, key: str) -> str:
        return os.path.join(self._path, room, f"{key}.json")
