"""Backups of a running controller: whole, of one moment, and never half a file under a whole one's name."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tashi.core.turn import done_key
from tashid.staging import raised
from tashid.store.interface import Put
from tashid.store.lmdb import LmdbStore
from tashid.store.open import open_store
from tests.daemon.processes import ROOT, Asker, Controller, environment, until
from tests.daemon.test_kill import Load, has_grown

HEAVY = 3000  # ended operations of 10 kB in a store that takes a moment to copy


def run(controller: Controller, *argv: str | Path, status: int = 0) -> str:
    """What a command prints, both ways, that has this controller's settings."""
    settings = {"TASHI_CONFIG": str(controller.config), "TASHI_CONTROLLER": f"ipc://{controller.folder}/run"}
    path = f"{Path(ROOT, '.venv/bin')}:{os.environ['PATH']}"
    ended = subprocess.run(
        [ROOT / "cmd" / argv[0], *argv[1:]], env=environment() | settings | {"PATH": path},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ended.returncode == status, ended.stdout
    return ended.stdout


def backup(controller: Controller, path: Path) -> str:
    """Begin one; the operation's id."""
    return str(controller.local().ok("backup", path=str(path))["job"])


def job(asker: Asker, ident: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(asker.ask("list", noun="job", names=[ident], full=True)["rows"])
    return found


def ended(asker: Asker, ident: str) -> dict[str, Any]:
    """The operation once it is over."""
    until(lambda: job(asker, ident)["state"] != "running", f"{ident} is over")
    return job(asker, ident)


def copiers(controller: Controller) -> list[int]:
    """The controller's children."""
    assert controller.process is not None
    pid = controller.process.pid
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def names(export: str) -> set[str]:
    """Names of the users in an export."""
    rows = [json.loads(line) for line in export.splitlines()]
    return {row["value"]["name"] for row in rows if row.get("table") == "user"}


@pytest.fixture
def heavy(controller: Controller) -> Iterator[Controller]:
    """A controller whose store takes a moment to copy."""
    controller.stop()
    with closing(open_store(f"{controller.folder}/state/store", 2**30)) as store:
        row = {"verb": "vm.create", "by": "root", "kind": "vm", "target": "v-1", "name": "a", "created_at": "now"}
        row |= {"state": "done", "reason": "x" * 10_000}
        ids = [f"j-{n}" for n in range(1, HEAVY + 1)]
        rows = [Put("done", done_key(ident), json.dumps({"id": ident} | row).encode()) for ident in ids]
        store.commit([*rows, Put("meta", "job", b"%d" % HEAVY)], [], epoch=store.acquire())
    yield controller.start()


def held(controller: Controller, path: Path) -> tuple[str, int]:
    """A backup whose child was stopped in the middle of it: operation and process."""
    ident = backup(controller, path)
    until(Path(f"{path}.tmp").exists, "the copy has begun")
    (child,) = copiers(controller)
    os.kill(child, signal.SIGSTOP)
    assert not path.exists(), "it was too quick to be stopped"
    return ident, child


def test_backed_up_under_load_and_restored_all_that_was_acknowledged_is_there(controller: Controller) -> None:
    loads = [Load(controller, 100_000 * (n + 1)) for n in range(3)]
    for load in loads:
        load.start()
    made, acknowledged = list[str](), list[set[str]]()
    files = [controller.folder / f"backup{n}" for n in range(3)]
    try:
        for file in files:
            known = sum(len(load.acknowledged) for load in loads)
            until(partial(has_grown, loads, known + 30), "work goes on")
            acknowledged.append({name for load in loads for name in load.acknowledged})
            made.append(backup(controller, file))
            done = ended(controller.local(), made[-1])
            assert (done["state"], done["bytes"]) == ("done", file.stat().st_size), done
    finally:
        for load in loads:
            load.over = True
        for load in loads:
            load.join()
    controller.stop()
    for file, wanted in zip(files, acknowledged, strict=True):
        export = run(controller, "tashi-export", file)
        assert wanted <= names(export)
        told = run(controller, "tashi-restore", "--replace", file)
        assert json.loads(export.splitlines()[-1])["digest"] in told
        assert names(run(controller, "tashi-export")) == names(export)
    controller.start()
    users = controller.local().ask("list", noun="user", format="name", limit=10_000)["rows"].split()
    assert acknowledged[-1] <= set(users)
    again = controller.local()
    assert again.ok("user.add", name="later", uid=7)["objects"].keys() == {f"u-{len(users) + 1001}"}, "an id twice?"
    assert [job(again, each)["state"] for each in made] == ["done", "done", "cancelled"], "the last is made again"


@pytest.mark.fault(7)
def test_killed_in_mid_backup_leaves_nothing_that_is_one(heavy: Controller) -> None:
    file = heavy.folder / "backup"
    before = names(run(heavy, "tashi-export"))
    ident, child = held(heavy, file)
    heavy.kill()
    until(lambda: not Path(f"/proc/{child}").exists(), "its child has gone with it")
    assert not file.exists()
    run(heavy, "tashi-restore", "--replace", f"{file}.tmp", status=1)
    assert names(run(heavy, "tashi-export")) == before
    heavy.start()
    assert ended(heavy.local(), ident)["state"] == "done", "it was begun anew"
    assert not Path(f"{file}.tmp").exists()
    assert names(run(heavy, "tashi-export", file)) == before


@pytest.mark.fault(15)
def test_a_backup_that_hangs_stops_nobody_and_can_be_cancelled(heavy: Controller) -> None:
    file, asker = heavy.folder / "backup", heavy.local()
    ident, child = held(heavy, file)
    asker.ok("user.add", name="meanwhile", uid=7)
    assert asker.code("backup", path=str(heavy.folder / "another")) == "locked"
    asker.ok("job.cancel", name=ident)
    assert ended(asker, ident)["state"] == "cancelled"
    until(lambda: not Path(f"/proc/{child}").exists(), "its child is gone")
    assert not file.exists()
    done = ended(asker, backup(heavy, file))
    assert done["state"] == "done"
    assert "meanwhile" in names(run(heavy, "tashi-export", file))


def test_a_child_that_was_killed_is_told(heavy: Controller) -> None:
    file, asker = heavy.folder / "backup", heavy.local()
    ident, child = held(heavy, file)
    os.kill(child, signal.SIGKILL)
    failed = ended(asker, ident)
    assert (failed["state"], failed["reason"].split()[0]) == ("failed", "worker"), failed["reason"]
    assert not file.exists()


def test_only_administrators_back_up(controller: Controller) -> None:
    asker = controller.local("user.sock")
    assert asker.code("backup", path=str(controller.folder / "backup")) == "denied"
    assert not copiers(controller)


@pytest.mark.parametrize("path", ["backup", "/", "/x/", "/a/../b", "/a//b", "/a\nb", "/a\0b"])
def test_a_name_that_is_none_is_refused(admin: Asker, path: str) -> None:
    assert admin.code("backup", path=path) == "bad-request"


def test_a_backup_goes_neither_over_a_file_nor_into_the_store(controller: Controller, admin: Asker) -> None:
    file = controller.folder / "there"
    file.write_text("precious")
    for path, reason in {
        file: "it is there already",
        controller.folder / "state/store/copy": "the store's own folder",
        controller.folder / "nowhere/copy": "No such file",
    }.items():
        failed = ended(admin, backup(controller, path))
        assert (failed["state"], reason in failed["reason"]) == ("failed", True), failed["reason"]
    assert file.read_text() == "precious"


def test_certificates_given_since_are_revoked(tmp_path: Path) -> None:
    store = LmdbStore(str(tmp_path), 2**30)
    rows = {"vm": 7, "certificate": 2, "revocation": 1, "revoked": {"1": 50.0}}
    store.commit([("meta", key, msgspec.json.encode(value)) for key, value in rows.items()], [], epoch=store.acquire())
    after = {put.key: msgspec.json.decode(put.value or b"null") for put in raised(store, 100.0, 200.0)}
    store.close()
    assert [after[key] for key in ("vm", "certificate", "revocation")] == [1007, 1002, 1001]
    assert after["revoked"] == {"1": 50.0} | {str(number): 200.0 for number in range(3, 1003)}
