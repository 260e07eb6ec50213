"""The kinds of power path and what a driver is told of one: a frozen record each, JSON on the way to a worker."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta

from zoni.access import Login, Port, Snmp
from zoni.path import Address, Path


class Ipmi(Path, frozen=True, kw_only=True, tag="ipmi"):
    """A BMC by IPMI 2.0 over LAN (RMCP+)."""

    address: Address
    port: Port = 623
    login: Login

    def __post_init__(self) -> None:
        # IPMI 2.0, 22.28 and 22.30
        if len(self.login.user.encode()) > 16 or len(self.login.password.encode()) > 20:
            raise ValueError("IPMI has users of 16 bytes and passwords of 20 at most")

    @property
    def where(self) -> str:
        return f"ipmi {self.address}" + (f" port {self.port}" if self.port != 623 else "")

    @property
    def device(self) -> str:
        return _bmc(self.address, self.port, 623)


class Redfish(Path, frozen=True, kw_only=True, tag="redfish"):
    """A BMC by Redfish. ``system`` is a path like /redfish/v1/Systems/1; empty: the only one there is.

    ``trust``: "system" (the authorities of this machine), the path of a file with certificates, or "sha256:" and the
    fingerprint of the BMC's own one. ``plain`` lets http be spoken, which shows the password to the network.
    """

    url: Annotated[str, Meta(max_length=500, pattern=r"^https?://[^@/?#\s]+/?$")]
    login: Login
    system: Annotated[str, Meta(max_length=200)] = ""
    trust: Annotated[str, Meta(max_length=500, pattern=r"^(system|/.+|sha256:[0-9a-fA-F]{64})$")] = "system"
    plain: bool = False

    def __post_init__(self) -> None:
        if self.url.startswith("http:") and not self.plain:
            raise ValueError("http shows the password to the network: use https, or ask for it with plain")
        if not urlsplit(self.url).hostname or not self.device:  # which raise ValueError, too
            raise ValueError("the address of a BMC has a host")

    @property
    def where(self) -> str:
        return f"redfish {self.url.partition('://')[2].rstrip('/')}"

    @property
    def device(self) -> str:
        url = urlsplit(self.url)
        return _bmc(url.hostname or self.url, url.port or 443, 443)


class Pdu(Path, frozen=True, kw_only=True, tag="pdu"):
    """An outlet of a PDU by SNMP. ``model`` is a table of pdu_models.toml, or of ``models``, a file of the same
    form."""

    address: Address
    port: Port = 161
    model: Annotated[str, Meta(min_length=1, max_length=64)]
    outlet: Annotated[int, Meta(ge=1, le=10_000)]
    access: Snmp
    models: str = ""

    @property
    def where(self) -> str:
        return f"pdu {self.address} outlet {self.outlet}"

    @property
    def device(self) -> str:
        return f"pdu {self.address} port {self.port}"


class Libvirt(Path, frozen=True, kw_only=True, tag="libvirt"):
    """A machine that is a domain of a libvirt: ``domain`` is its name or UUID."""

    uri: Annotated[str, Meta(max_length=500)]
    domain: Annotated[str, Meta(min_length=1, max_length=200)]

    @property
    def where(self) -> str:
        return f"libvirt domain {self.domain}"

    @property
    def device(self) -> str:
        return f"libvirt {self.uri}"


class Fake(Path, frozen=True, kw_only=True, tag="fake"):
    """A machine of a fake world, which lies in the folder ``world``."""

    world: str
    machine: Annotated[str, Meta(pattern=r"^[a-z][a-z0-9-]{0,62}$")]
    login: Login = Login()

    @property
    def where(self) -> str:
        return f"fake {self.machine}"


def _bmc(address: str, port: int, usual: int) -> str:
    """A BMC is one device whatever is spoken with it; behind other ports than usual there may be several."""
    return f"bmc {address}" + (f" port {port}" if port != usual else "")


AnyPath = Ipmi | Redfish | Pdu | Libvirt | Fake


def read_path(raw: object) -> AnyPath:
    """A path from its plain form. Raises ValueError that names the field, never its value."""
    try:
        path: AnyPath = msgspec.convert(raw, type=AnyPath)
        return path
    except msgspec.ValidationError as error:
        raise ValueError(f"power path: {error}") from error
