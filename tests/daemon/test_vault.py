"""Passwords of BMCs and devices: sealed in the store, in backups and in exports, and opened by one key alone."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from tashi.config import load
from tashi.run.keys import new_pair
from tashi.run.vault import FileVault, open_vault
from tashi.wire.errors import Refused
from tashid.check import here
from tests.daemon.processes import Controller
from tests.daemon.test_backup import backup, ended, run

WORD = "not for you"
PARTS = {"power_paths": ["ipmi:10.0.0.1"], "user": "ADMIN", "password": WORD}
V2C = {"version": "v2c", "community": WORD}


def key(controller: Controller) -> Path:
    return controller.folder / "state/secrets.key"


def with_passwords(controller: Controller) -> Controller:
    asker = controller.local()
    asker.ok("machine.add", name="m1", parts=PARTS)
    asker.ok("pdu.add", name="p1", address="10.0.1.1", model="apc-rpdu", snmp=V2C)
    return controller


def passwords(controller: Controller) -> str:
    """Whether m1 has its password: yes or no."""
    row = json.loads(controller.local().ask("list", noun="machine", names=["m1"], full=True)["rows"])
    return str(row["has_password"])


def files(folder: Path) -> bytes:
    return b"".join(each.read_bytes() for each in folder.rglob("*") if each.is_file())


def refused(controller: Controller) -> tuple[int, str]:
    """How a start ends that has to fail: its status, and what it said."""
    before = len(controller.log)
    return controller.spawn().wait(20), controller.log[before:]


# -- the key -----------------------------------------------------------------------------------------------------------
def test_what_is_sealed_is_opened_under_its_own_name_by_its_own_key_alone() -> None:
    vault = FileVault(b"k" * 32)
    sealed = vault.seal("x-1", WORD.encode(), b"n" * 12)
    assert WORD not in sealed and vault.open("x-1", sealed) == WORD.encode()
    damaged = sealed[:20] + ("A" if sealed[20] != "A" else "B") + sealed[21:]
    for other, name, text in (
        (vault, "x-2", sealed),
        (FileVault(b"l" * 32), "x-1", sealed),
        (vault, "x-1", damaged),
        (vault, "x-1", ""),
        (vault, "x-1", "no base 64"),
    ):
        with pytest.raises(Refused, match="not sealed with this key"):
            other.open(name, text)


def test_the_key_is_made_once_and_is_for_the_controller_alone(tmp_path: Path) -> None:
    first = open_vault(str(tmp_path), {})
    file = tmp_path / "secrets.key"
    assert file.stat().st_mode & 0o777 == 0o600
    sealed = first.seal("x-1", b"w", b"n" * 12)
    assert open_vault(str(tmp_path), {}).open("x-1", sealed) == b"w"
    file.chmod(0o640)
    with pytest.raises(Refused, match="others may read it"):
        open_vault(str(tmp_path), {})
    for text in ("", "key = 1\n", f'key = "{"a" * 63}"\n', 'key = "\xff"\n'):
        file.write_text(text)
        file.chmod(0o600)
        with pytest.raises(Refused, match="not a key file"):
            open_vault(str(tmp_path), {})
    file.unlink()
    file.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        open_vault(str(tmp_path), {})


# -- the controller ----------------------------------------------------------------------------------------------------
def test_without_its_key_it_does_not_start_until_it_is_told_to_forget(controller: Controller) -> None:
    with_passwords(controller).stop()
    own = key(controller).read_bytes()
    key(controller).unlink()
    status, told = refused(controller)
    assert status == 1 and "secrets.key: it is missing, and the store has 2 passwords" in told, told
    assert not key(controller).exists(), "a new one would hide the loss"
    key(controller).write_bytes(b'key = "' + b"0" * 64 + b'"\n')
    key(controller).chmod(0o600)
    status, told = refused(controller)
    assert status == 77 and "not the key that the store's 2 passwords were sealed with" in told, told
    key(controller).write_bytes(own)
    assert passwords(controller.start()) == "yes"
    controller.stop()
    key(controller).unlink()
    process = controller.spawn("--forget-passwords")
    try:
        controller.process = process
        asker = controller.local()
        assert asker.ok("status")["role"] == "admin"
        assert passwords(controller) == "no"
        asker.ok("machine.set", name="m1", parts={"password": WORD})
        assert passwords(controller) == "yes"
    finally:
        controller.stop()
    controller.start()
    assert passwords(controller) == "yes"


def test_no_file_has_a_password_in_the_clear(controller: Controller) -> None:
    file = controller.folder / "backup"
    asker = with_passwords(controller).local()
    assert ended(asker, backup(controller, file))["state"] == "done"
    asker.code("machine.set", name="m1", parts={"password": WORD * 20})
    asker.code("machine.add", name="m1", parts={"power_paths": ["pdu:p9:1"], "password": WORD})
    asker.ask("machine.set", name="m1", parts={"password": [WORD]})
    export = run(controller, "tashi-export")
    controller.stop()
    assert b"10.0.0.1" in files(controller.folder / "state/store"), "records can be read there"
    assert WORD.encode() not in files(controller.folder) and WORD not in export
    config = load(str(controller.config))
    own = config._replace(agent=config.agent._replace(state=f"{controller.folder}/no-agent"))
    assert not [each for each in here(own) if each["help"]]
    key(controller).chmod(0o644)
    assert [each["name"] for each in here(own) if each["help"]] == [str(key(controller))]


def test_a_backup_brings_the_key_back_and_an_export_needs_it(controller: Controller) -> None:
    file = controller.folder / "backup"
    assert ended(with_passwords(controller).local(), backup(controller, file))["state"] == "done"
    controller.stop()
    own = key(controller).read_bytes()
    export = controller.folder / "export"
    export.write_text(run(controller, "tashi-export"))
    for name in os.listdir(controller.folder / "state"):
        os.rename(controller.folder / "state" / name, controller.folder / f"was-{name}")
    run(controller, "tashi-restore", file)
    assert key(controller).read_bytes() == own and key(controller).stat().st_mode & 0o777 == 0o600
    assert passwords(controller.start()) == "yes"
    controller.stop()
    for name in os.listdir(controller.folder / "state"):
        os.rename(controller.folder / "state" / name, controller.folder / f"again-{name}")
    run(controller, "tashi-import", export)
    status, told = refused(controller)
    assert status == 1 and "secrets.key: it is missing" in told
    key(controller).write_bytes(own)
    key(controller).chmod(0o600)
    assert passwords(controller.start()) == "yes"


# -- who sees what -----------------------------------------------------------------------------------------------------
def test_a_user_hears_of_machines_and_not_of_what_they_hang_on(controller: Controller) -> None:
    admin, pair = with_passwords(controller).local(), new_pair()
    admin.ok("user.add", name="eve", key=pair.public)
    admin.ok("machine.set", name="m1", parts={"power_paths": ["pdu:p1:3"]})
    for _ in range(2):  # as it happens, and as it is read again after a start
        eve, chief = controller.remote("user", pair), controller.local()
        seen = eve.ok("changes", after=0, wait_seconds=0)["entries"]
        assert {entry["kind"] for entry in seen} >= {"machine"}
        assert not {"pdu", "secret"} & {entry["kind"] for entry in seen}
        assert "10.0." not in json.dumps(seen)
        told = {entry["kind"] for entry in chief.ok("changes", after=0, wait_seconds=0)["entries"]}
        assert "pdu" in told and "secret" not in told
        assert eve.ask("list", noun="pdu")["rows"] == ""
        row = json.loads(eve.ask("list", noun="machine", full=True)["rows"])
        assert (row["name"], row["power_paths"], row["ports"]) == ("m1", None, None)
        for verb, body in (("machine.add", {"name": "m9"}), ("machine.import", {"machines": [{"name": "m9"}]})):
            assert eve.code(verb, **body) == "denied"
        controller.stop()
        controller.start()
