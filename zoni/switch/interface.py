"""What a switch driver can do, and what each call promises.

A driver speaks to one switch and is opened for one call, in a worker process that may be killed at the call's deadline.
It reads what is so and does single steps (steps.py); in what order, how a change is proven and how it is undone is the
same for all (plan.py, change.py).

Errors are `SwitchError` (definite: nothing was changed) or `Unproven` (it may have been, or may be yet: look again),
each with a code of tashi.wire.errors; both name the switch and the reason, in our own words. Anything else that is
raised is unknown, too. One contract suite, tests/contract/test_switch.py, is the definition; what a driver can't do it
says by its capabilities.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct
from msgspec.structs import force_setattr

from zoni.outcome import DeviceError
from zoni.switch.steps import DeviceStep

Mode = Literal["none", "access", "trunk", "odd"]


class Capability(StrEnum):
    """Ports, and the VLANs that they are in, every driver can."""

    VLANS = "vlans"  # are made, named and destroyed; without it a VLAN is there as soon as a port is in it
    LABEL = "label"
    FILTER = "filter"  # it can be chosen whether a port drops frames of VLANs that it is not in
    SAVE = "save"  # what runs and what it starts with are two; without it they are one
    MACS = "macs"
    NEIGHBOURS = "neighbours"


class SwitchError(DeviceError):
    """Nothing was changed."""


class Port(Struct, frozen=True, omit_defaults=True):
    """A port as the switch says that it is (IEEE 802.1Q, in the words of RFC 4363).

    ``on`` is what was ordered (ifAdminStatus), ``up`` what there is of a link, None where it isn't told.
    ``untagged`` and ``tagged``: the VLANs whose frames leave by it, sorted. ``native``: the VLAN that frames without a
    tag enter (PVID), 0 where they are dropped. ``filters``: frames of a VLAN that it is not in are dropped. ``mode``
    follows from the rest, whatever is given.
    """

    name: str
    label: str = ""
    on: bool = True
    up: bool | None = None
    speed_mbps: int | None = None
    native: int = 0
    untagged: tuple[int, ...] = ()
    tagged: tuple[int, ...] = ()
    filters: bool = True
    mode: Mode = "none"  # a field, so that it is told with the others

    def __post_init__(self) -> None:
        force_setattr(self, "mode", self._mode())

    @property
    def enters(self) -> int:
        """The VLAN that a frame without a tag really gets into; 0: none."""
        member = self.native in self.untagged or self.native in self.tagged
        return self.native if member or not self.filters else 0

    @property
    def heard_in(self) -> frozenset[int]:
        """The VLANs that a machine without tags is in by this port, either way, were the port on. More than one is a
        leak between them."""
        return frozenset(self.untagged) | ({self.enters} if self.enters else frozenset())

    def _mode(self) -> Mode:
        if len(self.heard_in) > 1 or (self.untagged and not self.enters):
            return "odd"
        return "trunk" if self.tagged else "access" if self.heard_in else "none"


class State(Struct, frozen=True):
    """``vlans``: number -> name. ``uptime_seconds`` goes back when the switch starts anew; None where it isn't told."""

    vlans: dict[int, str]
    ports: dict[str, Port]
    uptime_seconds: float | None = None


class Identity(Struct, frozen=True, omit_defaults=True):
    """Which switch it is, as far as it tells; an empty string is not known. ``models``: the tables of how kinds of

    switch save (models.py) that are for it.
    """

    name: str = ""
    description: str = ""
    base_mac: str = ""
    models: tuple[str, ...] = ()


class Mac(Struct, frozen=True):
    """A station that was heard. ``vlan`` 0: not told."""

    mac: str
    port: str
    vlan: int


Stations: TypeAlias = "dict[str, dict[int, list[str]]]"


def stations(macs: Iterable[Mac]) -> Stations:
    """Stations as they travel, because a switch hears thousands: port -> VLAN -> addresses, in digits alone."""
    found: Stations = {}
    for each in macs:
        found.setdefault(each.port, {}).setdefault(each.vlan, []).append(each.mac.replace(":", ""))
    return found


class Neighbour(Struct, frozen=True):
    """Who says by LLDP (IEEE 802.1AB) that it is at the other end of a port."""

    port: str
    chassis: str
    their_port: str
    name: str = ""


class Driver(Protocol):
    """``where``: the switch in a few words, for errors: ``snmp 10.0.0.2``.

    Every call may raise `SwitchError`: unavailable (no answer, nonsense), denied (user, password, community, rights),
    not-found (no such port, model, bridge), impossible (not a thing that this switch can do).
    """

    where: str
    capabilities: frozenset[Capability]

    def identity(self) -> Identity:
        """Which switch this is."""

    def look(self) -> State:
        """All ports and VLANs, as they are now; never what was last asked for, and never a part."""

    def do(self, step: DeviceStep) -> None:
        """Ask for one step, once; to return is no proof. What is so already may be refused.

        Raises `Unproven` when it was sent and no answer came.
        """

    def save(self) -> None:
        """Make what runs what the switch starts with, and wait until it says so."""

    def macs(self) -> list[Mac]:
        """All stations that were heard, but for the switch's own."""

    def neighbours(self) -> list[Neighbour]:
        """All that LLDP has told."""

    def weaknesses(self) -> list[str]:
        """Ways into the device that should not be there. Looks as a stranger would, and changes nothing."""

    def close(self) -> None:
        """End the session. Raises nothing."""
