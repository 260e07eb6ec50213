"""What only a store made of files can show: locks, growth, disks that are full or fail."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tashi.wire.errors import Refused, Unavailable
from tashid.store import lmdb as lmdb_store
from tashid.store import place
from tashid.store.disk import BALLAST_BYTES
from tashid.store.interface import Damaged, Full, Locked, LogEntry, Put
from tashid.store.open import open_store
from tests.contract import store_child
from tests.contract.store_files import LIMIT, MIB, child, end, lines, opened, some_rows, used_bytes


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "store")


# -- one controller, one local disk ----------------------------------------------------------------------------------
@pytest.mark.fault(9)
def test_a_second_controller_is_told_who_has_the_store(folder: str) -> None:
    process = child("hold", folder)
    assert next(lines(process)) == "open"
    with pytest.raises(Locked, match=f"{folder} is in use by process {process.pid}"):
        open_store(folder, LIMIT)
    end(process)  # kill -9: the lock goes with the process
    with opened(folder):
        pass


def test_a_worker_does_not_inherit_the_lock(folder: str) -> None:
    with opened(folder):
        worker = subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False)
    with opened(folder):
        pass
    worker.communicate(timeout=20)


def test_a_lock_whose_file_was_taken_away_keeps_nobody_out_and_is_none(
    folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path(folder).mkdir()
    first, real = place.Lock(folder), place.fcntl.flock

    def late(file: int, how: int) -> None:
        first.release(forget=True)
        real(file, how)

    monkeypatch.setattr(place.fcntl, "flock", late)
    with pytest.raises(Locked):
        place.Lock(folder)
    assert not list(Path(folder).iterdir())


def test_a_refused_open_leaves_no_lock(folder: str) -> None:
    some_rows(folder)
    Path(folder, "data.mdb").rename(folder + ".away")
    with pytest.raises(Damaged):
        open_store(folder, LIMIT)
    Path(folder + ".away").rename(Path(folder, "data.mdb"))
    with opened(folder):
        pass


@pytest.mark.fault(11)
@pytest.mark.parametrize("kind", ["nfs4", "fuse.sshfs"])
def test_a_network_file_system_is_refused(
    folder: str, kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        f"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:5 / {tmp_path} rw shared:1 - {kind} server:/export rw\n"
    )
    monkeypatch.setattr(place, "MOUNTS", str(mounts))
    with pytest.raises(Refused, match=f"network file system .{kind}"):
        open_store(folder, LIMIT)
    assert not Path(folder, "data.mdb").exists()


def test_the_innermost_and_last_mount_counts() -> None:
    mounts = r"""
