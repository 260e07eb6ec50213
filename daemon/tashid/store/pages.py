"""Is this file a whole LMDB data file? Asked by plain reads, before anything maps it into memory.

A mapped file that is shorter than its own meta pages say kills the process with SIGBUS, and an empty one is silently
made into an empty store. So the two meta pages are read and checked first; it takes 20 us.

Layout, native byte order, as in LMDB 0.9's mdb.c. Page: u8 number, u2 pad, u2 flags, u4 bounds. Meta, after that:
u4 magic, u4 version, u8 address, u8 map size, two tree records of 48 bytes (the first one's u4 pad is the page size),
u8 last page, u8 transaction id. Transaction N is written to meta page N mod 2, so the ids are neighbours.
"""

from __future__ import annotations

import os
from struct import Struct
from typing import NamedTuple

from tashid.store.interface import Damaged, TooNew

_PAGE = Struct("=QHH4x")
_META = Struct("=II8xQI92xQQ")
_MAGIC, _VERSION, _META_FLAG = 0xBEEFC0DE, 1, 0x08
_PAGE_SIZES = {2**power for power in range(9, 16)}


class _Meta(NamedTuple):
    magic: int
    version: int
    map_size: int
    page_size: int
    last_page: int
    transaction: int


def check_data_file(path: str) -> int:
    """The size of a whole data file in bytes. Raises Damaged with the reason, TooNew for a newer format, OSError."""
    with open(path, "rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        first = _meta(file.read(_PAGE.size + _META.size), 0, path)
        file.seek(first.page_size)
        second = _meta(file.read(_PAGE.size + _META.size), 1, path)
    older, newer = sorted((first, second), key=lambda meta: meta.transaction)
    if second.page_size != first.page_size:
        raise Damaged(f"{path}: its two meta pages disagree on the page size")
    if newer.transaction - older.transaction != 1 or first.transaction % 2 or newer.last_page < older.last_page:
        raise Damaged(f"{path}: its two meta pages do not follow each other")
    if (newer.last_page + 1) * newer.page_size > size:
        raise Damaged(f"{path}: cut short: {size} bytes of {(newer.last_page + 1) * newer.page_size}")
    return size


def _meta(data: bytes, number: int, path: str) -> _Meta:
    if len(data) < _PAGE.size + _META.size:
        raise Damaged(f"{path}: cut short or empty: meta page {number} is missing")
    page, _, flags = _PAGE.unpack_from(data)
    meta = _Meta(*_META.unpack_from(data, _PAGE.size))
    if (page, flags, meta.magic) != (number, _META_FLAG, _MAGIC) or meta.page_size not in _PAGE_SIZES:
        raise Damaged(f"{path}: meta page {number} is overwritten")
    if meta.version > _VERSION:
        raise TooNew(f"{path}: data format {meta.version} is newer than {_VERSION}, which this version knows")
    return meta
