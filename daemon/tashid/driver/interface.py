"""What a hypervisor driver can do, and what each call promises.

A driver runs in a worker process, one call at a time, and may be killed at the call's deadline; so every call is
idempotent or looks first. Errors are `DriverError` (definite: nothing changed) or anything else (unknown: look again).
One contract suite, tests/contract/test_driver.py, is the definition; what a driver can't do it says by its
capabilities.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol

from tashi.model.guest import Guest
from tashi.model.host import Facts
from tashi.wire.agents import Seen


class Capability(StrEnum):
    MIGRATE = "migrate"
    POWER_BUTTON = "power-button"
    DISKS = "disks"
    METADATA = "metadata"


class DriverError(Exception):
    """The call had no effect; the text names the object and the reason."""


def spares(only_if: str, seen: Seen) -> bool:
    """Whether ``remove`` with this ``only_if`` leaves a guest as it is. Raises DriverError for an unknown word."""
    if only_if == "paused":
        return seen.state != "paused"
    if only_if == "never-ran":
        return not seen.never_ran
    if only_if:
        raise DriverError(f"{seen.vm}: remove only if {only_if[:40]!r}: that is not known")
    return False


def missing(path: str) -> DriverError:
    """The refusal of a start whose disk was made once and is not at ``path`` any more."""
    return DriverError(f"its disk {path} is not there: bring it back, or mount the pool, and start it again")


def is_ours(marked: str, cluster: str) -> bool:
    """Whether a guest with the mark of the cluster ``marked`` belongs to ``cluster``."""
    return not marked or not cluster or marked == cluster


class MoveStats(NamedTuple):
    total_seconds: float
    downtime_seconds: float
    bytes: int


class MoveJob(NamedTuple):
    """A migration under way."""

    done_bytes: int
    total_bytes: int
    bytes_per_second: int


class Driver(Protocol):
    """``cluster``: whose guests are ours. A guest with another cluster's mark is foreign; one that has none was made
    before there were such marks, and is ours; while it is empty, every marked guest is."""

    capabilities: frozenset[Capability]
    cluster: str

    def facts(self) -> Facts:
        """Cores, memory and disk of this host, the accelerator that works, versions."""

    def inventory(self) -> list[Seen]:
        """Every guest, defined or running, with the generation in its metadata and, as ``guest``, what it was made of;
        without our mark it is ``foreign``."""

    def look(self, vm: str) -> Seen:
        """One guest of ours by id; state "absent" when there is none."""

    def start(self, guest: Guest, generation: int) -> Seen:
        """Define with ``generation`` in the metadata, run. Running already: only stamp. A disk
        that is missing is made, or with ``made`` refused: then nothing is."""

    def stop(self, vm: str, generation: int) -> Seen:
        """Cut its power; the definition stays, stamped. Not running is success; unknown here is "absent"."""

    def remove(self, vm: str, only_if: str, disks: list[str]) -> Seen:
        """End and undefine it, then delete ``disks`` (paths in the pool). ``only_if`` "paused" or "never-ran":
        a guest that is anything else is left as it is (and told as it is)."""

    def stamp(self, vm: str, generation: int) -> Seen:
        """Write ``generation`` into the metadata of a guest, running or not; touch nothing else."""

    def press_power_button(self, vm: str) -> None:
        """The ACPI power button. What the guest does about it is seen later."""

    def migrate(self, guest: Guest, peer: str, generation: int) -> MoveStats:
        """Live-migrate to ``peer``, with ``generation`` in the destination's definition; gone here afterwards.
        Returns when it is over. Killing the caller does not end it."""

    def moving(self, vm: str) -> MoveJob | None:
        """The migration of this guest that is under way from here, if any."""

    def abort_move(self, vm: str) -> bool:
        """Call a migration from here back. Returns whether there was one to call back; none is no error."""

    def use_certificate(self) -> str:
        """Put the certificate that the agent keeps in its state where the hypervisor looks for it, and have it read.
        Returns why nobody reads it now, empty when somebody does."""

    def inspect_image(self, path: str, format: str, kernel: str, initrd: str) -> dict[str, str]:
        """Check an image's header below the pool; returns size_bytes (virtual). Refuses links, devices, a backing
        or data file, a header of another format, sizes out of bounds. Opens once, by descriptor."""
