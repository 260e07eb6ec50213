"""What an image's first bytes say: a pure reader of raw and qcow2 headers, and the check of a file in the pool.

The format is given, never guessed. Nothing but plain numbers is believed, and every number has a bound; a header that
names another file (backing file, data file) is refused, because whoever made it could name any file of the host.
Source: docs/interop/qcow2.txt of QEMU.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass

from tashid.driver.interface import DriverError
from tashid.driver.pool import open_regular

READ_BYTES = 65536  # the header and its extensions lie in the first cluster; more of it than this is nobody's
SIZE_MAX = 2**46  # 64 TiB, virtual
SNAPSHOTS_MAX = 64
KERNEL_MAX = 2**29  # 512 MiB, for a kernel and for an initial ramdisk
_L1_BYTES_MAX = 32 * 2**20  # as QEMU's own bound
_TABLE_BYTES_MAX = 8 * 2**20

# What would be taken for another format by a program that guesses; a raw image must not begin like any of these.
_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"QFI\xfb", "qcow2"),
    (0, b"QED\0", "qed"),
    (0, b"KDMV", "vmdk"),
    (0, b"COWD", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (0, b"vhdxfile", "vhdx"),
    (0, b"conectix", "vpc"),
    (0, b"LUKS\xba\xbe", "luks"),
    (0, b"WithoutFreeSpace", "parallels"),
    (0, b"WithouFreSpacExt", "parallels"),
    (64, b"\x7f\x10\xda\xbe", "vdi"),
)

_HEAD = struct.Struct(">4sIQIIQIIQQIIQ")  # version 2: 72 bytes
_MORE = struct.Struct(">QQQII")  # version 3: up to 104
_DIRTY, _CORRUPT, _DATA_FILE, _COMPRESSION, _EXTENDED_L2 = (1 << bit for bit in range(5))
_EXTENSION_REFUSED = {0x44415441: "names an external data file", 0x0537BE77: "is encrypted"}


class BadImage(DriverError):
    """The header is refused; the text says why, without the file's name."""


@dataclass(frozen=True)
class ImageHeader:
    format: str
    size_bytes: int  # virtual
    version: int = 0  # of qcow2
    snapshots: int = 0


def parse_header(first: bytes, file_bytes: int, format: str) -> ImageHeader:
    """Judge the first READ_BYTES of a file of ``file_bytes``, said to be ``format``. Raises BadImage."""
    if format == "raw":
        return _parse_raw(first, file_bytes)
    if format == "qcow2":
        return _parse_qcow2(first, file_bytes)
    raise BadImage(f"format {format[:20]!r} is not known: raw or qcow2")


