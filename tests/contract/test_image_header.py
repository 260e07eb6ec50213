"""Image headers: what is refused and why, from made-up bytes, from qemu-img, and from files that are none."""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tashid.driver.image_header import SIZE_MAX, BadImage, ImageHeader, inspect, inspect_image, parse_header
from tashid.driver.interface import DriverError

FILE_BYTES = 10 * 2**20


def qcow2(extensions: bytes = b"", **fields: int) -> bytes:
    """A header of version 3 as qemu-img writes it for 1 GiB, with some fields different."""
    given = {
        "magic": 0x514649FB, "version": 3, "backing_at": 0, "backing_bytes": 0, "cluster_bits": 16, "size": 2**30,
        "crypt": 0, "l1_entries": 2, "l1_at": 3 * 65536, "table_at": 65536, "table_clusters": 1, "snapshots": 0,
        "snapshots_at": 0, "incompatible": 0, "compatible": 0, "autoclear": 0, "refcount_order": 4, "header_bytes": 112,
    } | fields  # fmt: skip
    head = struct.pack(">IIQIIQIIQQIIQQQQII", *given.values()).ljust(112, b"\0")
    return (head + extensions).ljust(65536, b"\0")


def extension(kind: int, data: bytes) -> bytes:
    return struct.pack(">II", kind, len(data)) + data.ljust(-(-len(data) // 8) * 8, b"\0")


REFUSED = {
    "backing file": (qcow2(backing_at=512, backing_bytes=11), "backing file"),
    "data file by its bit": (qcow2(incompatible=4), "external data file"),
    "data file by its name": (qcow2(extension(0x44415441, b"/etc/shadow")), "external data file"),
    "data file behind others": (
        qcow2(extension(0x6803F857, bytes(48)) + extension(0x44415441, b"x")),
        "external data file",
    ),
    "encrypted": (qcow2(crypt=2), "encrypted"),
    "encryption header": (qcow2(extension(0x0537BE77, bytes(16))), "encrypted"),
    "corrupt": (qcow2(incompatible=2), "corrupt"),
    "dirty": (qcow2(incompatible=1), "closed properly"),
    "unknown feature": (qcow2(incompatible=1 << 40), "not known"),
    "version 1": (qcow2(version=1), "version 1"),
    "version 4": (qcow2(version=4), "version 4"),
    "2^62 bytes": (qcow2(size=2**62), "limit"),
    "no bytes": (qcow2(size=0), "limit"),
    "a hundred thousand snapshots": (qcow2(snapshots=100_000), "snapshots"),
    "tiny clusters": (qcow2(cluster_bits=3), "clusters"),
    "huge clusters": (qcow2(cluster_bits=63), "clusters"),
    "first table too short": (qcow2(l1_entries=1), "first table"),
    "first table too long": (qcow2(l1_entries=2**31), "first table"),
    "first table outside": (qcow2(l1_at=2**40), "outside"),
    "first table nowhere": (qcow2(l1_at=0), "outside"),
    "first table between clusters": (qcow2(l1_at=65537), "outside"),
    "reference table outside": (qcow2(table_at=2**50), "outside"),
    "reference table too long": (qcow2(table_clusters=0xFFFFFFFF), "outside"),
    "header too long": (qcow2(header_bytes=2**31), "header"),
    "extension too long": (qcow2(struct.pack(">II", 0x6803F857, 2**31)), "extensions"),
    "cut off": (qcow2()[:80], "cut off"),
    "empty": (b"", "does not begin"),
    "another format": (b"KDMV" + bytes(600), "does not begin"),
}


@pytest.mark.attack(18, 19, 22)
@pytest.mark.parametrize(("first", "why"), REFUSED.values(), ids=REFUSED)
def test_a_qcow2_header_is_refused(first: bytes, why: str) -> None:
    with pytest.raises(BadImage, match=why):
        parse_header(first, FILE_BYTES, "qcow2")


def test_a_plain_qcow2_header_is_taken() -> None:
    assert parse_header(qcow2(), FILE_BYTES, "qcow2") == ImageHeader("qcow2", 2**30, 3, 0)
    names = extension(0x6803F857, bytes(384))
    assert parse_header(qcow2(names, snapshots=3, incompatible=8), FILE_BYTES, "qcow2").snapshots == 3
    assert parse_header(qcow2(version=2), FILE_BYTES, "qcow2").version == 2


@pytest.mark.attack(20, 21)
@pytest.mark.parametrize(
    ("first", "name"),
    [
        (b"QFI\xfb", "qcow2"),
        (b"KDMV", "vmdk"),
        (b"# Disk DescriptorFile\n", "vmdk"),
        (b"vhdxfile", "vhdx"),
        (b"conectix", "vpc"),
        (bytes(64) + b"\x7f\x10\xda\xbe", "vdi"),
        (b"LUKS\xba\xbe", "luks"),
        (b"QED\0", "qed"),
    ],
)
def test_a_raw_image_begins_like_no_other_format(first: bytes, name: str) -> None:
    with pytest.raises(BadImage, match=f"begins like {name}"):
        parse_header(first.ljust(1024, b"\0"), FILE_BYTES, "raw")


def test_a_raw_image_is_as_large_as_its_file_in_whole_sectors() -> None:
    assert parse_header(bytes(512), 512, "raw") == ImageHeader("raw", 512)
    assert parse_header(bytes(512), 513, "raw").size_bytes == 1024
    for size in (0, 511, SIZE_MAX + 1):
        with pytest.raises(BadImage, match="long"):
            parse_header(bytes(512)[:size], size, "raw")


def test_a_format_is_named_not_guessed() -> None:
    for format in ("", "vmdk", "auto", "QCOW2"):
        with pytest.raises(BadImage, match="not known"):
            parse_header(qcow2(), FILE_BYTES, format)


@given(st.binary(max_size=600), st.integers(0, 2**63), st.sampled_from(["raw", "qcow2"]))
def test_no_bytes_do_more_than_be_refused(tail: bytes, size: int, format: str) -> None:
    for first in (tail, b"QFI\xfb" + tail, qcow2()[: 112 - len(tail) % 112] + tail):
        try:
            header = parse_header(first, size, format)
        except BadImage:
            continue
        assert 0 < header.size_bytes <= SIZE_MAX


# -- files -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    pool = tmp_path / "pool"
    (pool / "images").mkdir(parents=True)
    (pool / "images/good.raw").write_bytes(bytes(4096))
    (tmp_path / "secret").write_bytes(bytes(4096))
    return pool


def refusal(pool: Path, path: str, format: str = "raw") -> str:
    with pytest.raises(DriverError) as caught:
        inspect(str(pool), path, format)
    return str(caught.value)


def test_a_plain_file_is_taken(pool: Path) -> None:
    assert inspect(str(pool), "images/good.raw", "raw").size_bytes == 4096


@pytest.mark.attack(23)
def test_what_is_no_plain_file_is_refused_and_named(pool: Path) -> None:
    images = pool / "images"
    (images / "link").symlink_to("good.raw")
    (images / "zero").symlink_to("/dev/zero")
    os.mkfifo(images / "pipe")
    (pool / "linked").symlink_to("images")
    for path in ("images/link", "images/zero", "images/pipe", "images", "linked/good.raw", "images/none", "none/x"):
        assert repr(path) in refusal(pool, path)


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "images/../../secret", "", ".", "images//x", "a\0b"])
def test_nothing_outside_the_pool_is_reached(pool: Path, path: str) -> None:
    assert "not a path below the pool" in refusal(pool, path)