1 0 8:1 / / rw - ext4 /dev/sda rw
2 1 0:2 / /var rw - nfs server:/var rw
3 2 0:3 / /var/lib rw - xfs /dev/sdb rw
4 1 0:4 / /my\040disk rw - nfs server:/disk rw
5 1 0:5 / /my\040disk rw - btrfs /dev/sdc rw
""".strip()
    for path, kind in [
        ("/x", "ext4"),
        ("/var", "nfs"),
        ("/var/x", "nfs"),
        ("/variety", "ext4"),
        ("/var/lib/a", "xfs"),
        ("/my disk/a", "btrfs"),
    ]:
        assert place.file_system(path, mounts) == kind, path


def test_a_path_that_can_not_be_a_store_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Unavailable, match="file/store"):
        open_store(str(tmp_path / "file" / "store"), LIMIT)


@pytest.mark.fault(8)
def test_another_process_that_raised_the_epoch_fences_this_one(folder: str) -> None:
    with opened(folder) as (store, epoch):
        assert child("raise-epoch", folder).wait(timeout=20) == 0
        with pytest.raises(Unavailable, match="fenced"):
            store.commit([Put("vm", "v-1", b"1")], [], epoch=epoch)
        assert store.get("vm", "v-1") is None


# -- growth and room -------------------------------------------------------------------------------------------------
@pytest.mark.fault(12)
def test_the_map_grows_by_itself(folder: str) -> None:
    with opened(folder) as (store, epoch):
        for number in range(10):
            store.commit([Put("vm", f"v-{number}", bytes([number]) * 5 * MIB)], [], epoch=epoch)
        used, limit = store.usage()
        assert (used > 50 * MIB, limit) == (True, LIMIT)
    with opened(folder) as (store, _):
        assert [value == bytes([number]) * 5 * MIB for number, (_, value) in enumerate(store.load("vm"))] == [True] * 10
        assert store.verify() == []


@pytest.mark.fault(12)
def test_growth_ends_at_the_soft_limit_and_then_at_the_reserve(folder: str) -> None:
    with opened(folder, 24 * MIB) as (store, epoch):
        numbers = iter(range(100))
        with pytest.raises(Full, match="limit is"):
            for number in numbers:
                store.commit([Put("vm", f"v-{number}", b"x" * MIB)], [], epoch=epoch)
        ordinary = len(store.scan("vm"))
        with pytest.raises(Full):
            for number in numbers:
                store.commit([Put("vm", f"v-{number}", b"x" * MIB)], [], epoch=epoch, reserve=True)
        assert 18 < ordinary <= 24
        assert 10 < len(store.scan("vm")) - ordinary <= 16
        assert Path(folder, "data.mdb").stat().st_size == 24 * MIB + lmdb_store.RESERVE
        with pytest.raises(Full):
            store.commit([], [], epoch=epoch)
        store.prune(0, 0.0)
    with opened(folder, 24 * MIB) as (store, epoch):
        store.commit([Put("vm", key, None) for key, _ in store.scan("vm")], [], epoch=epoch, reserve=True)
        store.commit([Put("vm", "v-1", b"1")], [], epoch=epoch)
        assert store.verify() == []


@pytest.mark.fault(13)
def test_a_file_that_may_not_grow_is_no_commit(folder: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(folder) as (store, epoch):
        resource.setrlimit(resource.RLIMIT_FSIZE, (lmdb_store.FIRST_MAP, hard))
        try:
            with pytest.raises(Unavailable, match="File too large"):
                store.commit([Put("vm", "v-1", b"x" * 20 * MIB)], [], epoch=epoch)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert store.get("vm", "v-1") is None
        store.commit([Put("vm", "v-1", b"x" * 20 * MIB)], [], epoch=epoch)


@pytest.mark.fault(15)
def test_a_reader_that_never_finishes_holds_no_pages(folder: str) -> None:
    some_rows(folder)
    with opened(folder) as (store, epoch):
        reader = store.load("vm")
        next(reader)
        for number in range(200):
            store.commit([Put("vm", f"v-{n}", b"%d" % number * 60) for n in range(50)], [], epoch=epoch)
        assert used_bytes(folder) < 2 * MIB, "freed pages were not used again"
        assert len(list(reader)) == 299


# -- disks that fail -------------------------------------------------------------------------------------------------
def break_disk(folder: str, device: str, flags: int, only_meta: bool = False) -> None:
    """Put another file under the store's feet: what LMDB writes next goes there."""
    broken = os.open(device, flags)
    for entry in Path("/proc/self/fd").iterdir():
        number = int(entry.name)
        if number != broken and os.path.realpath(entry) == os.path.realpath(Path(folder, "data.mdb")):
            told = Path(f"/proc/self/fdinfo/{number}").read_text()
            sync = int(told.split("flags:")[1].split()[0], 8) & os.O_DSYNC
            if sync or not only_meta:
                os.dup2(broken, number, inheritable=False)
    os.close(broken)


