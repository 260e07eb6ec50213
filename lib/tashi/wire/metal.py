"""What people say about physical machines and the devices around them.

Parts of a machine are said in the words of `tashi.model.machine_words`. The rest of what people say is in `messages`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tashi.model.host import Text
from tashi.wire.bounds import Cores, Key, Long, Ref, Strict

MACHINES_AT_ONCE = 2000  # in one import
Words = Annotated[list[Annotated[str, Meta(max_length=1000)]], Meta(max_length=256)]
Memory = Annotated[int, Meta(ge=2**20, le=2**50)]
Password = Annotated[str, Meta(max_length=128)]
Port = Annotated[int, Meta(ge=1, le=65535)]
Outlets = Annotated[int, Meta(ge=0, le=10_000)]


class Parts(Strict, frozen=True):
    """What a machine is. Absent: not known, or as it is; "" and an empty list: none.

    ``user``, ``password`` and ``kg`` are for all of its power paths that have a login; a path's own user= comes first.
    """

    rack: Text | None = None
    unit: Text | None = None
    uuid: Text | None = None
    serial: Text | None = None
    vendor: Text | None = None
    model: Text | None = None
    cores: Cores | None = None
    memory_bytes: Memory | None = None
    disks: Words | None = None
    nics: Words | None = None
    firmware: Literal["", "bios", "uefi"] | None = None
    flags: Words | None = None
    power_paths: Words | None = None
    ports: Words | None = None
    host: Text | None = None
    agent: Text | None = None
    note: Long | None = None
    user: Text | None = None
    password: Password | None = None
    kg: Password | None = None


class MachineAdd(Strict, frozen=True):
    name: Text
    parts: Parts = Parts()
    dry_run: bool = False


class MachineSet(Strict, frozen=True):
    """What is left out stays. ``flags`` of the parts are added, ``drop_flags`` taken away.

    ``lock``: the reason why nobody may touch it; "" unlocks.
    """

    name: Ref
    parts: Parts = Parts()
    drop_flags: Words = []
    lock: Text | None = None
    dry_run: bool = False


class NewMachine(Strict, frozen=True):
    """One row of an import."""

    name: Text
    parts: Parts = Parts()


class MachineImport(Strict, frozen=True):
    """All of them, or with ``partial`` those that can be. The answer's ``missing``: number of a row, from 0 -> why not;

    without ``partial`` nothing was changed then. With ``update``, a machine that is there is set.
    """

    machines: Annotated[list[NewMachine], Meta(min_length=1, max_length=MACHINES_AT_ONCE)]
    partial: bool = False
    update: bool = False
    dry_run: bool = False


class Plugged(Strict, frozen=True):
    """Where a machine's NICs are from now on, all of them, if by now they are as they ``was``."""

    name: Ref
    was: Words
    ports: Words


class MachinePlug(Strict, frozen=True):
    """Those that can be, judged with the others there: two may change places. The answer's ``missing``: number of a

    machine in the list, from 0 -> why not.
    """

    machines: Annotated[list[Plugged], Meta(min_length=1, max_length=MACHINES_AT_ONCE)]
    dry_run: bool = False


class MachinePower(Strict, frozen=True):
    """``action`` look asks how it is. ``grace_seconds``, with soft: what its system has to end by itself. ``force``:

    although a VM host with VMs runs on it.
    """

    name: Ref
    action: Literal["on", "off", "soft", "cycle", "reset", "look"]
    grace_seconds: Annotated[float, Meta(ge=0, le=3600)] | None = None
    force: bool = False
    dry_run: bool = False


class MachineBoot(Strict, frozen=True):
    """What it boots from. ``uefi`` None: as it is; the path says BIOS where it has to say one."""

    name: Ref
    device: Literal["disk", "network", "cdrom"]
    once: bool = False
    uefi: bool | None = None
    dry_run: bool = False


class MachineIdentify(Strict, frozen=True):
    """Its light, by which it is found in the rack."""

    name: Ref
    on: bool = True
    dry_run: bool = False


class MachineLog(Strict, frozen=True):
    """The newest entries of its BMC's event log, ``limit`` at most."""

    name: Ref
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    dry_run: bool = False


class MachineConsole(Strict, frozen=True):
    """Its console, for the client that has ``key``: a CURVE public key, made for this once. ``force``: whoever has it

    now loses it.
    """

    name: Ref
    key: Key
    read_only: bool = False
    force: bool = False
    dry_run: bool = False


class Snmp(Strict, frozen=True):
    """How a device is spoken to; absent: as it is, or v3 with SHA-256 and AES-128."""

    version: Literal["v3", "v2c"] | None = None
    user: Text | None = None
    auth: Literal["sha256", "sha512", "sha1", "md5"] | None = None
    privacy: Literal["aes128", "des"] | None = None
    auth_password: Password | None = None
    privacy_password: Password | None = None
    community: Password | None = None


class Device(Strict, frozen=True):
    """What PDUs and switches have in common; absent: not known, or as it is."""

    name: Ref
    address: Text | None = None
    port: Port | None = None
    model: Text | None = None
    rack: Text | None = None
    unit: Text | None = None
    note: Long | None = None
    snmp: Snmp = Snmp()
    dry_run: bool = False


class PduAdd(Device, frozen=True):
    outlets: Outlets | None = None


class PduSet(Device, frozen=True):
    outlets: Outlets | None = None


class SwitchAdd(Device, frozen=True):
    """``driver`` "snmp" when it is not said. ``uplinks``: its ports that lead to other switches. ``base_mac``: which

    switch it is. ``agent``: the zoni agent that reaches it.
    """

    driver: Literal["snmp", "ovs", "linux-bridge", "fake"] | None = None
    uplinks: Words | None = None
    base_mac: Text | None = None
    agent: Text | None = None


class SwitchSet(Device, frozen=True):
    driver: Literal["snmp", "ovs", "linux-bridge", "fake"] | None = None
    uplinks: Words | None = None
    base_mac: Text | None = None
    agent: Text | None = None


# Verbs whose bodies hold passwords: nothing of those is kept that they could be guessed from.
WITH_PASSWORDS = frozenset(
    {"machine.add", "machine.set", "machine.import", "pdu.add", "pdu.set", "switch.add", "switch.set"}
)
