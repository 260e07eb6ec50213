"""The lab's physical machines, hosts and others: a rack of them, their BMCs, and the PDU that feeds them.

Each device is a process of its own and speaks its real protocol: IPMI, SNMP. Nobody but the rack (peers/rack.py) knows
what a machine is made of; what is so of it is what the rack sees. When the lab is made, machines that are no hosts are
off, and all outlets on.
"""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path
from typing import Any, Literal

import msgspec

from tashi.lab import faults
from tashi.lab.call import call
from tashi.lab.devices import SNMP_USER, Devices, write
from tashi.lab.guests import build
from tashi.lab.record import Record
from tashi.wire.errors import NotFound

MACHINES_MAX = 48
MACHINES_HINT = "tashi-lab up --machines N"
BMC_USER = "admin"


class MachineStatus(msgspec.Struct):
    """One machine as `tashi-lab status` tells it. ``state`` is the process's own, whatever its BMC says.

    ``ipmi`` and ``redfish`` are where its BMC listens, ``faults`` what is wrong with that; ``outlet`` is what the PDU
    gives.
    """

    name: str
    state: Literal["on", "off", "unknown"]
    pid: int | None
    ipmi: str
    redfish: str
    outlet: str
    faults: str


class Machines:
    def __init__(self, devices: Devices, record: Record) -> None:
        self.devices, self.record = devices, record
        self.certificate = devices.folder / "bmc.crt"

    # -- making --------------------------------------------------------------------------------------------------------
    def begin(self) -> None:
        """Start rack, BMCs and PDU, all at once."""
        if self.record.kind == "libvirt":
            shutil.copy(build.built() / build.METAL, self.devices.folder)
        self.devices.begin("rack", self._rack_plan())
        self.devices.begin("bmc", {"bmcs": self._bmcs("ipmi_port")})
        self.devices.begin("redfish", {"bmcs": self._bmcs("redfish_port"), "certificate": str(self._certify())})
        self.devices.begin("pdu", self._pdu_plan())

    def _rack_plan(self) -> dict[str, Any]:
        return {
            "machines": {
                name: {"outlets": [str(each.outlet)]} | self._made_of(name)
                for name, each in self.record.machines.items()
            }
        }

    def _bmcs(self, port: Literal["ipmi_port", "redfish_port"]) -> dict[str, Any]:
        shared = {"user": BMC_USER, "password": self.devices.password("bmc"), "rack": self.devices.socket("rack")}
        return {
            name: {"name": name, "port": getattr(each, port), "uuid": self.uuid(name), "serial": self.serial(name)}
            | shared
            | ({"line": self._line(name)} if port == "ipmi_port" else {})
            for name, each in self.record.machines.items()
        }

    def _certify(self) -> Path:
        """Make the certificate that all BMCs show; a file with its key, too."""
        whole, key = self.devices.folder / "bmc.pem", self.devices.folder / "bmc.key"
        words = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=bmc"]
        names = ["-addext", f"subjectAltName=IP:{self.devices.address}", "-days", "3650"]
        call(["openssl", "req", "-x509", *words, *names, "-keyout", str(key), "-out", str(self.certificate)])
        write(whole, key.read_text() + self.certificate.read_text())
        return whole

    def _pdu_plan(self) -> dict[str, Any]:
        access = {"user": SNMP_USER} | {
            f"{kind}_password": self.devices.password(f"snmp-{kind}") for kind in ("auth", "privacy")
        }
        outlets = {str(each.outlet): True for each in self.record.machines.values()}
        return {
            "port": self.record.pdu_port,
            "pdu": {"outlets": outlets, "rack": self.devices.socket("rack")} | access,
        }

    def _made_of(self, name: str) -> dict[str, Any]:
        """What the rack is told of a machine."""
        if name in self.record.hosts:
            return {"kind": "host", "lab": self.record.name}
        return {"kind": "record"} if self.record.kind == "fake" else {"kind": "qemu", "argv": self._qemu(name)}

    def _qemu(self, name: str) -> list[str]:
        """It costs no processor time once it has booted."""
        disk = f"file={self.devices.folder / build.METAL},format=raw,if=virtio,readonly=on"
        board = ["-machine", "pc,graphics=off", "-accel", "tcg,tb-size=1", "-m", "4", "-nodefaults", "-no-user-config"]
        screen = ["-display", "none", "-vga", "none", "-qmp", "stdio"]
        line = ["-chardev", f"socket,id=line,path={self._line(name)},reconnect=1", "-serial", "chardev:line"]
        identity = ["-name", name, "-uuid", self.uuid(name), "-smbios", f"type=1,serial={self.serial(name)}"]
        return ["qemu-system-x86_64", *board, *screen, *line, *identity, "-drive", disk]

    def _line(self, name: str) -> str:
        """The socket of its BMC to which its serial line leads."""
        return str(self.devices.folders.run / f"{name}.line")

    def uuid(self, name: str) -> str:
        return str(uuid.uuid5(uuid.UUID(self.record.mark), name))

    def serial(self, name: str) -> str:
        return f"{self.record.mark[:8].upper()}-{self.record.machines[name].outlet}"

    # -- faults --------------------------------------------------------------------------------------------------------
    def break_bmc(self, name: str, fault: str) -> None:
        """Raises NotFound with the machines that there are."""
        if name not in self.record.machines:
            there = ", ".join(self.record.machines)
            hint = f"there are {there}" if there else MACHINES_HINT
            raise NotFound(f"{name}: no such machine in lab {self.record.name}", hint)
        asked = faults.request(faults.BMC, fault, {"password": self.devices.password("bmc")})
        redfish = asked.pop("redfish", {})
        self.devices.ask("bmc", {"bmc": name} | asked)
        self.devices.ask("redfish", {"bmc": name, "machine": redfish})

    def break_pdu(self, fault: str) -> None:
        self.devices.ask("pdu", faults.request(faults.PDU, fault, {}))

    # -- status --------------------------------------------------------------------------------------------------------
    def status(self) -> list[MachineStatus]:
        """The hosts among them, too."""
        if not self.record.machines:
            return []
        rack, pdu = self.devices.look("rack", {}), self.devices.look("pdu", {})
        return [
            MachineStatus(
                name=name,
                state=_power(rack["machines"][name]["on"]) if rack else "unknown",
                pid=rack["machines"][name]["pid"] if rack else None,
                ipmi=f"{self.devices.address}:{each.ipmi_port}",
                redfish=f"https://{self.devices.address}:{each.redfish_port}",
                faults=faults.health(faults.BMC, self._look_at_bmc(name)),
                outlet=_power(pdu["outlets"][str(each.outlet)]) if pdu else "unknown",
            )
            for name, each in self.record.machines.items()
        ]

    def pdu_status(self) -> dict[str, Any]:
        """The PDU as one of status's rows."""
        told = self.devices.look("pdu", {})
        return {
            "name": "pdu",
            "state": "up" if told else "off",
            "pid": self.devices.pid("pdu"),
            "address": f"{self.devices.address}:{self.record.pdu_port}",
            "faults": faults.health(faults.PDU, told),
        }

    # -- parts ---------------------------------------------------------------------------------------------------------
    def _look_at_bmc(self, name: str) -> dict[str, Any]:
        told, redfish = self.devices.look("bmc", {"bmc": name}), self.devices.look("redfish", {"bmc": name})
        return told | {"redfish": redfish} if told and redfish else {}


def _power(on: bool) -> Literal["on", "off"]:
    return "on" if on else "off"
