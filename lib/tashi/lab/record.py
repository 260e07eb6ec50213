"""What a lab remembers about itself: one JSON file, written before anything is made that it speaks of.

Folders: ``run`` holds lab.json and the sockets, ``data`` what is large: the pool, the hosts' disks, logs, the store.
As root they are /run/tashi-lab/NAME and /var/lib/tashi-lab/NAME (a power cut of the machine forgets the first, and
memory is no place for disk images); other users have both in one folder of their own.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Literal

import msgspec

from tashi.lab.process import Process
from tashi.model.name import check_name
from tashi.wire.errors import Code, NotFound, Refused, Unavailable

Kind = Literal["libvirt", "fake"]
Settings = dict[str, dict[str, str | int | float | bool]]  # section of tashi.toml -> key -> value
LOCK_SECONDS = 120.0


class HostRecord(msgspec.Struct):
    """``cut`` and ``rate_bits`` (0: as fast as it goes) describe the cable: they outlive a power cut.

    ``process``: PID 1, or the fake host's agent; ``powered`` and ``ports`` (the ways to the controller through the
    proxy) are the fake host's alone.
    """

    number: int
    process: Process | None = None
    powered: bool = False
    cut: bool = False
    rate_bits: int = 0
    ports: dict[str, int] = {}

    def runs(self, kind: Kind) -> bool:
        return self.powered if kind == "fake" else self.process is not None and self.process.alive()


class MachineRecord(msgspec.Struct):
    """What stands in the rack, machines and hosts: the outlet that feeds it, and the ports of its BMC (IPMI, HTTPS)."""

    outlet: int
    ipmi_port: int
    redfish_port: int


class Record(msgspec.Struct):
    """lab.json. ``bare`` labs have hosts but neither controller nor agents.

    ``devices``: what stands around the machines, rack, BMCs and PDU, each a process.
    """

    name: str
    mark: str
    kind: Kind
    index: int
    bare: bool
    ports: dict[str, int]
    hosts: dict[str, HostRecord]
    controller: Process | None = None
    proxy: Process | None = None
    settings: Settings = {}
    machines: dict[str, MachineRecord] = {}
    pdu_port: int = 0
    switch_port: int = 0
    stream_port: int = 0  # the zoni agent's
    devices: dict[str, Process] = {}


class Folders:
    """Where the lab of this name lives, whether it is there or not."""

    def __init__(self, name: str) -> None:
        try:
            check_name(name)
        except ValueError as error:
            raise Refused(Code.BAD_REQUEST, f"--name: {error}") from error
        self.name = name
        run, data = homes()
        self.run, self.data = run / name, data / name
        self.file = self.run / "lab.json"
        self._saving = threading.Lock()

    def load(self) -> Record:
        try:
            return msgspec.json.decode(self.file.read_bytes(), type=Record)
        except FileNotFoundError:
            raise NotFound(f"lab {self.name}: there is none", f"tashi-lab up --name {self.name}") from None
        except msgspec.DecodeError as error:
            raise Refused(Code.WRONG_STATE, f"{self.file}: not what this version writes: {error}") from error

    def save(self, record: Record) -> None:
        new = self.file.with_suffix(".new")
        with self._saving:  # hosts are started side by side
            new.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")
            new.rename(self.file)

    def remove(self) -> None:
        """Both folders, the record last: while it is there, `down` knows what else to look for."""
        for folder in (self.data, self.run):
            if folder.exists():
                shutil.rmtree(folder)
        for home in dict.fromkeys(homes()):
            with suppress(OSError):  # other labs live there
                home.rmdir()


def homes() -> tuple[Path, Path]:
    """(run, data): the folders that hold this user's labs."""
    if os.geteuid() == 0:
        return Path("/run/tashi-lab"), Path("/var/lib/tashi-lab")
    own = os.environ.get("XDG_RUNTIME_DIR")
    home = Path(own) / "tashi-lab" if own else Path.home() / ".cache" / "tashi" / "lab"
    return home, home


def names() -> list[str]:
    """The labs that are there, whole or not."""
    return sorted({each.name for home in homes() if home.is_dir() for each in home.iterdir() if each.is_dir()})


def new_mark() -> str:
    return uuid.uuid4().hex


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder's lock; it goes with the process. Raises Unavailable after two minutes, NotFound if removed."""
    deadline = time.monotonic() + LOCK_SECONDS
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        raise NotFound(f"{folder}: there is no such lab") from None
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Unavailable(f"{folder}: another tashi-lab is at work there") from None
                time.sleep(0.05)
        if not folder.exists() or not os.path.samestat(os.fstat(handle), folder.stat()):
            raise NotFound(f"{folder}: there is no such lab")
        yield
    finally:
        os.close(handle)
