"""The libvirt driver: a machine that is a domain, its power by the hypervisor; the only file of zoni that loads
libvirt."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

import libvirt

from tashi.wire.errors import Code
from zoni.outcome import Unproven
from zoni.power.interface import Action, Capability, Identity, Power, PowerError
from zoni.power.lacking import Lacking
from zoni.power.paths import Libvirt

RUNS = (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_BLOCKED)
ENDED = (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED)
CODES = {
    libvirt.VIR_ERR_NO_DOMAIN: Code.NOT_FOUND,
    libvirt.VIR_ERR_OPERATION_INVALID: Code.WRONG_STATE,
    libvirt.VIR_ERR_AUTH_FAILED: Code.DENIED,
    libvirt.VIR_ERR_OPERATION_DENIED: Code.DENIED,
}


class LibvirtDriver(Lacking):
    """Implements `zoni.power.interface.Driver`."""

    capabilities = frozenset({Capability.MACHINE, Capability.SOFT, Capability.RESET, Capability.IDENTITY})

    def __init__(self, path: Libvirt) -> None:
        self.where, self._path = path.where, path
        libvirt.registerErrorHandler(lambda _, error: None, None)  # it is raised, too
        try:
            self._connection = libvirt.open(path.uri)
        except libvirt.libvirtError as error:
            raise PowerError(Code.UNAVAILABLE, f"{self.where}: libvirt can't be reached: {error}") from error

    def power(self) -> Power:
        state = self._call(lambda domain: domain.state()[0])
        return "on" if state in RUNS else "off" if state in ENDED else "unknown"

    def press(self, action: Action) -> None:
        domain = self._call(lambda domain: domain)
        try:
            match action:
                case "on":
                    domain.create()
                case "off":
                    domain.destroy()
                case "soft":
                    domain.shutdown()
                case "reset":
                    domain.reset()
        except libvirt.libvirtError as error:
            if (code := CODES.get(error.get_error_code())) is None:
                raise Unproven(Code.UNAVAILABLE, f"{self.where}: {action}: {error}") from error
            raise PowerError(code, f"{self.where}: {action}: {error}") from error

    def identity(self) -> Identity:
        """What the domain shows its system (SMBIOS), the UUID being libvirt's."""
        definition = ElementTree.fromstring(self._call(lambda domain: domain.XMLDesc()))
        told = {each.get("name"): (each.text or "").strip() for each in definition.iterfind("sysinfo/system/entry")}
        return Identity(
            uuid=self._call(lambda domain: domain.UUIDString()),
            serial=told.get("serial", ""),
            maker=told.get("manufacturer", ""),
            model=told.get("product", ""),
        )

    def weaknesses(self) -> list[str]:
        return []  # who reaches libvirt is its own affair

    def close(self) -> None:
        self._connection.close()

    # -- parts -------------------------------------------------------------------------------------------------------

    def _call(self, read: Any) -> Any:
        name = self._path.domain
        try:
            try:
                domain = self._connection.lookupByName(name)
            except libvirt.libvirtError:
                domain = self._connection.lookupByUUIDString(name)
            return read(domain)
        except libvirt.libvirtError as error:
            code = CODES.get(error.get_error_code(), Code.UNAVAILABLE)
            code = Code.NOT_FOUND if error.get_error_code() == libvirt.VIR_ERR_INVALID_ARG else code
            raise PowerError(code, f"{self.where}: {error}") from error
