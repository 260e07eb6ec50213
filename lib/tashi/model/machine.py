"""A physical machine's record: what it is, how its power is reached, what it hangs on, and what was last seen of it.

Provisioning, power, health and lock are fields of their own: none is derived from another. How people write the parts
is in `machine_words.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from tashi.model.allocation import Allocation

Firmware = Literal["", "bios", "uefi"]


class Disk(Struct, frozen=True, omit_defaults=True):
    """``kind``: hdd, ssd, nvme, or nothing where that is not known."""

    size_bytes: int
    kind: str = ""


class MachineNic(Struct, frozen=True, omit_defaults=True):
    """``mac`` in lower case with colons."""

    mac: str
    name: str = ""


class SwitchPort(Struct, frozen=True, omit_defaults=True):
    """Where a NIC is plugged in: ``switch`` is an id, ``port`` the switch's own word, ``nic`` a name or MAC address."""

    switch: str
    port: str
    nic: str = ""


class PowerPath(Struct, frozen=True, omit_defaults=True):
    """One way to a machine's power; ``kind`` says which fields count, as zoni-driver(7) has it.

    ``secret`` is the id of the sealed passwords that go with ``user``; ``pdu`` is an id.
    """

    kind: str
    address: str = ""  # ipmi
    port: int = 0
    url: str = ""  # redfish
    system: str = ""
    trust: str = ""
    plain: bool = False
    pdu: str = ""  # pdu
    outlet: int = 0
    uri: str = ""  # libvirt
    domain: str = ""
    world: str = ""  # fake
    machine: str = ""
    user: str = ""
    secret: str = ""

    @property
    def target(self) -> tuple[str, str]:
        """What it leads to, and nothing else in the world does: (what that is, which)."""
        match self.kind:
            case "ipmi":
                return "BMC", f"{self.address} port {self.port or 623}"
            case "redfish":
                return "BMC", f"{self.url} {self.system}".rstrip()
            case "pdu":
                return "outlet", f"{self.pdu}:{self.outlet}"
            case "libvirt":
                return "domain", f"{self.domain} of {self.uri}"
            case _:
                return "fake machine", f"{self.machine} of {self.world}"


class Seen(Struct, frozen=True, omit_defaults=True):
    """What a machine's agent says of it: ``power`` is on, off or unknown, ``source`` the path that said so.

    ``at_wall``: seconds since 1970. ``generation``, ``outcome`` and ``reason``: of the order carried out last.
    ``contradiction``: what paths say against each other. ``trouble``: paths that don't answer or are not to be used.
    ``whole``: all of them were asked since the last change.
    """

    power: str
    source: str
    at_wall: float
    generation: int = 0
    outcome: str = ""
    reason: str = ""
    contradiction: str = ""
    trouble: str = ""
    whole: bool = False


class PowerEvidence(Struct, frozen=True):
    """The machine of the VM host with id ``host`` was read to be off by ``source``, and nothing spoke against it."""

    host: str
    source: str
    at_wall: float


class Lock(Struct, frozen=True):
    """An administrator keeps everybody's hands off it."""

    by: str
    reason: str
    at: str


class Machine(Struct, frozen=True, omit_defaults=True):
    """0 and "" are not known. ``host``: id of the VM host that runs on it. ``agent``: the zoni agent that reaches it.

    ``desired``: on, off, or nothing that was asked for, with a ``generation`` that only an order raises; its
    system is asked to end first where it has ``soft_seconds``. ``seen`` is None when no path was ever asked.
    ``evidence`` that its VM host is off. ``job``: the operation at work on it.
    """

    id: str
    name: str
    created_at: str
    agent: str = ""
    rack: str = ""
    unit: str = ""
    uuid: str = ""
    serial: str = ""
    vendor: str = ""
    model: str = ""
    cores: int = 0
    memory_bytes: int = 0
    disks: tuple[Disk, ...] = ()
    nics: tuple[MachineNic, ...] = ()
    firmware: Firmware = ""
    flags: tuple[str, ...] = ()
    note: str = ""
    host: str = ""
    paths: tuple[PowerPath, ...] = ()
    ports: tuple[SwitchPort, ...] = ()
    lock: Lock | None = None
    desired: str = ""
    generation: int = 0
    soft_seconds: float = 0.0
    seen: Seen | None = None
    evidence: PowerEvidence | None = None
    job: str = ""
    allocation: Allocation = Allocation()


def state_of(machine: Machine) -> str:
    """What it is used for: ``host`` while a VM host runs on it, else ``free``."""
    return "host" if machine.host else "free"


def marks(machine: Machine) -> Iterator[tuple[str, str]]:
    """(what, which) of everything that at most one machine can have."""
    for what, which in (("uuid", machine.uuid), ("serial", machine.serial), ("host", machine.host)):
        if which:
            yield what, which
    for nic in machine.nics:
        yield "mac", nic.mac
    for path in machine.paths:
        yield path.target
    for port in machine.ports:
        yield "port", f"{port.switch}:{port.port}"


def ties_of(machine: Machine) -> set[str]:
    """Ids of what it hangs on: PDUs, switches, and the domains that it is or may come to be in."""
    pdus = {path.pdu for path in machine.paths if path.pdu}
    return pdus | {port.switch for port in machine.ports} | machine.allocation.domains
