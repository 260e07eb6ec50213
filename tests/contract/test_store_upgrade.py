"""A store of an older schema is brought up to date when it is opened, and one of a newer schema is let alone."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from tashi.wire.errors import Unavailable
from tashid.store import upgrade as upgrading
from tashid.store.interface import Damaged, Put, TooNew, TooOld
from tashid.store.lmdb import TREES, LmdbStore
from tashid.store.upgrade import UPGRADES, Upgrade
from tests.contract.store_files import LIMIT

FIRST = UPGRADES[-1].schema
COUNT = 25


def longer(key: str, value: bytes) -> bytes:
    assert not value.endswith(b"!"), f"{key} is changed twice"
    return value + b"!"


def halved(key: str, value: bytes) -> bytes | None:
    return value if int(key[2:]) % 2 else None


NEXT = (*UPGRADES, Upgrade(FIRST + 1, {"vm": longer, "job": longer}))
AFTER = (*NEXT, Upgrade(FIRST + 2, {"vm": halved}))


@pytest.fixture
def folder(tmp_path: Path) -> str:
    """A store of the present schema."""
    path = str(tmp_path / "store")
    with closing(LmdbStore(path, LIMIT)) as store:
        rows = [Put(table, f"{table[0]}-{n}", b"%d" % n) for table in ("vm", "job", "host") for n in range(COUNT)]
        store.commit(rows, [], epoch=store.acquire())
    return path


def values(folder: str, table: str, steps: tuple[Upgrade, ...]) -> set[bytes]:
    with closing(LmdbStore(folder, LIMIT, steps)) as store:
        assert store.verify() == []
        assert (store.header.schema, store.header.upgrading) == (steps[-1].schema, None)
        return {value for _, value in store.load(table)}


def test_an_older_store_is_brought_up_to_date(folder: str) -> None:
    told = {b"%d" % n for n in range(COUNT)}
    assert values(folder, "vm", UPGRADES) == told
    assert values(folder, "vm", NEXT) == {each + b"!" for each in told}
    assert values(folder, "job", NEXT) == {each + b"!" for each in told}
    assert values(folder, "host", NEXT) == told


def test_steps_follow_one_another(folder: str) -> None:
    assert values(folder, "vm", AFTER) == {b"%d!" % n for n in range(COUNT) if n % 2}


@pytest.mark.fault(6)
@pytest.mark.parametrize("batches", range(13))
def test_an_upgrade_that_was_cut_short_goes_on_where_it_stopped(
    folder: str, batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the moment: no record is changed twice, none is forgotten."""
    monkeypatch.setattr(upgrading, "BATCH", 10)
    rewrite, left = LmdbStore.rewrite, iter(range(batches))

    def cut_short(*args: object) -> None:
        if next(left, None) is None:
            raise Unavailable("the power is cut")
        rewrite(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as short:
        short.setattr(LmdbStore, "rewrite", cut_short)
        try:
            LmdbStore(folder, LIMIT, AFTER).close()
        except Unavailable:
            if batches:  # once begun, the older version is refused
                with pytest.raises(TooNew, match="this version knows"):
                    LmdbStore(folder, LIMIT)
        else:
            assert batches >= 11, "it was not cut short"
    assert values(folder, "vm", AFTER) == {b"%d!" % n for n in range(COUNT) if n % 2}
    assert values(folder, "job", AFTER) == {b"%d!" % n for n in range(COUNT)}


def test_a_table_that_is_new_is_made(folder: str, monkeypatch: pytest.MonkeyPatch) -> None:
    grown = (*TREES, "shelf")
    monkeypatch.setattr("tashid.store.lmdb.TREES", grown)
    with pytest.raises(Damaged):
        LmdbStore(folder, LIMIT)
    LmdbStore(folder, LIMIT, NEXT).close()
    with closing(LmdbStore(folder, LIMIT, NEXT)) as store:
        assert store.scan("shelf") == []


@pytest.mark.fault(6)
def test_an_older_version_refuses_and_changes_nothing(folder: str) -> None:
    LmdbStore(folder, LIMIT, NEXT).close()
    written = Path(folder, "data.mdb").read_bytes()
    with pytest.raises(TooNew, match=f"has schema {FIRST + 1}, this version knows {FIRST}") as refused:
        LmdbStore(folder, LIMIT)
    assert "newer" in refused.value.hint
    assert Path(folder, "data.mdb").read_bytes() == written


def test_a_store_from_before_the_first_step_is_too_old(folder: str) -> None:
    written = Path(folder, "data.mdb").read_bytes()
    with pytest.raises(TooOld, match=f"the oldest that this version reads is {FIRST + 2}"):
        LmdbStore(folder, LIMIT, AFTER[-1:])
    assert Path(folder, "data.mdb").read_bytes()[: 2 * 4096] == written[: 2 * 4096]
