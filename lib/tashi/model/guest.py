"""What a hypervisor needs to run a VM: all of it, and nothing that it does not need."""

from __future__ import annotations

from msgspec import Struct


class Disk(Struct, frozen=True, omit_defaults=True):
    """One disk in the shared pool; paths are relative to it. ``base`` is the image below the overlay.

    ``made``: it has been there, so a start that misses it is refused; else the start makes it.
    """

    path: str
    format: str
    base: str = ""
    base_format: str = ""
    size_bytes: int = 0
    made: bool = False


class Nic(Struct, frozen=True, omit_defaults=True):
    network: str
    mac: str


class Guest(Struct, frozen=True, omit_defaults=True):
    """What a driver needs to run a VM. ``id`` names the domain's metadata, ``name`` is for people.

    It lies in the domain's metadata too; ``owner``, ``image`` and ``created_at`` are for a record made from that.
    """

    id: str
    name: str
    cores: int
    memory_bytes: int
    disks: list[Disk] = []
    nics: list[Nic] = []
    kernel: str = ""
    initrd: str = ""
    kernel_args: str = ""
    hints: dict[str, str] = {}
    owner: str = ""
    image: str = ""  # its record's id
    created_at: str = ""
    firmware: str = ""  # uefi; else what the machine type has by itself