def test_a_text_is_printable_whatever_the_name(pool: Path) -> None:
    assert refusal(pool, "images/\x1b[31m\n").isprintable()


def test_kernel_and_ramdisk_are_plain_files_too(pool: Path) -> None:
    for name in ("vmlinuz", "initrd"):
        (pool / name).write_bytes(b"x")
    (pool / "empty").touch()
    good = inspect_image(str(pool), "images/good.raw", "raw", "vmlinuz", "initrd")
    assert good == {"size_bytes": "4096"}
    for kernel, initrd in (("none", ""), ("vmlinuz", "none"), ("empty", ""), ("", "initrd"), ("../secret", "")):
        with pytest.raises(DriverError):
            inspect_image(str(pool), "images/good.raw", "raw", kernel, initrd)


@pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")
def test_what_qemu_img_makes(pool: Path) -> None:
    def make(name: str, *args: str) -> str:
        subprocess.run(["qemu-img", *args], cwd=pool / "images", check=True, timeout=20, capture_output=True)
        return f"images/{name}"

    plain = make("a.qcow2", "create", "-f", "qcow2", "a.qcow2", "3G")
    assert inspect(str(pool), plain, "qcow2") == ImageHeader("qcow2", 3 * 2**30, 3, 0)
    old = make("b.qcow2", "create", "-f", "qcow2", "-o", "compat=0.10", "b.qcow2", "1M")
    assert inspect(str(pool), old, "qcow2") == ImageHeader("qcow2", 2**20, 2, 0)
    small = make("c.qcow2", "create", "-f", "qcow2", "-o", "cluster_size=512,extended_l2=off", "c.qcow2", "1G")
    assert inspect(str(pool), small, "qcow2").size_bytes == 2**30
    wide = make("d.qcow2", "create", "-f", "qcow2", "-o", "cluster_size=2M,extended_l2=on", "d.qcow2", "5T")
    assert inspect(str(pool), wide, "qcow2").size_bytes == 5 * 2**40
    make("a.qcow2", "snapshot", "-c", "one", "a.qcow2")
    assert inspect(str(pool), plain, "qcow2").snapshots == 1
    packed = make(
        "e.qcow2", "convert", "-c", "-f", "raw", "-O", "qcow2", "-o", "compression_type=zstd", "good.raw", "e.qcow2"
    )
    assert inspect(str(pool), packed, "qcow2").size_bytes == 4096
    over = make("f.qcow2", "create", "-f", "qcow2", "-F", "raw", "-b", "good.raw", "f.qcow2")
    assert "backing file" in refusal(pool, over, "qcow2")
    outside = make("g.qcow2", "create", "-f", "qcow2", "-o", "data_file=g.data", "g.qcow2", "1M")
    assert "external data file" in refusal(pool, outside, "qcow2")
    assert "begins like qcow2" in refusal(pool, plain, "raw")
