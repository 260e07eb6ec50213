"""A store read as it is at one moment, by another process while it is written to, and from a copy."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from tashid.store.interface import COLD_TABLES, TABLES, Damaged, LogEntry, Put
from tashid.store.snapshot import Snapshot
from tests.contract.store_files import MIB, child, end, lines, opened, some_rows, used_bytes


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def copy(folder: str, path: Path) -> None:
    with closing(Snapshot(f"{folder}/data.mdb", beside=True)) as live, path.open("wb") as file:
        live.copy(file.fileno())


def everything(path: str, beside: bool) -> tuple[object, ...]:
    with closing(Snapshot(path, beside=beside)) as snapshot:
        assert snapshot.damage() == []
        return {table: list(snapshot.load(table)) for table in TABLES}, list(snapshot.log()), snapshot.header


def test_a_snapshot_and_its_copy_hold_all_that_is_in_the_store(folder: str, tmp_path: Path) -> None:
    some_rows(folder)
    with opened(folder) as (store, epoch):
        store.prune(100, 0.0)
        told = {table: list(store.load(table)) for table in TABLES}
        log = store.changes(0, 1000)
    tables, entries, header = everything(f"{folder}/data.mdb", True)
    assert tables == told
    assert isinstance(entries, list)
    assert [(entry.revision, entry.value) for entry in entries] == log.entries
    assert {pair[0] for entry in entries for pair in entry.refers} <= set(COLD_TABLES)
    assert (header.epoch, header.pruned) == (epoch, 200)  # type: ignore[attr-defined]
    copy(folder, tmp_path / "copy")
    assert everything(str(tmp_path / "copy"), False) == (tables, entries, header)


@pytest.mark.fault(7)
def test_a_copy_is_of_one_moment_while_commits_go_on(folder: str, tmp_path: Path) -> None:
    """The map grows meanwhile; each batch is in a copy whole or not at all."""
    with opened(folder) as (store, epoch):
        store.commit([Put("vm", f"w-{n}", b"x" * 1000) for n in range(4000)], [], epoch=epoch)
        copies = [tmp_path / f"copy{n}" for n in range(4)]
        reader = child("copy", folder, *map(str, copies))
        number = 0
        while reader.poll() is None or number < 20:
            number += 1
            puts = [Put("job", f"j-{number}", b"y" * MIB), Put("done", f"j-{number}", b"%d" % number)]
            puts.append(Put("job", f"j-{number - 8}", None))
            store.commit(puts, [LogEntry(number, 0.0, b"")], epoch=epoch)
        assert reader.returncode == 0
    for each in copies:
        tables, entries, _ = everything(str(each), False)
        assert isinstance(tables, dict) and isinstance(entries, list)
        assert len(tables["vm"]) == 4000
        assert len(tables["done"]) == len(entries) <= number
        assert len(tables["job"]) == min(8, len(entries))


@pytest.mark.fault(7)
@pytest.mark.fault(7, 15)
def test_a_killed_snapshot_keeps_nothing_from_being_used_again(folder: str) -> None:
    some_rows(folder)
    with opened(folder) as (store, epoch):
        reader = child("snapshot", folder)
        assert next(lines(reader)) == "open"
        end(reader)
        store.prune(10**6, 0.0)  # the controller does so each second
        for number in range(200):
            store.commit([Put("vm", f"v-{n}", b"%d" % number * 60) for n in range(50)], [], epoch=epoch)
        assert used_bytes(folder) < 2 * MIB, "pages freed since its snapshot were not used again"


@pytest.mark.attack(36)
@pytest.mark.parametrize("at", [0, 1, 8192, -5000, -1])
def test_a_copy_that_is_no_store_is_damaged(folder: str, tmp_path: Path, at: int) -> None:
    some_rows(folder)
    copy(folder, tmp_path / "copy")
    os.truncate(tmp_path / "copy", at if at >= 0 else (tmp_path / "copy").stat().st_size + at)
    with pytest.raises(Damaged, match="cut short"):
        Snapshot(str(tmp_path / "copy"), beside=False)
