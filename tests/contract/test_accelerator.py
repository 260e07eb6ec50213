"""The accelerator's self-test: it tells a guest that lives from one that doesn't, once for each QEMU and kernel."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tashid.driver import accelerator
from tashid.driver.accelerator import BOOT_SECTOR, boots, choose
from tashid.driver.interface import DriverError

SOURCE = Path(accelerator.__file__).with_name("selftest.S")
needs_qemu = pytest.mark.skipif(shutil.which(accelerator.QEMU) is None, reason="QEMU is not installed")
needs_binutils = pytest.mark.skipif(not (shutil.which("as") and shutil.which("ld")), reason="no assembler here")


@needs_binutils
def test_the_boot_sector_is_its_source(tmp_path: Path) -> None:
    made, linked = tmp_path / "selftest.o", tmp_path / "selftest.bin"
    subprocess.run(["as", "-o", str(made), str(SOURCE)], check=True, timeout=20)
    link = ["ld", "-m", "elf_x86_64", "--oformat", "binary", "-Ttext", "0x7c00", "-o", str(linked), str(made)]
    subprocess.run(link, check=True, timeout=20)
    assert linked.read_bytes() == BOOT_SECTOR


@needs_qemu
def test_a_guest_lives_in_software(tmp_path: Path) -> None:
    assert boots("tcg", str(tmp_path)) == ""
    assert not list(tmp_path.iterdir())


@needs_qemu
def test_a_guest_that_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accelerator, "BOOT_SECTOR", b"\xf4\xeb\xfd".ljust(510, b"\0") + b"\x55\xaa")  # hlt; jmp
    assert "did not come to its end in 0.5 s" in boots("tcg", str(tmp_path), seconds=0.5)


@needs_qemu
def test_a_guest_that_ends_otherwise_fails(tmp_path: Path) -> None:
    assert "invalid accelerator nonsense" in boots("nonsense", str(tmp_path))


def fake_qemu(folder: Path, monkeypatch: pytest.MonkeyPatch, kvm: int, tcg: int, version: str = "9.9.9") -> Path:
    """A QEMU whose guests end it with these statuses; it writes down each boot."""
    program = folder / "qemu"
    program.write_text(
        f'#!/bin/sh\ncase $1 in --version) echo "QEMU emulator version {version} (x)"; exit 0;; esac\n'
        f"echo $2 >> {folder}/boots\ncase $2 in kvm) exit {kvm};; *) exit {tcg};; esac\n"
    )
    program.chmod(0o755)
    monkeypatch.setattr(accelerator, "QEMU", str(program))
    monkeypatch.setattr("os.access", lambda *_: True)
    return folder / "boots"


@pytest.mark.parametrize(("kvm", "tcg", "found"), [(33, 1, "kvm"), (134, 33, "tcg"), (0, 33, "tcg")])
def test_auto_believes_the_guests_own_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kvm: int, tcg: int, found: str
) -> None:
    fake_qemu(tmp_path, monkeypatch, kvm, tcg)
    assert choose("auto", str(tmp_path)).accelerator == found


def test_a_test_that_fails_everywhere_says_nothing_about_kvm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_qemu(tmp_path, monkeypatch, 1, 1)
    with pytest.raises(DriverError, match="no accelerator works"):
        choose("auto", str(tmp_path))
    assert not (tmp_path / "accelerator.json").exists()


def test_it_is_found_out_once_for_each_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boots_log = fake_qemu(tmp_path, monkeypatch, 33, 33)
    assert choose("auto", str(tmp_path)) == choose("auto", str(tmp_path))
    assert boots_log.read_text().split() == ["kvm"]
    fake_qemu(tmp_path, monkeypatch, 1, 33, version="10.0.0")
    assert choose("auto", str(tmp_path)).accelerator == "tcg"
    assert boots_log.read_text().split() == ["kvm", "kvm", "tcg"]


@pytest.mark.parametrize("damaged", ["", "{", "[]", json.dumps({"key": 1}), json.dumps({"accelerator": "magic"})])
def test_a_damaged_memory_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damaged: str) -> None:
    fake_qemu(tmp_path, monkeypatch, 33, 33)
    (tmp_path / "accelerator.json").write_text(damaged)
    assert choose("auto", str(tmp_path)).accelerator == "kvm"


def test_a_word_of_the_settings_is_obeyed_untested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boots_log = fake_qemu(tmp_path, monkeypatch, 1, 1)
    assert [choose(word, str(tmp_path)).accelerator for word in ("kvm", "tcg")] == ["kvm", "tcg"]
    assert not boots_log.exists()
