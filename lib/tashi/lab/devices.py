"""The devices around the lab's machines: each is a peer (peers/*.py), a process that is told what to be by a file and
what to do on a socket."""

from __future__ import annotations

import json
import os
import secrets
import sys
from functools import partial
from pathlib import Path
from typing import Any

from tashi.lab import control
from tashi.lab.call import wait_until
from tashi.lab.process import spawn, tail
from tashi.lab.programs import surroundings
from tashi.lab.record import Folders, Record
from tashi.wire.errors import Unavailable

READY_SECONDS = 20.0
# Files in the folder of passwords, one word each, as `ipmitool -f` wants them.
PASSWORDS = ("bmc", "snmp-auth", "snmp-privacy")
SNMP_USER = "zoni"


class Devices:
    """``address``: where they listen."""

    def __init__(self, folders: Folders, record: Record, address: str) -> None:
        self.folders, self.record, self.address = folders, record, address
        self.folder = folders.data / "machines"
        self.passwords = self.folder / "passwords"

    def prepare(self) -> None:
        """Their folder, and new passwords."""
        self.passwords.mkdir(parents=True, mode=0o700)
        for name in PASSWORDS:
            write(self.passwords / name, secrets.token_hex(8))

    def begin(self, name: str, plan: dict[str, Any]) -> None:
        """Start one; `wait` says when it is there."""
        file = self.folder / f"{name}.json"
        write(file, json.dumps({"control": self.socket(name), "address": self.address} | plan, indent=1))
        argv = [sys.executable, "-m", f"tashi.lab.peers.{name}", str(file)]
        self.record.devices[name] = spawn(argv, self.log(name), surroundings(self.record.mark))
        self.folders.save(self.record)

    def wait(self, *names: str) -> None:
        """Until these answer. Raises Unavailable with the end of a log."""
        for name in names:
            wait_until(partial(self._ready, name), f"the {name} answers", seconds=READY_SECONDS)

    def look(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        """What one says of itself; nothing when it is gone."""
        try:
            return control.ask(self.socket(name), request)
        except (OSError, ValueError):
            return {}

    def ask(self, name: str, request: dict[str, Any]) -> dict[str, Any]:
        """Tell one to be otherwise. Raises Unavailable."""
        try:
            return control.ask(self.socket(name), request)
        except (OSError, ValueError) as error:
            raise Unavailable(f"the {name} of lab {self.record.name} does not answer: {error}") from error

    def pid(self, name: str) -> int | None:
        process = self.record.devices.get(name)
        return process.pid if process is not None and process.alive() else None

    def password(self, name: str) -> str:
        return (self.passwords / name).read_text().strip()

    def socket(self, name: str) -> str:
        return str(self.folders.run / f"{name}.sock")

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def _ready(self, name: str) -> bool:
        if self.pid(name) is None:
            raise Unavailable(f"the {name} ended at once", tail(self.log(name)))
        return Path(self.socket(name)).exists()


def write(file: Path, text: str) -> None:
    """For the lab's own user alone: most of these hold passwords."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text + "\n")
