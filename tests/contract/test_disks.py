"""Disks in the pool: whole or not at all, never over another, never outside."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from tashi.model.guest import Disk
from tashid.driver import disks
from tashid.driver.disks import delete_disk, make_disk
from tashid.driver.image_header import parse_header
from tashid.driver.interface import DriverError

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")

MIB = 2**20


@pytest.fixture
def pool(tmp_path: Path) -> Path:
    (tmp_path / "pool/images").mkdir(parents=True)
    (tmp_path / "pool/images/base.raw").write_bytes(bytes(5 * MIB))
    return tmp_path / "pool"


def overlay(size: int = 0, base: str = "images/base.raw", base_format: str = "raw") -> Disk:
    return Disk("disks/v-1.qcow2", "qcow2", base, base_format, size)


def whole_size(pool: Path) -> int:
    """The virtual size of the overlay, which our own check would refuse for its backing file."""
    first = bytearray((pool / "disks/v-1.qcow2").read_bytes()[:65536])
    assert int.from_bytes(first[8:16], "big") > 0, "it has a backing file"
    first[8:16] = bytes(8)
    return parse_header(bytes(first), 2**40, "qcow2").size_bytes


def left(pool: Path) -> list[str]:
    return sorted(path.name for path in (pool / "disks").iterdir()) if (pool / "disks").exists() else []


@pytest.mark.parametrize(("asked", "got"), [(0, 5 * MIB), (5 * MIB, 5 * MIB), (20 * MIB + 1, 21 * MIB)])
def test_an_overlay_is_as_large_as_asked_or_as_its_image(pool: Path, asked: int, got: int) -> None:
    assert make_disk(str(pool), overlay(asked))
    assert left(pool) == ["v-1.qcow2"]
    assert whole_size(pool) == got


def test_an_image_of_one_sector_gets_a_disk_that_boots(pool: Path) -> None:
    (pool / "images/tiny.raw").write_bytes(bytes(512))
    make_disk(str(pool), overlay(base="images/tiny.raw"))
    assert whole_size(pool) == MIB


def test_a_disk_that_is_there_is_left_as_it_is(pool: Path) -> None:
    (pool / "disks").mkdir()
    (pool / "disks/v-1.qcow2").write_text("mine")
    assert not make_disk(str(pool), overlay())
    assert (pool / "disks/v-1.qcow2").read_text() == "mine"


def test_a_disk_that_was_made_once_is_not_made_again(pool: Path) -> None:
    made = replace(overlay(), made=True)
    for _ in range(2):
        with pytest.raises(DriverError, match=f"its disk {pool}/disks/v-1.qcow2 is not there"):
            make_disk(str(pool), made)
        assert not (pool / "disks").exists(), "nor its folder"
    (pool / "disks").mkdir()
    with pytest.raises(DriverError, match="is not there"):
        make_disk(str(pool), made)
    assert left(pool) == []
    (pool / "disks/v-1.qcow2").write_text("mine")
    assert not make_disk(str(pool), made)
    assert (pool / "disks/v-1.qcow2").read_text() == "mine"


def test_a_disk_without_an_image_needs_a_size(pool: Path) -> None:
    assert make_disk(str(pool), Disk("disks/v-1.raw", "raw", size_bytes=3 * MIB))
    assert (pool / "disks/v-1.raw").stat().st_size == 3 * MIB
    with pytest.raises(DriverError, match="no size"):
        make_disk(str(pool), Disk("disks/v-2.raw", "raw"))


@pytest.mark.attack(18)
@pytest.mark.parametrize(
    ("disk", "why"),
    [
        (overlay(MIB), "less than"),
        (overlay(2**60), "no size"),
        (overlay(base="images/none.raw"), "no such file"),
        (overlay(base="../pool/images/base.raw"), "below the pool"),
        (overlay(base_format="qcow2"), "does not begin so"),
        (Disk("../v-1.qcow2", "qcow2", size_bytes=MIB), "below the pool"),
        (Disk("disks/v-1.x", "no-format", size_bytes=MIB), "qemu-img create: .*no-format"),
    ],
)
def test_what_is_refused_leaves_nothing(pool: Path, disk: Disk, why: str) -> None:
    with pytest.raises(DriverError, match=why):
        make_disk(str(pool), disk)
    assert left(pool) == []


def test_a_folder_that_is_a_link_is_not_followed(pool: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/v-1.qcow2").touch()
    (pool / "disks").symlink_to(tmp_path / "outside")
    with pytest.raises(DriverError):
        make_disk(str(pool), overlay())
    with pytest.raises(DriverError):
        delete_disk(str(pool), "disks/v-1.qcow2")
    assert (tmp_path / "outside/v-1.qcow2").exists()


def test_a_slow_qemu_img_is_ended_at_its_deadline(pool: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    slow = tmp_path / "bin/qemu-img"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}:/usr/bin:/bin")
    with pytest.raises(DriverError, match="not done in"):
        disks.run_qemu_img(["create"], seconds=0.2)


def test_deleting(pool: Path, tmp_path: Path) -> None:
    make_disk(str(pool), overlay())
    delete_disk(str(pool), "disks/v-1.qcow2")
    delete_disk(str(pool), "disks/v-1.qcow2")
    delete_disk(str(pool), "nowhere/v-1.qcow2")
    assert left(pool) == []
    for path in ("disks", "../pool/images/base.raw", str(tmp_path / "pool/images/base.raw")):
        with pytest.raises(DriverError):
            delete_disk(str(pool), path)
    assert (pool / "images/base.raw").exists()
