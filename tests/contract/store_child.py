"""A process that has a store open, for tests that kill it or keep it open: python store_child.py VERB PATH...

commit PATH         commits numbered batches for ever, tells each number when it is durable
hold PATH           opens, says so, and waits for its standard input to end
snapshot PATH       holds a snapshot of a store that others write to, says so, and waits
copy PATH COPY...   copies a store that others write to
raise-epoch PATH    what a second controller would do that got past the lock
read PATH...        prints for each store a digest of all it holds, or why it is damaged
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable

import lmdb

from tashid.store import framing
from tashid.store.interface import TABLES, Damaged, LogEntry, Put, Store
from tashid.store.open import open_store
from tashid.store.schema import Header
from tashid.store.snapshot import Snapshot
from tashid.store.upgrade import UPGRADES

LIMIT = 2**30
BATCH = 64


def say(text: object) -> None:
    os.write(1, f"{text}\n".encode())


def commit(path: str) -> None:
    store = open_store(path, LIMIT)
    epoch = store.acquire()
    number = int(store.get("meta", "number") or b"0")
    while True:
        number += 1
        value = b"%d" % number
        puts = [Put("meta", "number", value), *(Put("vm", f"v-{row}", value) for row in range(BATCH))]
        puts += [Put("done", f"j-{number}", value), Put("done", f"j-{number - 1}", None)]
        store.commit(puts, [LogEntry(store.head() + step, 0.0, value) for step in (1, 2)], epoch=epoch)
        say(number)


def hold(path: str) -> None:
    store = open_store(path, LIMIT)
    say("open")
    sys.stdin.read()
    store.close()


def snapshot(path: str) -> None:
    held = Snapshot(f"{path}/data.mdb", beside=True)
    say("open")
    sys.stdin.read()
    held.close()


def copy(path: str, *copies: str) -> None:
    for each in copies:
        live = Snapshot(f"{path}/data.mdb", beside=True)
        with open(each, "wb") as file:
            live.copy(file.fileno())
        live.close()


def raise_epoch(path: str) -> None:
    with lmdb.open(f"{path}/data.mdb", subdir=False, max_dbs=20, map_size=2**24) as env:
        header = framing.seal(framing.HEADER, b"header", Header(UPGRADES[-1].schema, epoch=99).encode())
        db = env.open_db(b"header")
        with env.begin(write=True) as txn:
            txn.put(b"header", header, db=db)


def digest(store: Store) -> str:
    """Stands for all that can be read from a store."""
    text = repr(([list(store.load(table)) for table in TABLES], store.changes(0, 10**6), store.head()))
    return hashlib.sha256(text.encode()).hexdigest()


def read(*paths: str) -> None:
    for path in paths:
        try:
            store = open_store(path, LIMIT)
        except Damaged as error:
            say(f"damaged {error}")
            continue
        try:
            wrong = store.verify()
            say(f"{digest(store)} {'wrong' if wrong else 'right'}")
        except Damaged as error:
            say(f"damaged {error}")
        finally:
            store.close()


VERBS: dict[str, Callable[..., None]] = {
    "commit": commit,
    "hold": hold,
    "snapshot": snapshot,
    "copy": copy,
    "raise-epoch": raise_epoch,
    "read": read,
}

if __name__ == "__main__":
    VERBS[sys.argv[1]](*sys.argv[2:])
