"""Certificates in their places: whole, for the right readers, nobody else's overwritten, and libvirtd told of them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from tashi.agent.credential import Own
from tashi.wire.messages import Credential
from tashid.driver import tls_files
from tashid.driver.interface import DriverError
from tashid.driver.tls_files import PLACES, place, reload


def own(number: int) -> Own:
    return Own(
        f"key {number}", 0.0, ("h1",), Credential("authority", number, f"list {number}", f"own {number}", number)
    )


@pytest.fixture
def places(tmp_path: Path) -> tuple[str, str]:
    """(the agent's state, /etc/pki)"""
    (tmp_path / "state").mkdir()
    return str(tmp_path / "state"), str(tmp_path / "pki")


def content(root: str) -> dict[str, str]:
    return {each.path: Path(root, each.path).read_text() for each in PLACES}


def test_each_file_is_in_its_place_for_its_readers(places: tuple[str, str]) -> None:
    state, root = places
    before = os.umask(0o077)
    try:
        place(own(1), state, root)
    finally:
        os.umask(before)
    there = content(root)
    assert there["libvirt/servercert.pem"] == there["qemu/client-cert.pem"] == "own 1"
    assert (there["CA/cacert.pem"], there["qemu/ca-crl.pem"]) == ("authority", "list 1")
    modes = {each.path: stat.S_IMODE(os.stat(os.path.join(root, each.path)).st_mode) for each in PLACES}
    assert modes["libvirt/private/serverkey.pem"] == 0o600
    assert modes["qemu/server-key.pem"] == 0o640
    assert modes["qemu/server-cert.pem"] == modes["CA/cacert.pem"] == 0o644
    folders = ("", "CA", "libvirt", "libvirt/private", "qemu")
    assert {stat.S_IMODE(os.stat(os.path.join(root, each)).st_mode) for each in folders} == {0o755}


def test_only_what_differs_is_written(places: tuple[str, str]) -> None:
    state, root = places
    place(own(1), state, root)
    stamps = {each.path: os.stat(os.path.join(root, each.path)).st_ino for each in PLACES}
    place(own(1), state, root)
    assert stamps == {each.path: os.stat(os.path.join(root, each.path)).st_ino for each in PLACES}
    place(own(2), state, root)
    assert content(root)["qemu/server-key.pem"] == "key 2"
    assert stamps["CA/cacert.pem"] == os.stat(os.path.join(root, "CA/cacert.pem")).st_ino


def test_what_is_somebody_elses_is_left_alone(places: tuple[str, str]) -> None:
    state, root = places
    theirs = Path(root, "libvirt/servercert.pem")
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    with pytest.raises(DriverError, match=r"servercert.pem is not tashi's: move it away"):
        place(own(1), state, root)
    assert [file for file in Path(root).rglob("*") if file.is_file()] == [theirs]
    theirs.unlink()
    place(own(1), state, root)
    theirs.write_text("broken")
    place(own(1), state, root)
    assert theirs.read_text() == "own 1", "what we have written once is ours"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("exit 0", ""),
        ("echo 'error: no tls service found, unable' >&2; exit 1", "libvirtd serves no TLS"),
        ("echo \"error: Failed to connect socket to '/x'\" >&2; exit 1", "libvirtd is not there"),
    ],
)
def test_libvirtd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, says: str) -> None:
    tool(tmp_path, monkeypatch, script)
    assert reload().startswith(says) and bool(reload()) == bool(says)
    assert (tmp_path / "asked").read_text().split() == ["-c", "libvirtd:///system", "server-update-tls", "libvirtd"]


def test_a_libvirtd_that_does_not_take_it_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool(tmp_path, monkeypatch, "echo 'error: The server certificate has expired' >&2; exit 1")
    with pytest.raises(DriverError, match="has expired"):
        reload()
    tool(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(tls_files, "RELOAD_SECONDS", 0.2)
    with pytest.raises(DriverError, match="no answer in"):
        reload()
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    with pytest.raises(DriverError, match="there is no virt-admin"):
        reload()


def tool(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """A virt-admin that notes what it is asked, and then does this."""
    file = folder / "virt-admin"
    file.write_text(f'#!/bin/sh\necho "$@" > {folder}/asked\n{script}\n')
    file.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
