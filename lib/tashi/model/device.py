"""The devices around machines: PDUs and switches. How each is spoken to, and never with what password."""

from __future__ import annotations

from msgspec import Struct


class SnmpUse(Struct, frozen=True, omit_defaults=True):
    """SNMP as zoni's access.py has it. ``secret`` is the id of the sealed passwords or community."""

    version: str = "v3"
    user: str = ""
    auth: str = "sha256"
    privacy: str = "aes128"
    secret: str = ""


class Pdu(Struct, frozen=True, omit_defaults=True):
    """``model``: a table of outlets' OIDs, by its name. ``outlets``: how many there are, 0 where that is not known."""

    id: str
    name: str
    created_at: str
    address: str
    model: str
    port: int = 161
    outlets: int = 0
    rack: str = ""
    unit: str = ""
    note: str = ""
    snmp: SnmpUse = SnmpUse()


class Switch(Struct, frozen=True, omit_defaults=True):
    """``driver``: snmp, ovs, linux-bridge or fake. ``address``: a host for snmp; else what the driver calls it.

    ``model``: a table of how it saves, by its name; empty: the standard one. ``agent``: the zoni agent that reaches it;
    empty: the only one there is. ``uplinks``: ports that lead to other switches, and carry the VLANs of all domains.
    ``base_mac``: which switch it is; empty: not known yet. ``job``: the operation that changes it.
    """

    id: str
    name: str
    created_at: str
    driver: str
    address: str
    model: str = ""
    port: int = 161
    rack: str = ""
    unit: str = ""
    note: str = ""
    snmp: SnmpUse | None = None
    agent: str = ""
    uplinks: tuple[str, ...] = ()
    base_mac: str = ""
    job: str = ""


class Secret(Struct, frozen=True):
    """Passwords of one power path or device, sealed (see `tashi.core.secrets`). ``of``: the id of what they are for."""

    id: str
    of: str
    sealed: str
