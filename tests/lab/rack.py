"""A lab's machines as the lab and people's own tools see them: ipmitool, net-snmp, Redfish by hand."""

from __future__ import annotations

import json
import os
import pty
import select
import ssl
import subprocess
import time
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tashi.lab.call import wait_until
from tashi.lab.lab import Lab
from tashi.lab.machines import MachineStatus

OUTLET = "1.3.6.1.4.1.318.1.1.12.3.3.1.1.4.{}"  # PowerNet-MIB, rPDUOutletControlOutletCommand


class Rack:
    def __init__(self, lab: Lab) -> None:
        self._lab, self.machines = lab, lab.machines
        self._passwords = lab.devices.passwords

    def status(self, name: str) -> MachineStatus:
        return next(each for each in self.machines.status() if each.name == name)

    def state(self, name: str) -> str:
        return self.status(name).state

    def pid(self, name: str) -> int:
        pid = self.status(name).pid
        assert pid is not None, f"{name} does not run"
        return pid

    def _ipmitool(self, name: str) -> list[str]:
        address, _, port = self.status(name).ipmi.partition(":")
        login = ["-U", "admin", "-f", str(self._passwords / "bmc")]
        return ["ipmitool", "-I", "lanplus", "-C", "3", "-H", address, "-p", port, *login]

    def try_ipmi(self, name: str, *words: str, seconds: int = 5) -> subprocess.CompletedProcess[str]:
        argv = self._ipmitool(name)
        return subprocess.run(
            [*argv, "-R", "1", "-N", str(seconds), *words], capture_output=True, text=True, timeout=60, check=False
        )

    @contextmanager
    def console(self, name: str) -> Iterator[int]:
        """ipmitool at the serial line of a machine: the terminal that it has."""
        ours, theirs = pty.openpty()
        argv = [*self._ipmitool(name), "sol", "activate"]
        process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=theirs)
        os.close(theirs)
        try:
            yield ours
        finally:
            os.write(ours, b"\r~.")
            assert process.wait(20) == 0
            os.close(ours)

    def ipmi(self, name: str, *words: str) -> str:
        done = self.try_ipmi(name, *words)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip().rpartition(" ")[2]

    def redfish(self, name: str, press: dict[str, str] | None = None, seconds: float = 5.0) -> dict[str, Any]:
        """The system that it tells of, after its reset action where ``press`` says what."""
        system = f"{self.status(name).redfish}/redfish/v1/Systems/1"
        word = b64encode(b"admin:" + (self._passwords / "bmc").read_bytes().strip()).decode()
        path = f"{system}/Actions/ComputerSystem.Reset" if press else system
        data = json.dumps(press).encode() if press else None
        request = urllib.request.Request(path, data, {"Authorization": f"Basic {word}"})
        trust = ssl.create_default_context(cafile=self.machines.certificate)
        with urllib.request.urlopen(request, timeout=seconds, context=trust) as answer:
            found: dict[str, Any] = json.loads(answer.read() or b"{}")
        return found

    def wait(self, name: str, power: str) -> None:
        """Until its BMC says so, as does the lab."""
        wait_until(lambda: self.ipmi(name, "power", "status") == power, f"{name} is {power}", seconds=10)
        assert self.state(name) == power

    def snmp(self, tool: str, where: str, *words: str, seconds: int = 5) -> subprocess.CompletedProcess[str]:
        """net-snmp's tool, asked of the device that listens there, with OIDs and values."""
        auth, privacy = ((self._passwords / name).read_text().strip() for name in ("snmp-auth", "snmp-privacy"))
        user = ["-v3", "-u", "zoni", "-l", "authPriv", "-a", "SHA-256", "-A", auth, "-x", "AES", "-X", privacy]
        argv = [tool, "-Oqv", *user, "-t", str(seconds), "-r", "0", where, *words]
        environment = os.environ | {"MIBS": ""}
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment)

    def outlet(self, tool: str, number: int, *value: str, seconds: int = 5) -> subprocess.CompletedProcess[str]:
        return self.snmp(tool, self.machines.pdu_status()["address"], OUTLET.format(number), *value, seconds=seconds)


def read_until(terminal: int, text: bytes, seconds: float = 20.0) -> bytes:
    """What a terminal, or a pipe, shows until that is there."""
    shown, end = b"", time.monotonic() + seconds
    while text not in shown:
        assert time.monotonic() < end, f"no {text!r} in {seconds} s: {shown!r}"
        if select.select([terminal], [], [], 0.1)[0]:
            shown += os.read(terminal, 4096)
    return shown
