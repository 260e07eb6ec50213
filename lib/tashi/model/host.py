"""A VM host's record. Heartbeats are not in it: only what must survive a restart."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct


class HostState(StrEnum):
    """What an administrator wants of it."""

    NORMAL = "normal"
    DRAINING = "draining"
    DRAINED = "drained"


class Health(StrEnum):
    """What it shows by itself."""

    UP = "up"
    DEGRADED = "degraded"
    UNKNOWN = "unknown"


Count = Annotated[int, Meta(ge=0, le=2**53)]
Bytes = Annotated[int, Meta(ge=0, le=2**60)]
Text = Annotated[str, Meta(max_length=200)]


class Facts(Struct, frozen=True, omit_defaults=True):
    """What a host has. ``disk_bytes`` is its own disk, ``pool_bytes`` the shared pool as it sees it.

    ``backend`` is the driver that runs its guests. ``cpu_model`` and ``cpu_flags`` are what a guest there gets of its
    processor, as far as programs are built for it: nothing where guests run in emulation.
    """

    cores: Count
    memory_bytes: Bytes
    disk_bytes: Bytes = 0
    disk_used_bytes: Bytes = 0
    pool_bytes: Bytes = 0
    accelerator: Text = ""
    address: Text = ""  # where other hosts' hypervisors reach this one
    migrate_uri: Text = ""
    versions: dict[str, str] = {}
    backend: Text = ""
    cpu_model: Text = ""
    cpu_flags: Annotated[tuple[Text, ...], Meta(max_length=64)] = ()
    firmware: Annotated[tuple[Text, ...], Meta(max_length=8)] = ()  # that its guests may have: bios, uefi


class Certificate(Struct, frozen=True):
    """One given to a host, by its number; ``addresses`` are where the host may be believed to be."""

    number: int
    until_wall: float
    addresses: tuple[str, ...]


class Renewal(Struct, frozen=True):
    """An operation that waits until the host uses a certificate newer than the one with number ``after``."""

    job: str
    after: int


class Terms(Struct, frozen=True, omit_defaults=True):
    """On what terms an administrator gives a host to placement.

    ``kept_*`` is left to the host itself; of the rest ratio times as much may be promised, 0 being the cluster's ratio.
    ``users`` and ``groups`` have it to themselves, when there are any, until an instant (0: no end).
    """

    labels: dict[str, str] = {}
    kept_cores: int = 0
    kept_memory_bytes: int = 0
    cores_ratio: float = 0.0
    memory_ratio: float = 0.0
    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    until_wall: float = 0.0


class Host(Struct, frozen=True, omit_defaults=True):
    """``key`` is the agent's CURVE public key; ``token`` the hash of an unused enrolment token.

    ``foreign_*``: what guests without a record use there, ours (``strays``) and others'. ``left``: strays that an
    administrator has decided to leave alone. ``certificates``: those that the other hosts believe, the newest last.
    ``server_key``: the controller's key that its agent came with last.
    ``off``: the administrator who has said that it is off, until it is heard again. ``buried``: VM -> generation, of
    those destroyed meanwhile; should it come back, it is told to remove them.
    """

    id: str
    name: str
    created_at: str
    state: HostState = HostState.NORMAL
    health: Health = Health.UNKNOWN  # as last stored; the controller's contact decides what is shown
    reason: str = ""
    facts: Facts | None = None
    key: str = ""
    token: str = ""
    token_until_wall: float = 0.0
    uuid: str = ""
    boot_id: str = ""
    job: str = ""
    foreign_cores: int = 0
    foreign_memory_bytes: int = 0
    strays: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    seen_at: str = ""
    certificates: tuple[Certificate, ...] = ()
    renewal: Renewal | None = None
    server_key: str = ""
    off: str = ""
    buried: dict[str, int] = {}
    terms: Terms = Terms()
