"""The door to the stores: what the controller calls."""

from __future__ import annotations

from tashid.store.interface import Store
from tashid.store.lmdb import LmdbStore


def open_store(path: str, limit_bytes: int) -> Store:
    """The store in directory ``path``, made when it is not there. Raises what LmdbStore raises."""
    return LmdbStore(path, limit_bytes)
