"""A lab for a module of tests, and commands typed in its shell."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tashi.lab import namespace_host
from tashi.lab.call import wait_until
from tashi.lab.lab import Lab, down
from tashi.lab.programs import program, surroundings
from tashi.lab.record import Settings

SECONDS = 90
QUICK: dict[str, str | int | float | bool] = {
    "heartbeat_seconds": 0.4,
    "missed": 5,
    "steady_seconds": 0,
}  # tests break the same host again and again
DOWNTIME_SECONDS = 0.3
# Why hosts made of namespaces can't be had here; empty when they can.
WITHOUT = "root" if os.geteuid() != 0 else namespace_host.missing()


@contextmanager
def quick_lab(name: str) -> Iterator[Lab]:
    """Two hosts on real libvirt, each of them unknown after two seconds of silence; none of it is left afterwards.

    Guests may stand still for longer than usual when they move: a QEMU that emulates loses now and then what a guest
    writes while its memory is sent for a second time (seen with 7.2, on a machine that was busy), and after that the
    guest hangs or begins anew. So there is seldom a second time.
    """
    down(name)
    settings: Settings = {"controller": QUICK, "agent": {"max_downtime_seconds": DOWNTIME_SECONDS}}
    try:
        yield Lab.up(name, 2, "libvirt", settings=settings)
    finally:
        down(name)


class Shell:
    """The shell of one lab: what `eval "$(tashi-lab env)"` makes of any other."""

    def __init__(self, name: str) -> None:
        self.environment = surroundings("none") | Lab.seen(name).environment()

    def run(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        argv = [*program(words[0]), *words[1:]]
        done = subprocess.run(argv, env=self.environment, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert not check or done.returncode == 0, f"{' '.join(words)}: {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def row(self, noun: str, name: str) -> dict[str, Any]:
        """The record of a vm or host, as its list command prints it."""
        found: dict[str, Any] = json.loads(self.run(f"t{noun}-list", "-j", name).stdout)
        return found

    def status(self) -> dict[str, dict[str, Any]]:
        """What `tashi-lab status` tells, by name."""
        rows = map(json.loads, self.run("tashi-lab", "status", "-j").stdout.splitlines())
        return {each["name"]: each for each in rows}

    def wait(self, vm: str, state: str) -> None:
        """Until a VM is in a state; fails after half a minute."""
        self.run("tvm-wait", "-q", "--timeout", "30", "--state", state, vm)

    def wait_host(self, host: str, health: str) -> None:
        """Until a host is up, degraded or unknown; fails after half a minute."""
        wait_until(lambda: self.row("host", host)["health"] == health, f"{host} is {health}", seconds=30)
