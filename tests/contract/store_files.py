"""Stores made of files, for tests: opened, read by another process, looked at from outside."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tashid.store.interface import LogEntry, Put, Store
from tashid.store.open import open_store
from tests.contract import store_child

MIB = 2**20
LIMIT = 2**30
PAGE = 4096
CHILD = Path(store_child.__file__)


@contextmanager
def opened(folder: str, limit_bytes: int = LIMIT) -> Iterator[tuple[Store, int]]:
    store = open_store(folder, limit_bytes)
    try:
        yield store, store.acquire()
    finally:
        store.close()


def child(*argv: str) -> subprocess.Popen[bytes]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([sys.executable, str(CHILD), *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env)


def lines(process: subprocess.Popen[bytes]) -> Iterator[str]:
    assert process.stdout is not None
    for line in process.stdout:
        yield line.decode().strip()


def end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate(timeout=20)


def used_bytes(folder: str) -> int:
    """How far LMDB has written: what the newer of the two meta pages says (layout in tashid/store/pages.py)."""
    metas = Path(folder, "data.mdb").read_bytes()[: 2 * PAGE]
    newer = max((0, PAGE), key=lambda at: int.from_bytes(metas[at + 144 : at + 152], "little"))
    return (int.from_bytes(metas[newer + 136 : newer + 144], "little") + 1) * PAGE


def some_rows(folder: str) -> str:
    """A store of a few hundred rows, closed; the digest of what it holds."""
    with opened(folder) as (store, epoch):
        for first in range(0, 300, 100):
            puts = [Put("vm", f"v-{n}", b"%d" % n * 50) for n in range(first, first + 100)]
            log = [LogEntry(n, 0.0, b"%d" % n, (("done", f"j-{n}"),)) for n in range(first + 1, first + 101)]
            store.commit([*puts, Put("done", f"j-{first}", b"big" * 3000)], log, epoch=epoch)
        return store_child.digest(store)
