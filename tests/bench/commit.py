"""Bare LMDB, with its own defaults: what one durable write costs on this disk."""

from __future__ import annotations

import time
from pathlib import Path

import lmdb

MAP_BYTES = 2**30


class Bare:
    """A file of its own in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._env = lmdb.open(str(folder / "bare.mdb"), subdir=False, map_size=MAP_BYTES)
        self._number = 0

    def commit(self, *values: bytes) -> float:
        """Put these under new keys and commit; the seconds that it took."""
        self._number += 1
        began = time.perf_counter()
        with self._env.begin(write=True) as transaction:
            for at, value in enumerate(values):
                transaction.put(b"%d %012d" % (at, self._number), value)
        return time.perf_counter() - began

    def close(self) -> None:
        self._env.close()
