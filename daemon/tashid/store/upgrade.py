"""From one schema to the next: what a store of an older version goes through when it is opened.

A step changes the values of tables, a batch a transaction; each transaction also says in the header how far it got,
so that a step which was cut short goes on there. From its first batch on the header names the new schema, and an older
version refuses the store: half of its records would be strange to it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from tashid.store.interface import Damaged, PlainPut, TooOld
from tashid.store.schema import Header

BATCH = 1000  # records in one transaction

Change = Callable[[str, bytes], bytes | None]  # (key, value) -> the new value; None: the record goes


class Upgrade(NamedTuple):
    """The step to ``schema`` from the one before. Tables that are new to it are made empty; keys stay as they are."""

    schema: int
    tables: Mapping[str, Change]


UPGRADES = (
    Upgrade(1, {}),  # the first there was
    Upgrade(2, {}),  # the table usage
    Upgrade(3, {}),  # groups; keys, which the controller takes out of the users' records
    Upgrade(4, {}),  # the tables of physical machines: what they hang on, who reaches them, whose they are
    Upgrade(5, {}),  # the table decision
)


class Rewritable(Protocol):
    """What a step needs of a store."""

    @property
    def header(self) -> Header: ...

    def scan(self, table: str, after: str = "", limit: int = 1000) -> list[tuple[str, bytes]]: ...

    def rewrite(self, puts: Sequence[PlainPut], header: Header) -> None:
        """In one transaction: these records, and this header."""


def upgrade(store: Rewritable, path: str, steps: Sequence[Upgrade]) -> None:
    """Bring a store to the schema of the last step. Raises TooOld, and what ``rewrite`` raises."""
    if store.header.schema < steps[0].schema:
        known = f"the oldest that this version reads is {steps[0].schema}"
        raise TooOld(f"store {path} has schema {store.header.schema}, {known}", "start a version between the two first")
    for step in steps:
        if store.header.schema < step.schema or (store.header.schema == step.schema and store.header.upgrading):
            _take(store, path, step)


def _take(store: Rewritable, path: str, step: Upgrade) -> None:
    tables = list(step.tables)
    table, after = store.header.upgrading or (next(iter(tables), ""), "")
    if table and table not in tables:
        raise Damaged(
            f"store {path}: its upgrade to schema {step.schema} stopped in {table!r}, which is not part of it"
        )
    for name in tables[tables.index(table) :] if table else []:
        change = step.tables[name]
        while rows := store.scan(name, after, BATCH):
            after = rows[-1][0]
            header = store.header._replace(schema=step.schema, upgrading=(name, after))
            store.rewrite([(name, key, change(key, value)) for key, value in rows], header)
        after = ""
    store.rewrite([], store.header._replace(schema=step.schema, upgrading=None))
