"""What befalls a store from outside: damaged files, kill -9 at any moment."""

from __future__ import annotations

import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from tashid.store.interface import Damaged, LogEntry, Put, TooNew
from tashid.store.lmdb import FIRST_MAP
from tashid.store.open import open_store
from tashid.store.schema import Header
from tests.contract import store_child
from tests.contract.store_files import LIMIT, PAGE, child, lines, opened, some_rows, used_bytes


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "store")


# -- damage ----------------------------------------------------------------------------------------------------------
def overwrite(folder: str, offset: int, data: bytes) -> None:
    with open(Path(folder, "data.mdb"), "r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.mark.fault(14)
@pytest.mark.parametrize("left", [0, 1, 100, PAGE, 2 * PAGE - 1, 2 * PAGE, -1])
def test_a_file_cut_short_is_damaged_and_left_as_it_is(folder: str, left: int) -> None:
    some_rows(folder)
    data = Path(folder, "data.mdb")
    size = left if left >= 0 else used_bytes(folder) - 1
    os.truncate(data, size)
    for _ in range(2):
        with pytest.raises(Damaged, match="cut short"):
            open_store(folder, LIMIT)
        assert data.stat().st_size == size


def test_a_file_that_lost_only_its_unused_tail_is_whole(folder: str) -> None:
    before = some_rows(folder)
    os.truncate(Path(folder, "data.mdb"), used_bytes(folder))
    with opened(folder) as (store, _):
        assert store_child.digest(store) == before
        assert Path(folder, "data.mdb").stat().st_size == FIRST_MAP, "a map longer than its file can fault"


@pytest.mark.fault(14)
def test_a_store_without_its_data_file_is_never_taken_for_a_new_one(folder: str) -> None:
    some_rows(folder)
    Path(folder, "data.mdb").unlink()
    with pytest.raises(Damaged, match="missing"):
        open_store(folder, LIMIT)
    assert not Path(folder, "data.mdb").exists()


def test_a_creation_that_was_cut_short_starts_over(folder: str) -> None:
    Path(folder).mkdir()
    Path(folder, "new.mdb").write_bytes(b"half")
    with opened(folder) as (store, epoch):
        assert (epoch, store.verify()) == (1, [])
    assert sorted(path.name for path in Path(folder).iterdir()) == ["ballast", "data.mdb", "data.mdb-lock", "lock"]


@pytest.mark.parametrize("page", [0, 1])
@pytest.mark.parametrize("data", [b"\0" * PAGE, b"\xff" * PAGE, b"garbage!" * 512], ids=["zeros", "ones", "text"])
def test_an_overwritten_meta_page_is_damaged(folder: str, page: int, data: bytes) -> None:
    some_rows(folder)
    overwrite(folder, page * PAGE, data)
    with pytest.raises(Damaged, match=r"overwritten|disagree"):
        open_store(folder, LIMIT)


def test_an_old_meta_page_brought_back_is_damaged(folder: str) -> None:
    some_rows(folder)
    old = Path(folder, "data.mdb").read_bytes()[: 2 * PAGE]
    with opened(folder) as (store, epoch):
        for number in range(2):
            store.commit([Put("vm", "v-1", b"%d" % number)], [], epoch=epoch)
    newer = max(
        (0, PAGE), key=lambda at: int.from_bytes(Path(folder, "data.mdb").read_bytes()[at + 144 : at + 152], "little")
    )
    overwrite(folder, newer, old[newer : newer + PAGE])
    with pytest.raises(Damaged, match="follow each other"):
        open_store(folder, LIMIT)


def test_a_flipped_bit_in_a_value_is_never_read_as_data(folder: str) -> None:
    with opened(folder) as (store, epoch):
        store.commit(
            [Put("vm", "v-1", b"precious"), Put("vm", "v-2", b"2")], [LogEntry(1, 0.0, b"logged")], epoch=epoch
        )
    data = Path(folder, "data.mdb").read_bytes()
    for word in (b"precious", b"logged"):
        at = data.find(word)
        while at >= 0:  # older pages may hold it, too
            overwrite(folder, at, bytes([data[at] ^ 1]))
            at = data.find(word, at + 1)
    with opened(folder) as (store, _):
        assert store.get("vm", "v-2") == b"2"
        for read in (lambda: store.get("vm", "v-1"), lambda: list(store.load("vm")), lambda: store.changes(0, 9)):
            with pytest.raises(Damaged, match="checksum"):
                read()
        assert [line.split(":")[0] for line in store.verify()] == ["vm", "log"]


def flipped_bits(folder: str, tmp_path: Path, count: int) -> None:
    """Flip one bit each in many copies: every one is told, or changed nothing."""
    before = some_rows(folder)
    chance = random.Random(14)
    used = used_bytes(folder)
    whole = Path(folder, "data.mdb").read_bytes()[:used]
    paths = [str(tmp_path / f"flipped{number}") for number in range(count)]
    for path in paths:
        at = chance.randrange(used)
        Path(path).mkdir()
        Path(path, "data.mdb").write_bytes(whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :])
    reader = child("read", *paths)
    told = list(lines(reader))
    assert reader.wait(timeout=60) == 0
    assert len(told) == count
    told_of = [line for line in told if line.startswith("damaged") or line.endswith("wrong")]
    assert {line for line in told if line not in told_of} <= {f"{before} right"}
    assert len(told_of) > count / 3
    for path in paths:
        shutil.rmtree(path)


