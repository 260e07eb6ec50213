"""The lab's physical machines, hosts and others: a rack of them, their BMCs, and the PDU that feeds them.

Each device is a process of its own and speaks its real protocol: IPMI, SNMP. Nobody but the rack (peers/rack.py) knows
what a machine is made of; what is so of it is what the rack sees. When the lab is made, machines that are no hosts are
off, and all outlets on.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import uuid
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec

from tashi.lab import control, faults
from tashi.lab.call import call, wait_until
from tashi.lab.guests import build
from tashi.lab.process import spawn, tail
from tashi.lab.programs import surroundings
from tashi.lab.record import Folders, Record
from tashi.wire.errors import Code, NotFound, Refused, Unavailable

MACHINES_MAX = 48
READY_SECONDS = 20.0
BMC_USER, PDU_USER = "admin", "zoni"
# Files in the lab's folder of secrets, one word each, as `ipmitool -f` wants them.
PASSWORDS = ("bmc", "pdu-auth", "pdu-privacy")


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
    """``address``: where the devices listen."""

    def __init__(self, folders: Folders, record: Record, address: str) -> None:
        self.folders, self.record, self.address = folders, record, address
        self.folder = folders.data / "machines"
        self.passwords = self.folder / "passwords"
        self.certificate = self.folder / "bmc.crt"

    # -- making --------------------------------------------------------------------------------------------------------
    def start(self) -> None:
        """Start rack, BMCs and PDU, all at once; `wait` says when they are there."""
        self.passwords.mkdir(parents=True, mode=0o700)
        for name in PASSWORDS:
            _write(self.passwords / name, secrets.token_hex(8))
        if self.record.kind == "libvirt":
            shutil.copy(build.built() / build.METAL, self.folder)
        plans = {
            "rack": self._rack_plan(),
            "bmc": {"bmcs": self._bmcs("ipmi_port")},
            "redfish": {"bmcs": self._bmcs("redfish_port"), "certificate": str(self._certify())},
            "pdu": self._pdu_plan(),
        }
        for name, plan in plans.items():
            file = self.folder / f"{name}.json"
            _write(file, json.dumps({"control": self._socket(name), "address": self.address} | plan, indent=1))
            argv = [sys.executable, "-m", f"tashi.lab.peers.{name}", str(file)]
            self.record.devices[name] = spawn(argv, self._log(name), surroundings(self.record.mark))
            self.folders.save(self.record)

    def wait(self) -> None:
        """Until all devices answer. Raises Unavailable with the end of a log."""
        for name in self.record.devices:
            wait_until(partial(self._ready, name), f"the {name} answers", seconds=READY_SECONDS)

    def _ready(self, name: str) -> bool:
        if not self.record.devices[name].alive():
            raise Unavailable(f"the {name} ended at once", tail(self._log(name)))
        return Path(self._socket(name)).exists()

    def _rack_plan(self) -> dict[str, Any]:
        return {
            "machines": {
                name: {"outlets": [str(each.outlet)]} | self._made_of(name)
                for name, each in self.record.machines.items()
            }
        }

    def _bmcs(self, port: Literal["ipmi_port", "redfish_port"]) -> dict[str, Any]:
        shared = {"user": BMC_USER, "password": self._password("bmc"), "rack": self._socket("rack")}
        return {
            name: {"name": name, "port": getattr(each, port), "uuid": self.uuid(name), "serial": self.serial(name)}
            | shared
            for name, each in self.record.machines.items()
        }

    def _certify(self) -> Path:
        """Make the certificate that all BMCs show; a file with its key, too."""
        whole, key = self.folder / "bmc.pem", self.folder / "bmc.key"
        words = [
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-subj",
            "/CN=bmc",
        ]
        names = ["-addext", f"subjectAltName=IP:{self.address}", "-days", "3650"]
        call(["openssl", *words, *names, "-keyout", str(key), "-out", str(self.certificate)])
        _write(whole, key.read_text() + self.certificate.read_text())
        return whole

    def _pdu_plan(self) -> dict[str, Any]:
        access = {"user": PDU_USER} | {
            f"{kind}_password": self._password(f"pdu-{kind}") for kind in ("auth", "privacy")
        }
        outlets = {str(each.outlet): True for each in self.record.machines.values()}
        return {
            "port": self.record.pdu_port,
            "pdu": {"outlets": outlets, "rack": self._socket("rack")} | access,
        }

    def _made_of(self, name: str) -> dict[str, Any]:
        """What the rack is told of a machine."""
        if name in self.record.hosts:
            return {"kind": "host", "lab": self.record.name}
        return {"kind": "record"} if self.record.kind == "fake" else {"kind": "qemu", "argv": self._qemu(name)}

    def _qemu(self, name: str) -> list[str]:
        """It costs no processor time once it has booted."""
        disk = f"file={self.folder / build.METAL},format=raw,if=virtio,readonly=on"
        board = ["-machine", "pc", "-accel", "tcg,tb-size=1", "-m", "4", "-nodefaults", "-no-user-config"]
        screen = ["-display", "none", "-vga", "none", "-qmp", "stdio"]
        identity = ["-name", name, "-uuid", self.uuid(name), "-smbios", f"type=1,serial={self.serial(name)}"]
        return ["qemu-system-x86_64", *board, *screen, *identity, "-drive", disk]

    def uuid(self, name: str) -> str:
        return str(uuid.uuid5(uuid.UUID(self.record.mark), name))

    def serial(self, name: str) -> str:
        return f"{self.record.mark[:8].upper()}-{self.record.machines[name].outlet}"

    # -- faults --------------------------------------------------------------------------------------------------------
    def break_bmc(self, name: str, fault: str) -> None:
        """Raises NotFound with the machines that there are."""
        if name not in self.record.machines:
            there = ", ".join(self.record.machines)
            hint = f"there are {there}" if there else "tashi-lab up --machines N makes some"
            raise NotFound(f"{name}: no such machine in lab {self.record.name}", hint)
        asked = faults.request(faults.BMC, fault, {"password": self._password("bmc")})
        redfish = asked.pop("redfish", {})
        self._ask("bmc", {"bmc": name} | asked)
        self._ask("redfish", {"bmc": name, "machine": redfish})

    def break_pdu(self, fault: str) -> None:
        if not self.record.machines:
            raise Refused(
                Code.WRONG_STATE, f"lab {self.record.name}: has no machines and no PDU", "tashi-lab up --machines N"
            )
        self._ask("pdu", faults.request(faults.PDU, fault, {}))

    # -- status --------------------------------------------------------------------------------------------------------
    def status(self) -> list[MachineStatus]:
        """The hosts among them, too."""
        if not self.record.machines:
            return []
        rack, pdu = self._look("rack", {}), self._look("pdu", {})
        return [
            MachineStatus(
                name=name,
                state=_power(rack["machines"][name]["on"]) if rack else "unknown",
                pid=rack["machines"][name]["pid"] if rack else None,
                ipmi=f"{self.address}:{each.ipmi_port}",
                redfish=f"https://{self.address}:{each.redfish_port}",
                faults=_health(faults.BMC, self._look_at_bmc(name)),
                outlet=_power(pdu["outlets"][str(each.outlet)]) if pdu else "unknown",
            )
            for name, each in self.record.machines.items()
        ]

    def pdu_status(self) -> dict[str, Any]:
        """The PDU as one of status's rows."""
        process, told = self.record.devices.get("pdu"), self._look("pdu", {})
        return {
            "name": "pdu",
            "state": "up" if told else "off",
            "pid": process.pid if process is not None and told else None,
            "address": f"{self.address}:{self.record.pdu_port}",
            "faults": _health(faults.PDU, told),
        }

    # -- parts ---------------------------------------------------------------------------------------------------------
    def _look(self, device: str, request: dict[str, Any]) -> dict[str, Any]:
        """What a device says of itself; nothing when it is gone."""
        try:
            return control.ask(self._socket(device), request)
        except (OSError, ValueError):
            return {}

    def _look_at_bmc(self, name: str) -> dict[str, Any]:
        told, redfish = self._look("bmc", {"bmc": name}), self._look("redfish", {"bmc": name})
        return told | {"redfish": redfish} if told and redfish else {}

    def _ask(self, device: str, request: dict[str, Any]) -> None:
        try:
            control.ask(self._socket(device), request)
        except (OSError, ValueError) as error:
            raise Unavailable(f"the {device} of lab {self.record.name} does not answer: {error}") from error

    def _socket(self, device: str) -> str:
        return str(self.folders.run / f"{device}.sock")

    def _log(self, device: str) -> Path:
        return self.folder / f"{device}.log"

    def _password(self, name: str) -> str:
        return (self.passwords / name).read_text().strip()


def _write(file: Path, text: str) -> None:
    """For the lab's own user alone: most of these hold passwords."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as stream:
        stream.write(text + "\n")


def _power(on: bool) -> Literal["on", "off"]:
    return "on" if on else "off"


def _health(table: faults.Table, told: dict[str, Any]) -> str:
    return ",".join(faults.present(table, told)) or faults.OK if told else "gone"
