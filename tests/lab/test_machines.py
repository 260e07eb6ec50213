"""Physical machines of a lab: QEMU processes that BMCs and a PDU switch by their real protocols, and fail to."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tashi.lab.call import wait_until
from tashi.lab.faults import SLOW_SECONDS
from tashi.lab.lab import Lab, down
from tashi.lab.machines import MachineStatus
from tashi.lab.process import Process, marked
from tests.lab.commands import WITHOUT

NAME = "test-machines"
pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(WITHOUT), reason=f"needs {WITHOUT}")]
OUTLET = "1.3.6.1.4.1.318.1.1.12.3.3.1.1.4.{}"  # PowerNet-MIB, rPDUOutletControlOutletCommand


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    down(NAME)
    try:
        yield Lab.up(NAME, 1, "libvirt", machines=2, bare=True)
    finally:
        down(NAME)


@pytest.fixture
def rack(lab: Lab) -> Iterator[Rack]:
    """The machines; whatever a test does to them, the next one finds them whole and off."""
    rack = Rack(lab)
    yield rack
    rack.machines.break_pdu("ok")
    for name in ("m1", "m2"):
        rack.machines.break_bmc(name, "ok")
        if rack.status(name).outlet == "off":
            rack.snmp("snmpset", lab.record.machines[name].outlet, "i", "1")
        if rack.state(name) == "on":
            rack.ipmi(name, "power", "off")
            assert rack.state(name) == "off"


class Rack:
    """What the lab and people's own tools see of the machines."""

    def __init__(self, lab: Lab) -> None:
        self._lab, self.machines = lab, lab.machines
        self._passwords = lab.folders.data / "machines/passwords"

    def status(self, name: str) -> MachineStatus:
        return next(each for each in self.machines.status() if each.name == name)

    def state(self, name: str) -> str:
        return self.status(name).state

    def pid(self, name: str) -> int:
        pid = self.status(name).pid
        assert pid is not None, f"{name} does not run"
        return pid

    def try_ipmi(self, name: str, *words: str, seconds: int = 5) -> subprocess.CompletedProcess[str]:
        address, _, port = self.status(name).ipmi.partition(":")
        login = ["-U", "admin", "-f", str(self._passwords / "bmc")]
        argv = ["ipmitool", "-I", "lanplus", "-C", "3", "-H", address, "-p", port, *login]
        return subprocess.run(
            [*argv, "-R", "1", "-N", str(seconds), *words], capture_output=True, text=True, timeout=60, check=False
        )

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

    def snmp(self, tool: str, outlet: int, *value: str, seconds: int = 5) -> subprocess.CompletedProcess[str]:
        auth, privacy = ((self._passwords / name).read_text().strip() for name in ("pdu-auth", "pdu-privacy"))
        user = ["-v3", "-u", "zoni", "-l", "authPriv", "-a", "SHA-256", "-A", auth, "-x", "AES", "-X", privacy]
        where = [self.machines.pdu_status()["address"], OUTLET.format(outlet)]
        argv = [tool, "-Oqv", *user, "-t", str(seconds), "-r", "0", *where, *value]
        environment = os.environ | {"MIBS": ""}
        return subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False, env=environment)


def test_a_bmc_switches_its_machine(rack: Rack) -> None:
    assert (rack.state("m1"), rack.ipmi("m1", "power", "status")) == ("off", "off")
    rack.ipmi("m1", "power", "on")
    assert (rack.state("m1"), rack.ipmi("m1", "power", "status")) == ("on", "on")
    first = rack.pid("m1")
    assert "qemu-system-x86_64" in Path(f"/proc/{first}/cmdline").read_text()
    assert rack.state("m2") == "off", "another machine"
    rack.ipmi("m1", "power", "reset")
    assert rack.pid("m1") == first
    rack.ipmi("m1", "power", "cycle")
    assert rack.pid("m1") != first
    second = rack.pid("m1")
    rack.ipmi("m1", "power", "off")
    assert (rack.state("m1"), rack.ipmi("m1", "power", "status")) == ("off", "off")
    assert Process.of(second) is None


def test_the_same_bmc_speaks_redfish(rack: Rack) -> None:
    assert rack.redfish("m1")["PowerState"] == "Off"
    rack.redfish("m1", {"ResetType": "On"})
    assert (rack.redfish("m1")["PowerState"], rack.ipmi("m1", "power", "status")) == ("On", "on")
    assert rack.redfish("m1")["UUID"] in Path(f"/proc/{rack.pid('m1')}/cmdline").read_text()
    rack.machines.break_bmc("m1", "says-off")
    assert rack.redfish("m1")["PowerState"] == "Off"
    rack.machines.break_bmc("m1", "wrong-password")
    with pytest.raises(urllib.error.HTTPError, match="401"):
        rack.redfish("m1")
    rack.machines.break_bmc("m1", "silent")
    with pytest.raises(TimeoutError):
        rack.redfish("m1", {"ResetType": "ForceOff"}, seconds=0.5)
    rack.machines.break_bmc("m1", "ok")
    assert rack.redfish("m1")["PowerState"] == "On", "it never heard of that"


def test_it_says_who_it_is_by_its_bmc_and_by_its_own_board(rack: Rack) -> None:
    rack.ipmi("m2", "power", "on")
    board = Path(f"/proc/{rack.pid('m2')}/cmdline").read_text()
    for words, label in ((("mc", "guid"), "System GUID"), (("fru", "print"), "Product Serial")):
        lines = rack.try_ipmi("m2", *words).stdout.splitlines()
        said = next(line.partition(":")[2].strip() for line in lines if line.strip().startswith(label))
        assert said in board