@pytest.mark.fault(14)
def test_a_key_that_is_no_text_any_more_is_told(folder: str) -> None:
    some_rows(folder)
    whole = Path(folder, "data.mdb").read_bytes()
    for at in (at for at in range(len(whole)) if whole.startswith(b"v-17", at)):
        overwrite(folder, at + 3, b"\xb7")
    store = open_store(folder, LIMIT)
    try:
        with pytest.raises(Damaged, match="checksum"):
            list(store.load("vm"))
    finally:
        store.close()


@pytest.mark.fault(14)
def test_flipped_bits_are_told_or_harmless(folder: str, tmp_path: Path) -> None:
    flipped_bits(folder, tmp_path, 60)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_many_flipped_bits_are_told_or_harmless(folder: str, tmp_path: Path) -> None:
    flipped_bits(folder, tmp_path, 3000)


@pytest.mark.attack(36)
def test_a_newer_schema_is_refused_and_left_alone(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    some_rows(folder)
    with monkeypatch.context() as newer:
        newer.setattr(Header, "encode", lambda header: b'{"schema": 999, "epoch": 5, "pruned": 0, "more": 1}')
        with opened(folder):
            pass
    written = Path(folder, "data.mdb").read_bytes()
    with pytest.raises(TooNew, match="has schema 999, this version knows"):
        open_store(folder, LIMIT)
    assert Path(folder, "data.mdb").read_bytes() == written
    overwrite(folder, 20, b"\3")
    with pytest.raises(TooNew, match="data format 3"):
        open_store(folder, LIMIT)


# -- kills -----------------------------------------------------------------------------------------------------------
def kill_while_committing(folder: str, rounds: int) -> None:
    """Every number that was told is there; each batch is there whole or not at all."""
    chance = random.Random(rounds)
    for _ in range(rounds):
        process = child("commit", folder)
        told = lines(process)
        acknowledged = [next(told) for _ in range(chance.randrange(1, 60))]
        if chance.random() < 0.5:
            process.send_signal(signal.SIGSTOP)  # in the middle of whatever it does
        process.kill()
        acknowledged += told
        assert process.wait(timeout=20) == -signal.SIGKILL
        with opened(folder) as (store, _):
            number = store.get("meta", "number")
            assert number is not None
            assert int(acknowledged[-1]) <= int(number) <= int(acknowledged[-1]) + 1
            assert [value for _, value in store.load("vm")] == [number] * store_child.BATCH
            assert store.scan("done") == [(f"j-{int(number)}", number)]
            assert store.head() == 2 * int(number)
            assert store.verify() == []


@pytest.mark.fault(1, 2, 5)
def test_kill_9_loses_nothing_that_was_acknowledged(folder: str) -> None:
    kill_while_committing(folder, 5)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_hundred_kills_lose_nothing_that_was_acknowledged(folder: str) -> None:
    kill_while_committing(folder, 100)
