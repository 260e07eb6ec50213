"""The kinds of switch and what a driver is told of one: a frozen record each, JSON on the way to a worker."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from zoni import access
from zoni.access import Login, Port
from zoni.path import Address, Path

Interface = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$")]  # of Linux


class Snmp(Path, frozen=True, kw_only=True, tag="snmp"):
    """A switch by SNMP with Q-BRIDGE-MIB. ``model`` is a table of switch_models.toml, or of ``models``, a file of the
    same form; it says how the switch saves."""

    address: Address
    port: Port = 161
    access: access.Snmp
    model: Annotated[str, Meta(min_length=1, max_length=64)]
    models: str = ""

    @property
    def where(self) -> str:
        return f"switch {self.address}" + (f" port {self.port}" if self.port != 161 else "")


class Ovs(Path, frozen=True, kw_only=True, tag="ovs"):
    """A bridge of Open vSwitch on this machine. ``run`` is where its daemons have their sockets."""

    bridge: Interface
    run: Annotated[str, Meta(max_length=200, pattern=r"^/")] = "/var/run/openvswitch"

    @property
    def where(self) -> str:
        return f"ovs {self.bridge}"


class LinuxBridge(Path, frozen=True, kw_only=True, tag="linux-bridge"):
    """A bridge of this machine's kernel; ``netns`` is the network namespace that it is in, where it is in one."""

    bridge: Interface
    netns: Annotated[str, Meta(max_length=64, pattern=r"^([A-Za-z0-9_][A-Za-z0-9_.-]*)?$")] = ""

    @property
    def where(self) -> str:
        return f"bridge {self.bridge}"


class Fake(Path, frozen=True, kw_only=True, tag="fake"):
    """A switch of a fake world, which lies in the folder ``world``."""

    world: str
    switch: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    login: Login = Login()

    @property
    def where(self) -> str:
        return f"fake {self.switch}"


AnyPath = Snmp | Ovs | LinuxBridge | Fake


def read_path(raw: object) -> AnyPath:
    """A path from its plain form. Raises ValueError that names the field, never its value."""
    try:
        path: AnyPath = msgspec.convert(raw, type=AnyPath)
        return path
    except msgspec.ValidationError as error:
        raise ValueError(f"switch: {error}") from error
