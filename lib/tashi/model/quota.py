"""How much of the cluster somebody may have: limits, and what is counted against them.

A VM counts, and its disk does, from its creation until it is gone. Its cores and memory count unless it is known to be
stopped, or failed; so one that waits for room has its share already, and needs no other when there is room.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from msgspec import Struct

from tashi.model.units import format_size
from tashi.model.vm import Vm, at_rest

DEFAULT, UNLIMITED = -1, -2  # instead of a number


class Quota(Struct, frozen=True, omit_defaults=True):
    """The most, in VMs, cores and bytes: a number, DEFAULT (what is set for everybody) or UNLIMITED."""

    vms: int = DEFAULT
    cores: int = DEFAULT
    memory_bytes: int = DEFAULT
    disk_bytes: int = DEFAULT


class Amount(NamedTuple):
    """So many VMs, cores, and bytes of memory and disk."""

    vms: int = 0
    cores: int = 0
    memory_bytes: int = 0
    disk_bytes: int = 0

    def plus(self, other: Amount, times: int = 1) -> Amount:
        vms, cores, memory_bytes, disk_bytes = other
        return Amount(
            self.vms + times * vms,
            self.cores + times * cores,
            self.memory_bytes + times * memory_bytes,
            self.disk_bytes + times * disk_bytes,
        )


def amount_of(vm: Vm) -> Amount:
    """What a VM counts for, as it is."""
    return Amount(1, 0, 0, vm.disk_bytes) if at_rest(vm) else Amount(1, vm.cores, vm.memory_bytes, vm.disk_bytes)


def total(amounts: Iterable[Amount]) -> Amount:
    """All of them together."""
    found = Amount()
    for each in amounts:
        found = found.plus(each)
    return found


def words(key: str, number: int) -> str:
    """``4 cores``, ``8G of memory``."""
    if key in ("vms", "cores"):
        noun = "VM" if key == "vms" else "core"
        return f"{number} {noun}{'' if number == 1 else 's'}"
    return f"{format_size(number)} of {key.removesuffix('_bytes')}"
