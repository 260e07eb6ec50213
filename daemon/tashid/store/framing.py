"""How a record lies in a file: sealed with a checksum, so that a flipped bit is never taken for data.

Every record is 4 bytes of CRC-32 and its body. The checksum covers table, key and body: a record that turns up under
another key is damage too. It costs about 0.3 us a record, a tenth of what writing one costs.
A log entry's body is the wall time (f8), the length of what it refers to (u4), that, and the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from struct import Struct
from zlib import crc32

from tashid.store.interface import COLD_TABLES, TABLES, LogEntry, PlainPut

LOG, HEADER = "log", "header"
# Where a tree's checksums start, so that equal records of two trees differ.
SEEDS = {tree: crc32(tree.encode()) for tree in (*TABLES, LOG, HEADER)}

_SUM = Struct("<I")
_ENTRY = Struct("<dI")
_REFER = Struct("<BH")  # index in COLD_TABLES, bytes of the key that follows
_COLD = {table: index for index, table in enumerate(COLD_TABLES)}


def seal(tree: str, key: bytes, body: bytes) -> bytes:
    """The record for ``body`` under ``key``."""
    return _SUM.pack(crc32(body, crc32(key, SEEDS[tree]))) + body


def unseal(tree: str, key: bytes, record: bytes) -> bytes | None:
    """The body of a record; None when its checksum does not fit."""
    body = record[4:]
    return body if record[:4] == _SUM.pack(crc32(body, crc32(key, SEEDS[tree]))) else None


def seal_puts(puts: Sequence[PlainPut]) -> tuple[dict[str, dict[bytes, bytes]], dict[tuple[str, bytes], None]]:
    """(records to write by table, then keys to delete). The hot path, so ``seal`` is spelt out."""
    pack, seeds = _SUM.pack, SEEDS
    rows: dict[str, dict[bytes, bytes]] = {table: {} for table in TABLES}
    gone: dict[tuple[str, bytes], None] = {}
    for table, text, value in puts:
        key = text.encode()
        if value is None:
            gone[table, key] = None
        else:
            rows[table][key] = pack(crc32(value, crc32(key, seeds[table]))) + value
            if gone:
                gone.pop((table, key), None)
    return rows, gone


def seal_log(log: Sequence[LogEntry]) -> list[tuple[bytes, bytes]]:
    """(key, record) of each entry. The hot path too."""
    pack, pack_entry, start = _SUM.pack, _ENTRY.pack, SEEDS[LOG]
    rows = []
    for entry in log:
        named = b""
        for table, text in entry.refers:
            key = text.encode()
            named += _REFER.pack(_COLD[table], len(key)) + key
        body = pack_entry(entry.wall_seconds, len(named)) + named + entry.value
        key = entry.revision.to_bytes(8, "big")
        rows.append((key, pack(crc32(body, crc32(key, start))) + body))
    return rows


def revision_key(revision: int) -> bytes:
    return revision.to_bytes(8, "big")


def entry_value(body: bytes) -> bytes:
    """Only the value of a log entry: what readers want."""
    return body[_ENTRY.size + _ENTRY.unpack_from(body)[1] :]


def entry_rest(body: bytes) -> tuple[float, list[tuple[str, bytes]]]:
    """The wall time of a log entry, and the (table, key) pairs it refers to: what pruning wants."""
    wall_seconds, length = _ENTRY.unpack_from(body)
    at, end = _ENTRY.size, _ENTRY.size + length
    refers = []
    while at < end:
        index, size = _REFER.unpack_from(body, at)
        at += _REFER.size + size
        refers.append((COLD_TABLES[index], body[at - size : at]))
    return wall_seconds, refers
