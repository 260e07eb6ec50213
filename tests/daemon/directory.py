"""A controller whose machine has a directory of users that does what it is told: answers late, never, or not at all."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.daemon.processes import ROOT, WITH_US, Controller, environment

# A service that every glibc has and nobody uses; in a mount namespace, our module lies in its place.
SERVICE = next(iter(glob.glob("/lib/*/libnss_hesiod.so.2")), "")
ENTER = 'mount --bind "$1" "$2" && mount --bind "$3" /etc/nsswitch.conf && shift 3 && exec "$@"'
needs_directory = pytest.mark.skipif(os.geteuid() != 0 or not SERVICE, reason="wants root and glibc's libnss_hesiod")


class Directed(Controller):
    """``say`` tells the directory what to do from now on; see directory.c. Every uid may use the user socket."""

    def __init__(self, order: str, more: str = "") -> None:
        super().__init__(group="nogroup", more=more)
        self._orders, self._module = self.folder / "orders", self.folder / "directory.so"
        self._services = self.folder / "nsswitch.conf"
        self._services.write_text("passwd: files hesiod\ngroup: files\n")
        source = ROOT / "tests/daemon/directory.c"
        options = ["-shared", "-fPIC", "-Wall", "-Werror", f'-DORDERS="{self._orders}"']
        subprocess.run(["cc", *options, "-o", self._module, source], check=True)
        self.say(order)

    def say(self, order: str) -> None:
        aside = self.folder / "orders.new"
        aside.write_text(order + "\n")
        aside.rename(self._orders)

    def spawn(self) -> subprocess.Popen[bytes]:
        aside: list[str | Path] = [
            *WITH_US,
            "unshare",
            "--mount",
            "sh",
            "-c",
            ENTER,
            "sh",
            self._module,
            SERVICE,
            self._services,
        ]
        with open(self.folder / "log", "ab") as log:
            return subprocess.Popen(
                [*WITH_US, *aside, sys.executable, ROOT / "cmd/tashi-controller", "--config", self.config],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment(),
            )  # fmt: skip
