"""What may be in a store: the rules for a batch, and the header that says which version wrote the files."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from tashi.wire.errors import Fault
from tashid.store.interface import COLD_TABLES, KEY_MAX, TABLES, Damaged, LogEntry, PlainPut, TooNew

_KNOWN = frozenset(TABLES)
_COLD = frozenset(COLD_TABLES)
_SHORT = KEY_MAX // 4  # so many characters are never more than KEY_MAX bytes


class Header(NamedTuple):
    """``pruned`` is the newest revision that the log no longer holds; ``epoch`` the newest lease.

    ``upgrading``: the table and the key that the upgrade to ``schema`` has come to, while it is not over.
    """

    schema: int
    epoch: int = 0
    pruned: int = 0
    upgrading: tuple[str, str] | None = None

    def encode(self) -> bytes:
        return json.dumps(self._asdict()).encode()


def decode_header(data: bytes, path: str, newest: int) -> Header:
    """The header of the store at ``path``, for a version whose schema is ``newest``. Raises TooNew or Damaged."""
    try:
        fields = json.loads(data)
        schema = int(fields["schema"])
        if schema > newest:
            raise TooNew(
                f"store {path} has schema {schema}, this version knows {newest}",
                hint="start the version that wrote it, or a newer one",
            )
        table, key = fields.get("upgrading") or ("", "")
        upgrading = (str(table), str(key)) if table else None
        return Header(schema, int(fields["epoch"]), int(fields["pruned"]), upgrading)
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"store {path}: its header is not a header: {error!r}") from error


def check_batch(puts: Sequence[PlainPut], log: Sequence[LogEntry], head: int) -> None:
    """Raise Fault for a batch that no caller may ask for; ``head`` is the newest revision so far."""
    for table, key, _ in puts:
        if table not in _KNOWN:
            raise Fault(f"no table {table!r} in the store")
        if not 0 < len(key) <= _SHORT:
            _check_long(key)
    for entry in log:
        head += 1
        if entry.revision != head:
            raise Fault(f"gap in the log: revision {entry.revision} where {head} is next")
        for table, key in entry.refers:
            if table not in _COLD:
                raise Fault(f"log entry {head} refers to table {table!r}, which is not a cold one")
            _check_long(key)


def _check_long(key: str) -> None:
    if not 0 < len(key.encode()) <= KEY_MAX:
        raise Fault(f"key {key[:40]!r} is not 1 to {KEY_MAX} bytes long")