def test_it_costs_nothing_once_it_has_booted_and_answers_its_power_button(rack: Rack) -> None:
    rack.ipmi("m1", "power", "on")
    stat = Path(f"/proc/{rack.pid('m1')}/stat")

    def rests() -> bool:
        before = stat.read_text().split()[13:15]
        time.sleep(0.5)
        return stat.read_text().split()[13:15] == before

    wait_until(rests, "its firmware is done and it sleeps", seconds=20)
    rack.ipmi("m1", "power", "soft")
    wait_until(lambda: rack.ipmi("m1", "power", "status") == "off", "m1 goes off by itself", seconds=10)


def test_a_bmc_tells_of_a_machine_that_died(rack: Rack) -> None:
    rack.ipmi("m1", "power", "on")
    os.kill(rack.pid("m1"), 9)
    wait_until(lambda: rack.ipmi("m1", "power", "status") == "off", "its BMC says so", seconds=5)


def test_an_outlet_takes_the_power_of_a_machine_and_of_its_bmc(rack: Rack) -> None:
    for name in ("m1", "m2"):
        rack.ipmi(name, "power", "on")
    pid = rack.pid("m1")
    assert rack.snmp("snmpset", 1, "i", "2").stdout.strip() == "2"
    assert Process.of(pid) is None
    assert (rack.state("m1"), rack.state("m2")) == ("off", "on")
    assert rack.try_ipmi("m1", "power", "status", seconds=1).returncode != 0, "its BMC is dead, too"
    rack.snmp("snmpset", 1, "i", "1")
    assert rack.ipmi("m1", "power", "status") == "off", "nobody asked it to start"


def test_a_host_has_a_bmc_and_an_outlet_too(rack: Rack) -> None:
    assert (rack.state("h1"), rack.ipmi("h1", "power", "status")) == ("on", "on")
    rack.ipmi("h1", "power", "off")
    rack.wait("h1", "off")
    rack.ipmi("h1", "power", "on")
    rack.wait("h1", "on")
    rack.snmp("snmpset", 3, "i", "2")
    wait_until(lambda: rack.state("h1") == "off", "h1 has no power", seconds=10)
    rack.snmp("snmpset", 3, "i", "1")
    assert rack.ipmi("h1", "power", "status") == "off"


def test_a_bmc_fails_as_it_is_told_to_and_is_whole_again(rack: Rack) -> None:
    rack.ipmi("m1", "power", "on")
    rack.machines.break_bmc("m1", "says-off")
    assert (rack.ipmi("m1", "power", "status"), rack.state("m1")) == ("off", "on")
    for name in ("m1", "m2"):
        rack.machines.break_bmc(name, "says-on")
    assert (rack.ipmi("m2", "power", "status"), rack.state("m2")) == ("on", "off")
    for name in ("m1", "m2"):
        rack.machines.break_bmc(name, "ok")
    rack.machines.break_bmc("m1", "ignores")
    rack.ipmi("m1", "power", "off")
    assert (rack.ipmi("m1", "power", "status"), rack.state("m1")) == ("on", "on")
    rack.machines.break_bmc("m1", "slow")
    assert rack.status("m1").faults == "slow,ignores"
    asked = time.monotonic()
    assert rack.redfish("m1")["PowerState"] == "On"
    assert time.monotonic() - asked >= SLOW_SECONDS
    rack.machines.break_bmc("m1", "ok")
    rack.ipmi("m1", "power", "off")
    assert (rack.ipmi("m1", "power", "status"), rack.status("m1").faults) == ("off", "ok")


@pytest.mark.parametrize("fault", ["silent", "wrong-password", "drops-rakp"])
def test_a_bmc_lets_nobody_in(rack: Rack, fault: str) -> None:
    rack.machines.break_bmc("m1", fault)
    assert rack.status("m1").faults == fault
    assert rack.try_ipmi("m1", "power", "status", seconds=1).returncode != 0
    assert rack.ipmi("m2", "power", "status") == "off", "another machine's is as it was"
    rack.machines.break_bmc("m1", "ok")
    assert rack.ipmi("m1", "power", "status") == "off"


def test_a_pdu_fails_as_it_is_told_to_and_is_whole_again(rack: Rack) -> None:
    rack.ipmi("m1", "power", "on")
    rack.machines.break_pdu("ignores")
    rack.snmp("snmpset", 1, "i", "2")
    assert (rack.state("m1"), rack.snmp("snmpget", 1).stdout.strip()) == ("on", "1")
    rack.machines.break_pdu("read-only")
    assert "notWritable" in rack.snmp("snmpset", 1, "i", "2").stderr
    rack.machines.break_pdu("slow")
    assert rack.machines.pdu_status()["faults"] == "slow,ignores,read-only"
    asked = time.monotonic()
    assert rack.snmp("snmpget", 1).stdout.strip() == "1"
    assert time.monotonic() - asked > 0.9, "who it is and what it says, both late"
    rack.machines.break_pdu("silent")
    assert rack.snmp("snmpget", 1, seconds=1).returncode != 0
    rack.machines.break_pdu("ok")
    assert rack.snmp("snmpset", 1, "i", "2").stdout.strip() == "2"
    assert rack.state("m1") == "off"


def test_they_end_with_their_rack_and_the_lab_is_taken_down_all_the_same(lab: Lab) -> None:
    rack = Rack(lab)
    rack.ipmi("m1", "power", "on")
    pid = rack.pid("m1")
    os.kill(lab.record.devices["rack"].pid, 9)
    wait_until(lambda: Process.of(pid) is None, "m1 ends", seconds=5)
    assert rack.state("m1") == "unknown"
    assert down(NAME)
    assert marked(lab.record.mark) == []
    assert not lab.folders.data.exists()