FAILURES: dict[str, Callable[[str], None]] = {
    "No space left": lambda folder: break_disk(folder, "/dev/full", os.O_RDWR),
    "Input/output error": lambda folder: break_disk(folder, "/proc/self/mem", os.O_RDWR),
    # LMDB calls it a panic when the meta page itself can't be written: the environment is of no use any more.
    "Bad file descriptor": lambda folder: break_disk(folder, f"{folder}/data.mdb", os.O_RDONLY, only_meta=True),
}


@pytest.mark.fault(13)
@pytest.mark.parametrize("reason", FAILURES)
def test_a_commit_that_fails_writes_nothing_and_the_next_one_works(folder: str, reason: str) -> None:
    before = some_rows(folder)
    with opened(folder) as (store, epoch):
        FAILURES[reason](folder)
        with pytest.raises(Unavailable, match=reason):
            store.commit([Put("vm", "v-1", b"new")], [LogEntry(301, 0.0, b"")], epoch=epoch)
        assert store_child.digest(store) == before
        store.commit([Put("vm", "v-1", b"new")], [LogEntry(301, 0.0, b"")], epoch=epoch)
        assert store.get("vm", "v-1") == b"new"
        assert store.verify() == []


@pytest.mark.parametrize("reason", FAILURES)
def test_a_commit_that_makes_room_gets_the_ballast(folder: str, reason: str) -> None:
    some_rows(folder)
    ballast = Path(folder, "ballast")
    with opened(folder) as (store, epoch):
        assert ballast.stat().st_blocks * 512 >= BALLAST_BYTES
        FAILURES[reason](folder)
        store.commit([Put("vm", "v-1", None)], [], epoch=epoch, reserve=True)
        assert store.get("vm", "v-1") is None
        assert ballast.stat().st_size == 0
        store.commit([], [], epoch=epoch)
        assert ballast.stat().st_blocks * 512 >= BALLAST_BYTES


def test_a_failed_commit_that_is_there_after_all_is_damage(folder: str) -> None:
    with opened(folder) as (store, epoch):
        break_disk(folder, "/dev/full", os.O_RDWR)
        with pytest.raises(Unavailable):
            store.commit([Put("vm", "v-1", b"1")], [], epoch=epoch)
        assert child("raise-epoch", folder).wait(timeout=20) == 0
        with pytest.raises(Damaged, match="a commit that failed is in the file"):
            store.get("vm", "v-1")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        mount = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(disk)], capture_output=True)
    except FileNotFoundError:
        pytest.skip("no mount command")
    if mount.returncode:
        pytest.skip(f"can't mount a tmpfs here: {mount.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", str(disk)], check=True, timeout=20)


@pytest.mark.fault(13)
def test_a_full_disk_refuses_until_it_has_room(small_disk: Path) -> None:
    folder = str(small_disk / "store")
    filler = small_disk / "filler"
    ballast = Path(folder, "ballast")
    with opened(folder) as (store, epoch):
        with pytest.raises(OSError, match="No space"):
            filler.write_bytes(b"x" * 24 * MIB)
        with pytest.raises(Unavailable):
            for number in range(100):
                store.commit([Put("vm", f"v-{number}", b"x" * 100_000)], [], epoch=epoch)
        assert number < 20
        assert store.get("vm", f"v-{number}") is None
        store.commit([Put("vm", "v-a", b"x" * MIB)], [], epoch=epoch, reserve=True)
        assert ballast.stat().st_blocks == 0
        with pytest.raises(Unavailable, match="the disk is full"):
            store.commit([Put("vm", "v-b", b"1")], [], epoch=epoch)
    with opened(folder) as (store, epoch):  # it starts on a full disk, too
        assert store.get("vm", "v-a") == b"x" * MIB
        with pytest.raises(Unavailable, match="the disk is full"):
            store.commit([Put("vm", "v-b", b"1")], [], epoch=epoch)
        filler.unlink()
        store.commit([Put("vm", "v-b", b"1")], [], epoch=epoch)
        assert ballast.stat().st_blocks * 512 >= BALLAST_BYTES
        assert store.verify() == []
