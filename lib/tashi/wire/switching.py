"""What people say about switches' ports and VLANs. What a change of them means is in zoni's switch/plan.py."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tashi.wire.bounds import Ref, Strict
from tashi.wire.domains import Number

VLANS_AT_ONCE, PORTS_AT_ONCE, SWITCHES_AT_ONCE = 4096, 1024, 256
Vlans = Annotated[list[Number], Meta(max_length=VLANS_AT_ONCE)]
VlanName = Annotated[str, Meta(max_length=32, pattern=r"\A([A-Za-z0-9][A-Za-z0-9._-]*)?\Z")]  # dot1qVlanStaticName
Label = Annotated[str, Meta(max_length=64, pattern=r"\A[ -~]*\Z")]  # ifAlias
PortName = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[!-~]+( [!-~]+)*\Z")]


class PortWant(Strict, frozen=True):
    """What a port shall be; absent: as it is. ``native``: its untagged VLAN, 0 for none. ``tagged``: exactly these.

    ``join`` and ``leave``: tagged in these besides all others, and in these no more, tagged or not.
    """

    native: Number | None = None
    tagged: Vlans | None = None
    on: bool | None = None
    label: Label | None = None
    join: Vlans = []
    leave: Vlans = []


class SwitchGoal(Strict, frozen=True):
    """What shall be on one switch: VLANs that are there, by their numbers and names; those that are not; and ports."""

    switch: Ref
    vlans: Annotated[dict[Number, VlanName], Meta(max_length=VLANS_AT_ONCE)] = {}
    gone: Vlans = []
    ports: Annotated[dict[PortName, PortWant], Meta(max_length=PORTS_AT_ONCE)] = {}


class SwitchChange(Strict, frozen=True):
    """All of it, or nothing. ``plan``: do nothing but find out by which steps."""

    changes: Annotated[list[SwitchGoal], Meta(min_length=1, max_length=SWITCHES_AT_ONCE)]
    plan: bool = False
    dry_run: bool = False
