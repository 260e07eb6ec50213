"""Power paths and switches with their secrets opened, as zoni's drivers take them: for the zoni agent's eyes alone."""

from __future__ import annotations

from typing import Any

from tashi.core.secrets import Vault, reveal
from tashi.core.state import State
from tashi.model.device import SnmpUse, Switch
from tashi.model.machine import Machine, PowerPath

_PLAIN = ("address", "port", "url", "system", "trust", "plain", "uri", "domain", "world", "machine")


def opened(state: State, vault: Vault, machine: Machine) -> list[dict[str, Any]]:
    """The paths of a machine in the order to be tried, in the plain form of zoni's power/paths.py.

    Raises Refused for a secret that can't be opened. A path whose PDU is gone can't be: a PDU in use is never removed.
    """
    return [_path(state, vault, path) for path in machine.paths]


def switch_path(state: State, vault: Vault, switch: Switch) -> dict[str, Any]:
    """A switch in the plain form of zoni's switch/paths.py. Raises Refused for a secret that can't be opened.

    The address of one that is a bridge of the zoni agent's own machine is the bridge; of a fake one, FOLDER/NAME.
    """
    match switch.driver:
        case "snmp":
            where = {"address": switch.address, "port": switch.port, "model": switch.model or "standard"}
            return {"driver": "snmp", **where, "access": access(state, vault, switch.snmp or SnmpUse())}
        case "fake":
            world, _, name = switch.address.rpartition("/")
            return {"driver": "fake", "world": world, "switch": name}
        case bridge:
            return {"driver": bridge, "bridge": switch.address}


def access(state: State, vault: Vault, use: SnmpUse) -> dict[str, Any]:
    """How a PDU or a switch is spoken to, in the plain form of zoni's access.py."""
    if use.version == "v2c":
        return {"version": "v2c", **reveal(state, vault, use.secret)}
    own = {"version": use.version, "user": use.user, "auth": use.auth, "privacy": use.privacy}
    return own | reveal(state, vault, use.secret)


def _path(state: State, vault: Vault, path: PowerPath) -> dict[str, Any]:
    if path.kind == "pdu":
        pdu = state.pdus[path.pdu]
        return {
            "driver": "pdu", "address": pdu.address, "port": pdu.port, "model": pdu.model, "outlet": path.outlet,
            "access": access(state, vault, pdu.snmp),
        }  # fmt: skip
    given = {key: value for key in _PLAIN if (value := getattr(path, key))}
    if path.kind != "libvirt":
        given["login"] = {"user": path.user, **reveal(state, vault, path.secret)}
    return {"driver": path.kind, **given}
