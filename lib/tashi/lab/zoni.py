"""The lab's zoni agent, and its machines in the controller's records: both made as an administrator makes them."""

from __future__ import annotations

import csv
import json
import signal
import uuid

import tomli_w

from tashi.lab.call import call, wait_until
from tashi.lab.controller import Controller
from tashi.lab.devices import SNMP_USER, Devices
from tashi.lab.machines import BMC_USER, Machines, MachineStatus
from tashi.lab.process import spawn, tail
from tashi.lab.programs import program, surroundings
from tashi.lab.record import Record
from tashi.lab.switch import NIC, Switch
from tashi.wire.errors import Unavailable

# Their names in the controller's records; the agent has it as a device of the lab, too.
AGENT, PDU, SWITCH = "zoni-agent", "pdu", "switch"
COLUMNS = ("name", "location", "uuid", "serial", "vendor", "host", "nics", "ports", "power")
READY_SECONDS = 20.0


class Zoni:
    def __init__(self, devices: Devices, record: Record, controller: Controller) -> None:
        self.devices, self.record, self.controller = devices, record, controller
        self.folder = devices.folders.data / "zoni"
        self.config = self.folder / "tashi.toml"
        self.log = self.folder / "agent.log"

    # -- the records ---------------------------------------------------------------------------------------------------
    def enlist(self, machines: Machines, switch: Switch) -> None:
        """Add PDU, switch and, from a file that stays for people to look at, the machines."""
        pdu, other = machines.pdu_status()["address"], switch.status()["address"]
        self._add_device("zoni-pdu", PDU, pdu, "--model", "apc-rpdu", "--outlets", str(len(self.record.machines)))
        self._add_device("zoni-switch", SWITCH, other, "--model", "lab")
        file = self.devices.folder / "machines.csv"
        with file.open("w", newline="") as stream:
            rows = csv.DictWriter(stream, COLUMNS)
            rows.writeheader()
            rows.writerows(self._row(each, machines, switch) for each in machines.status())
        password = str(self.devices.passwords / "bmc")
        self._run("zoni-import", "-q", "--user", BMC_USER, "--password-file", password, str(file))

    def _add_device(self, command: str, name: str, where: str, *more: str) -> None:
        address, _, port = where.rpartition(":")
        files = {kind: str(self.devices.passwords / f"snmp-{kind}") for kind in ("auth", "privacy")}
        login = ["--user", SNMP_USER, "--auth-file", files["auth"], "--privacy-file", files["privacy"]]
        self._run(command, "add", "-q", name, "--address", address, "--udp-port", port, *login, *more)

    def _row(self, machine: MachineStatus, machines: Machines, switch: Switch) -> dict[str, str]:
        name, outlet = machine.name, self.record.machines[machine.name].outlet
        address, _, port = machine.ipmi.rpartition(":")
        redfish = f"redfish:{machine.redfish},trust={machines.certificate}"
        return {
            "name": name,
            "location": f"r1/{outlet}",
            "uuid": machines.uuid(name),
            "serial": machines.serial(name),
            "vendor": "Lab",
            "host": name if name in self.record.hosts else "",
            "nics": f"{NIC}={switch.mac(name)}" if name in switch.ports else "",
            "ports": f"{SWITCH}:p{switch.ports[name]}" if name in switch.ports else "",
            "power": f"ipmi:{address},port={port} {redfish} pdu:{PDU}:{outlet}",
        }

    # -- the agent -----------------------------------------------------------------------------------------------------
    def enroll(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "machine-id").write_text(uuid.uuid4().hex + "\n")
        stream = f"tcp://{self.devices.address}:{self.record.stream_port}"
        own = {"state": str(self.folder / "agent"), "stream": stream} | self.record.settings.get("zoni", {})
        self.config.write_text(tomli_w.dumps({"zoni": own}))
        document = json.loads(self._run("zoni-agents", "add", "-j", AGENT))["enrolment"]
        argv = [*program(AGENT), "--config", str(self.config), "--enroll", "-"]
        call(argv, text=tomli_w.dumps(document), environment=self._environment())

    def start(self) -> None:
        """Start it and wait until the controller has heard of it; running already is success."""
        if self.pid() is None:
            argv = [*program(AGENT), "--config", str(self.config)]
            self.record.devices[AGENT] = spawn(argv, self.log, self._environment())
            self.devices.folders.save(self.record)
        wait_until(self._is_up, "the zoni agent is up", seconds=READY_SECONDS, log=self.log)

    def stop(self, number: signal.Signals) -> None:
        """Ended already is success."""
        process = self.record.devices.pop(AGENT, None)
        if process is not None:
            process.end(number)
        self.devices.folders.save(self.record)

    def pid(self) -> int | None:
        process = self.record.devices.get(AGENT)
        return process.pid if process is not None and process.alive() else None

    def _is_up(self) -> bool:
        if self.pid() is None:
            raise Unavailable("the zoni agent ended at once", tail(self.log))
        return any(each["health"] == "up" for each in self.controller.rows("zoniagent"))

    # -- parts ---------------------------------------------------------------------------------------------------------
    def _run(self, *words: str) -> str:
        environment = surroundings(self.record.mark) | {"TASHI_CONFIG": str(self.controller.config)}
        return call([*program(words[0]), *words[1:]], environment=environment)

    def _environment(self) -> dict[str, str]:
        return surroundings(self.record.mark) | {"TASHI_MACHINE_ID_FILE": str(self.folder / "machine-id")}
