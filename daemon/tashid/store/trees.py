"""What is done inside one transaction of the embedded store: rows written, removed, counted, and checked.

A tree per table, one for the log and one for the header; records are sealed as framing.py says.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tashid.store import framing

if TYPE_CHECKING:
    from tashid.store.lmdb import Tree, Trees, Txn


def change(txn: Txn, trees: Trees, rows: dict[str, dict[bytes, bytes]], gone: Iterable[tuple[str, bytes]]) -> None:
    """Write the records of each table, then delete keys."""
    for table, batch in rows.items():
        if batch:
            put(txn, trees[table], batch.items())
    delete(txn, trees, gone)


def put(txn: Txn, tree: Tree, rows: Iterable[tuple[bytes, bytes]], append: bool = False) -> None:
    with txn.cursor(db=tree) as cursor:
        cursor.putmulti(rows, append=append)


def delete(txn: Txn, trees: Trees, keys: Iterable[tuple[str, bytes]]) -> None:
    for table, key in keys:
        txn.delete(key, db=trees[table])


def used(txn: Txn, trees: Trees) -> int:
    """Bytes of all pages that hold something."""
    stats = [txn.stat(tree) for tree in trees.values()]
    return sum((s["branch_pages"] + s["leaf_pages"] + s["overflow_pages"]) * s["psize"] for s in stats)


def broken(txn: Txn, trees: Trees) -> list[str]:
    """The records whose checksum does not fit, a line each."""
    wrong: list[str] = []
    for name, tree in trees.items():
        with txn.cursor(db=tree) as cursor:
            wrong += [
                f"{name}: the checksum of record {key!r} does not fit"
                for key, record in cursor
                if framing.unseal(name, key, record) is None
            ]
    return wrong
