"""What a driver is told about its host: one frozen record, JSON on the way to a worker.

The agent makes it from tashi.toml; a worker and the event child read it as the first line from their parent.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import msgspec


@dataclass(frozen=True)
class DriverSettings:
    """Sizes are bytes, times seconds; an empty string or a zero means "not set, measure or leave out".

    ``lab`` permits two things that are unsafe outside a laboratory: migration over plain tcp, and a shared pool
    that the hypervisor can't recognise as shared.
    """

    driver: Literal["libvirt", "fake"] = "libvirt"
    uri: str = "qemu:///system"
    accel: Literal["auto", "kvm", "tcg"] = "auto"
    max_downtime_seconds: float = 0.05  # a guest may stand still so long for its last pages
    lab: bool = False
    pool: str = "/var/lib/tashi/pool"
    state: str = "/var/lib/tashi-agent"
    networks: dict[str, str] = field(default_factory=dict)  # name -> bridge on this host
    address: str = ""  # where other hosts reach this one; empty: its host name
    migrate_uri: str = ""  # how other hosts' hypervisors reach this one; empty: made from the address
    cores: int = 0  # stated facts win over measured ones
    memory_bytes: int = 0
    disk_bytes: int = 0
    host: str = ""  # this host's name in a fake world
    world: str = ""  # folder of the fake world
    seconds_start: float = 0.05  # the fake's pace
    seconds_per_gib: float = 0.1


def dump_settings(settings: DriverSettings) -> bytes:
    """One line of JSON, without the newline."""
    return msgspec.json.encode(settings)


def load_settings(line: bytes | str) -> DriverSettings:
    """The record from its JSON. Raises ValueError naming the field that is wrong."""
    try:
        return msgspec.json.decode(line, type=DriverSettings)
    except msgspec.DecodeError as error:
        raise ValueError(f"driver settings: {error}") from error
