"""A control group for each host, so that its libvirtd sees a tree of its own and a power cut finds every process.

Version 1: one group in each mounted hierarchy. Version 2: one group, with a leaf for the host's own processes, because
a group that holds processes can't hand controllers down. What this machine has is read from its mounts.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

from tashi.lab.process import Process
from tashi.wire.errors import Unavailable

# As libvirt's qemu.conf wants them; what a kernel lacks is left out.
CONTROLLERS = ("cpu", "cpuacct", "cpuset", "memory", "devices", "blkio", "io", "pids")


class Hierarchy(NamedTuple):
    """A mounted hierarchy: ``name`` is the folder below /sys/fs/cgroup, ``options`` what mount(2) wants."""

    path: Path
    name: str
    options: str
    version: int


def hierarchies(mounts: str | None = None) -> list[Hierarchy]:
    """What is mounted here: every version 1 hierarchy, else the one of version 2."""
    first, second = [], []
    for line in (Path("/proc/self/mounts").read_text() if mounts is None else mounts).splitlines():
        _, path, kind, options, *_ = line.split()
        if kind == "cgroup":
            kept = [each for each in options.split(",") if each not in _GENERIC]
            named = [each for each in kept if each.startswith("name=")]
            wanted = ",".join(["none", *named] if named else kept)
            first.append(Hierarchy(Path(path), Path(path).name, wanted, 1))
        elif kind == "cgroup2":
            second.append(Hierarchy(Path(path), "", "", 2))
    return first or second[:1]


_GENERIC = {"rw", "ro", "relatime", "nosuid", "nodev", "noexec", "noatime", "xattr", "clone_children", "release_agent"}


class Group:
    """The group of one host in all hierarchies."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.hierarchies = hierarchies()

    def folders(self) -> list[Path]:
        return [each.path / self.name for each in self.hierarchies]

    def make(self) -> list[Path]:
        """Make the group; return the files that a process writes its pid to in order to be in it."""
        doors = []
        for hierarchy, folder in zip(self.hierarchies, self.folders(), strict=True):
            folder.mkdir(exist_ok=True)
            if hierarchy.version == 2:
                _hand_down(hierarchy.path)
            for name in ("cpuset.cpus", "cpuset.mems"):  # version 1 gives a new group none, and then no process
                if hierarchy.version == 1 and (folder / name).exists():
                    (folder / name).write_text((hierarchy.path / name).read_text())
            doors.append(folder / "cgroup.procs")
        return doors

    def processes(self) -> list[Process]:
        """Everything that lives in the group and below, by its pid outside."""
        pids = set()
        for folder in self.folders():
            for each in _tree(folder):
                pids |= _pids(each / "cgroup.procs")
        found = (Process.of(pid) for pid in pids)
        return [each for each in found if each is not None]

    def thaw(self) -> None:
        """Frozen tasks ignore SIGKILL in version 1; libvirt freezes paused containers and some guests."""
        for folder in self.folders():
            for each in _tree(folder):
                state = each / "freezer.state"
                if state.exists() and state.read_text().strip() != "THAWED":
                    state.write_text("THAWED")

    def remove(self, seconds: float = 10.0) -> None:
        """Take the group away; its processes are gone already, or about to be. Raises Unavailable if they stay."""
        deadline = time.monotonic() + seconds
        for folder in self.folders():
            while folder.exists():
                try:
                    for each in reversed(_tree(folder)):
                        each.rmdir()
                except OSError as error:  # EBUSY until the last task is reaped
                    if time.monotonic() > deadline:
                        raise Unavailable(f"{folder}: {error.strerror}") from error
                    time.sleep(0.02)


def _tree(folder: Path) -> list[Path]:
    """The group and all below it, each before those that it holds; none if it is not there."""
    return [Path(path) for path, _, _ in os.walk(folder)]


def _pids(tasks: Path) -> set[int]:
    try:
        return {int(line) for line in tasks.read_text().split()}
    except OSError:  # the group went while we looked
        return set()


def _hand_down(folder: Path) -> None:
    """Let the groups below ``folder`` have the controllers (version 2)."""
    there = (folder / "cgroup.controllers").read_text().split()
    wanted = [f"+{each}" for each in there if each in CONTROLLERS]
    (folder / "cgroup.subtree_control").write_text(" ".join(wanted))
