"""What zoni-vlan and zoni-port ask for, in people's words for ports; the core makes changes of switches of it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tashi.wire.bounds import Ref, Strict
from tashi.wire.domains import Number
from tashi.wire.switching import PORTS_AT_ONCE, SWITCHES_AT_ONCE, PortWant, VlanName

SOME = Meta(min_length=1, max_length=64)
PortWord = Annotated[str, Meta(min_length=1, max_length=150)]  # SWITCH:PORT, MACHINE or MACHINE:NIC
Switches = Annotated[list[Ref], Meta(max_length=SWITCHES_AT_ONCE)]


class VlanCreate(Strict, frozen=True):
    """Numbers and names. On all switches unless some are named, and tagged on their uplinks."""

    vlans: Annotated[dict[Number, VlanName], SOME]
    switches: Switches = []
    plan: bool = False
    dry_run: bool = False


class VlanDestroy(Strict, frozen=True):
    """On all switches unless some are named; what is in use stays."""

    vlans: Annotated[list[Number], SOME]
    switches: Switches = []
    plan: bool = False
    dry_run: bool = False


class PortsWant(Strict, frozen=True):
    """Ports as people write them (`PortWord`), and what each of them shall be."""

    ports: Annotated[list[PortWord], Meta(min_length=1, max_length=PORTS_AT_ONCE)]
    want: PortWant


class PortSet(Strict, frozen=True):
    """All of it, or nothing. ``force``: although a VM host with VMs is cut off by it."""

    changes: Annotated[list[PortsWant], Meta(min_length=1, max_length=PORTS_AT_ONCE)]
    force: bool = False
    plan: bool = False
    dry_run: bool = False


class PortRestore(Strict, frozen=True):
    """Ports as they should be by the records: a machine's in its domain open in its VLANs, all others closed.

    Uplinks are open, and in the VLANs that go over them, besides what they are in.
    """

    ports: Annotated[list[PortWord], Meta(min_length=1, max_length=PORTS_AT_ONCE)]
    plan: bool = False
    dry_run: bool = False
