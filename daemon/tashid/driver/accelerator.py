"""Which accelerator works here, found out by booting a guest in it once.

/dev/kvm may be there, open and be advertised, and still no guest lives in it (a hypervisor below that gives only part
of it). So ``auto`` boots a guest of 512 bytes with a deadline and believes only its own exit status. What came out
is kept in the agent's state folder, for this QEMU and this kernel.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from typing import Literal, NamedTuple

from tashi.model.shorten import shorten
from tashid.driver.interface import DriverError

QEMU = "qemu-system-x86_64"
SECONDS = 5.0  # a boot takes 0.3 s, in software too
_PASSED = 33  # isa-debug-exit: (0x10 << 1) | 1

# selftest.S, assembled; the sector's end is its signature
_CODE = bytes.fromhex(
    "fa31c08ed88ec08ed0bc007cfcbf00106631c0b9000c66f3ab66c70600100320000066c70600200330000066c706003083000000"
    "66b8001000000f22d866b8200600000f22e066b9800000c00f32660d000100000f300f20c06683e0fb660d030000800f22c00f0116"
    "b87cea707c0800b8100000008ed88ed08ec031c00fa2b9a0860100660fefc0660fd4c05058ffc975f2b010e6f4f4ebfd"
    "0f1f8000000000000000000000000000000000009a200000000000009200001700a07c"
)
BOOT_SECTOR = _CODE.ljust(510, b"\0") + b"\x55\xaa"


class Found(NamedTuple):
    accelerator: Literal["kvm", "tcg"]
    why: str


def qemu_version() -> str:
    """As QEMU prints it, ``7.2.22``. Raises DriverError when there is no QEMU."""
    try:
        done = subprocess.run([QEMU, "--version"], capture_output=True, text=True, timeout=SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise DriverError(f"{QEMU}: {error}") from error
    words = done.stdout.split()
    return words[words.index("version") + 1] if "version" in words else "unknown"


def boots(accelerator: str, folder: str, seconds: float = SECONDS) -> str:
    """Boot the test guest once; empty when it did what it should, else why it is not to be used."""
    with tempfile.NamedTemporaryFile(dir=folder, prefix="selftest-", suffix=".raw") as sector:
        sector.write(BOOT_SECTOR)
        sector.flush()
        argv = [QEMU, "-accel", accelerator, "-machine", "pc", "-cpu", "max", "-m", "32", "-display", "none"]
        argv += ["-nodefaults", "-no-user-config", "-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x4"]
        disk = {"driver": "raw", "node-name": "sector", "file": {"driver": "file", "filename": sector.name}}
        argv += ["-blockdev", json.dumps(disk), "-device", "ide-hd,drive=sector"]
        try:
            done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return f"a guest of 512 bytes did not come to its end in {seconds:g} s"
        except OSError as error:
            return f"{QEMU}: {error.strerror}"
    if done.returncode == _PASSED:
        return ""
    said = done.stderr.decode(errors="replace").strip().splitlines()
    why = f": {shorten(said[-1], 200)}" if said else ""
    return f"a guest of 512 bytes ended QEMU with status {done.returncode}{why}"


def choose(wanted: str, state: str) -> Found:
    """The accelerator for ``auto``, ``kvm`` or ``tcg``; the answer for ``auto`` is remembered in the folder
    ``state``. Raises DriverError when none works."""
    if wanted in ("kvm", "tcg"):
        return Found("kvm" if wanted == "kvm" else "tcg", "as set")
    key = f"{qemu_version()} {os.uname().release}"
    path = os.path.join(state, "accelerator.json")
    known = _read(path, key)
    if known:
        return known
    why = boots("kvm", state) if os.access("/dev/kvm", os.R_OK | os.W_OK) else "no /dev/kvm to open"
    if why and (also := boots("tcg", state)):  # what fails in software too says nothing about kvm
        raise DriverError(f"no accelerator works: kvm: {why}; tcg: {also}")
    found = Found("tcg", why) if why else Found("kvm", "self-test passed")
    _write(path, key, found)
    return found


def _read(path: str, key: str) -> Found | None:
    try:
        with open(path, encoding="utf-8") as file:
            kept = json.load(file)
        if kept["key"] == key and kept["accelerator"] in ("kvm", "tcg"):
            return Found(kept["accelerator"], str(kept["why"]))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None  # never found out, or not legibly: find out again
    return None


def _write(path: str, key: str, found: Found) -> None:
    fresh = f"{path}.{os.getpid()}"
    with open(fresh, "w", encoding="utf-8") as file:
        json.dump({"key": key, "accelerator": found.accelerator, "why": found.why}, file)
    os.replace(fresh, path)