def _parse_raw(first: bytes, file_bytes: int) -> ImageHeader:
    for offset, magic, name in _MAGIC:
        if first[offset : offset + len(magic)] == magic:
            raise BadImage(f"said to be raw, but begins like {name}")
    if file_bytes < 512:
        raise BadImage(f"only {file_bytes} bytes long, a disk has 512 at least")
    if file_bytes > SIZE_MAX:
        raise BadImage(f"{file_bytes} bytes long, the limit is {SIZE_MAX}")
    return ImageHeader("raw", -(-file_bytes // 512) * 512)


def _parse_qcow2(first: bytes, file_bytes: int) -> ImageHeader:
    if len(first) < _HEAD.size or first[:4] != b"QFI\xfb":
        raise BadImage("said to be qcow2, but does not begin so")
    (_, version, backing, _, cluster_bits, size, crypt, l1_entries, l1_at, table_at, table_clusters, snapshots, _) = (
        _HEAD.unpack_from(first)
    )
    if version not in (2, 3):
        raise BadImage(f"qcow2 version {version} is not known: 2 or 3")
    if backing:
        raise BadImage("has a backing file")
    if crypt:
        raise BadImage("is encrypted")
    if not 9 <= cluster_bits <= 21:
        raise BadImage(f"clusters of 2^{cluster_bits} bytes are out of bounds")
    incompatible, header_bytes = _read_version_3(first) if version == 3 else (0, _HEAD.size)
    if not 0 < size <= SIZE_MAX:
        raise BadImage(f"claims {size} bytes, the limit is {SIZE_MAX}")
    if snapshots > SNAPSHOTS_MAX:
        raise BadImage(f"has {snapshots} internal snapshots, the limit is {SNAPSHOTS_MAX}")
    cluster = 1 << cluster_bits
    per_table = cluster // (16 if incompatible & _EXTENDED_L2 else 8)
    needed = -(-size // (cluster * per_table))
    if not needed <= l1_entries <= _L1_BYTES_MAX // 8:
        raise BadImage(f"its first table has {l1_entries} entries, {needed} are needed for its size")
    for what, at, length in (
        ("first table", l1_at, l1_entries * 8),
        ("reference table", table_at, table_clusters * cluster),
    ):
        if at % cluster or not 0 < at < file_bytes or at + length > file_bytes:
            raise BadImage(f"its {what} lies outside the file: cut off or damaged")
    if not 0 < table_clusters * cluster <= max(_TABLE_BYTES_MAX, cluster):
        raise BadImage(f"its reference table has {table_clusters} clusters, that is out of bounds")
    _check_extensions(first[: min(cluster, len(first))], header_bytes)
    return ImageHeader("qcow2", size, version, snapshots)


def _read_version_3(first: bytes) -> tuple[int, int]:
    """The incompatible features and the header's length."""
    if len(first) < _HEAD.size + _MORE.size:
        raise BadImage("its header is cut off")
    incompatible, _, _, _, header_bytes = _MORE.unpack_from(first, _HEAD.size)
    if incompatible & _DATA_FILE:
        raise BadImage("names an external data file")
    if incompatible & _CORRUPT:
        raise BadImage("is marked corrupt: repair it with qemu-img check -r all")
    if incompatible & _DIRTY:
        raise BadImage("was not closed properly: repair it with qemu-img check -r all")
    if incompatible & ~(_COMPRESSION | _EXTENDED_L2):
        raise BadImage(f"needs features that are not known (0x{incompatible:x})")
    if not 104 <= header_bytes <= 4096 or header_bytes % 8:
        raise BadImage(f"its header claims {header_bytes} bytes, that is out of bounds")
    return incompatible, header_bytes


def _check_extensions(cluster: bytes, at: int) -> None:
    while at + 8 <= len(cluster):
        kind, length = struct.unpack_from(">II", cluster, at)
        if not kind:
            return
        if kind in _EXTENSION_REFUSED:
            raise BadImage(_EXTENSION_REFUSED[kind])
        at += 8 + -(-length // 8) * 8
    raise BadImage("its header extensions have no end")


def inspect(pool: str, path: str, format: str) -> ImageHeader:
    """Judge an image in the pool, opened once, by descriptor. Raises DriverError that names it and says why."""
    with open_regular(pool, path) as (file, file_bytes):
        try:
            return parse_header(os.pread(file, READ_BYTES, 0), file_bytes, format)
        except BadImage as error:
            raise DriverError(f"{path!r}: {error}") from error


def check_kernel(pool: str, path: str) -> None:
    """A kernel or an initial ramdisk in the pool: a plain file of a sensible size. Raises DriverError."""
    with open_regular(pool, path) as (_, file_bytes):
        if not 0 < file_bytes <= KERNEL_MAX:
            raise DriverError(f"{path!r}: {file_bytes} bytes long, a kernel or ramdisk has 1 to {KERNEL_MAX}")


def inspect_image(pool: str, path: str, format: str, kernel: str, initrd: str) -> dict[str, str]:
    """A driver's answer about an image and what boots it; ``kernel`` and ``initrd`` may be empty."""
    header = inspect(pool, path, format)
    if initrd and not kernel:
        raise DriverError(f"{initrd!r}: an initial ramdisk without a kernel boots nothing")
    for part in filter(None, (kernel, initrd)):
        check_kernel(pool, part)
    return {"size_bytes": str(header.size_bytes)}
