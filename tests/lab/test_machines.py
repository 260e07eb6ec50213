"""Physical machines of a lab: QEMU processes that BMCs and a PDU switch by their real protocols, and fail to."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from tashi.lab import faults
from tashi.lab.call import wait_until
from tashi.lab.faults import SLOW_SECONDS
from tashi.lab.lab import Lab
from tashi.lab.process import Process
from tashi.wire.errors import Refused
from tests.lab.commands import WITHOUT, Shell
from tests.lab.conftest import MACHINES_LAB
from tests.lab.rack import Rack, read_until

pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(WITHOUT), reason=f"needs {WITHOUT}")]


@pytest.fixture(scope="module")
def lab(machines_lab: Lab) -> Lab:
    """Nobody but the tests speaks to its devices."""
    Shell(MACHINES_LAB).run("tashi-lab", "stop-zoni-agent")
    return machines_lab


@pytest.fixture
def rack(lab: Lab) -> Iterator[Rack]:
    """The machines; whatever a test does to them, the next one finds them whole and off."""
    rack = Rack(lab)
    yield rack
    rack.machines.break_pdu("ok")
    for name in ("m1", "m2"):
        rack.machines.break_bmc(name, "ok")
        if rack.status(name).outlet == "off":
            rack.outlet("snmpset", lab.record.machines[name].outlet, "i", "1")
        if rack.state(name) == "on":
            rack.ipmi(name, "power", "off")
            assert rack.state(name) == "off"


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
    assert rack.outlet("snmpset", 1, "i", "2").stdout.strip() == "2"
    assert Process.of(pid) is None
    assert (rack.state("m1"), rack.state("m2")) == ("off", "on")
    assert rack.try_ipmi("m1", "power", "status", seconds=1).returncode != 0, "its BMC is dead, too"
    rack.outlet("snmpset", 1, "i", "1")
    assert rack.ipmi("m1", "power", "status") == "off", "nobody asked it to start"


def test_a_host_has_an_outlet_and_a_bmc_too(lab: Lab, rack: Rack) -> None:
    assert (rack.state("h1"), rack.ipmi("h1", "power", "status")) == ("on", "on")
    rack.outlet("snmpset", lab.record.machines["h1"].outlet, "i", "2")
    wait_until(lambda: rack.state("h1") == "off", "h1 has no power", seconds=10)
    rack.outlet("snmpset", lab.record.machines["h1"].outlet, "i", "1")
    assert rack.ipmi("h1", "power", "status") == "off"
    rack.ipmi("h1", "power", "on")
    rack.wait("h1", "on")


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


@pytest.mark.parametrize("fault", ["silent", "wrong-password"])
def test_a_bmc_lets_nobody_in(rack: Rack, fault: str) -> None:
    rack.machines.break_bmc("m1", fault)
    assert rack.status("m1").faults == fault
    assert rack.try_ipmi("m1", "power", "status", seconds=1).returncode != 0
    assert rack.ipmi("m2", "power", "status") == "off", "another machine's is as it was"
    rack.machines.break_bmc("m1", "ok")
    assert rack.ipmi("m1", "power", "status") == "off"


def test_its_serial_line_is_had_from_its_bmc(rack: Rack) -> None:
    """ipmitool sees it boot, from the firmware's words on, types, and is answered; and is alone."""
    with rack.console("m1") as terminal:
        read_until(terminal, b"SOL Session operational")
        rack.ipmi("m1", "power", "on")
        shown = read_until(terminal, b"machine is up\r\n")
        assert b"SeaBIOS" in shown and rack.redfish("m1")["UUID"].encode() in shown
        os.write(terminal, b"hello")
        read_until(terminal, b"hello")
        assert "already active" in rack.try_ipmi("m1", "sol", "activate").stderr
        rack.ipmi("m1", "power", "reset")
        read_until(terminal, b"machine is up\r\n")
    rack.machines.break_bmc("m1", "sol-off")
    assert "disabled" in rack.try_ipmi("m1", "sol", "activate").stderr
    rack.machines.break_bmc("m1", "sol-taken")
    rack.machines.break_bmc("m1", "ok")
    assert rack.status("m1").faults == "ok"


def test_status_tells_every_fault_until_all_is_well_again(rack: Rack) -> None:
    for word in faults.BMC:
        rack.machines.break_bmc("m2", word)
        assert rack.status("m2").faults == word
        rack.machines.break_bmc("m2", "ok")
    assert rack.status("m2").faults == "ok"
    assert rack.ipmi("m2", "power", "status") == "off"


def test_a_pdu_fails_as_it_is_told_to_and_is_whole_again(rack: Rack) -> None:
    rack.ipmi("m1", "power", "on")
    rack.machines.break_pdu("ignores")
    rack.outlet("snmpset", 1, "i", "2")
    assert (rack.state("m1"), rack.outlet("snmpget", 1).stdout.strip()) == ("on", "1")
    rack.machines.break_pdu("read-only")
    assert "notWritable" in rack.outlet("snmpset", 1, "i", "2").stderr
    rack.machines.break_pdu("slow")
    assert rack.machines.pdu_status()["faults"] == "slow,ignores,read-only"
    asked = time.monotonic()
    assert rack.outlet("snmpget", 1).stdout.strip() == "1"
    assert time.monotonic() - asked > 0.9, "who it is and what it says, both late"
    rack.machines.break_pdu("silent")
    assert rack.outlet("snmpget", 1, seconds=1).returncode != 0
    rack.machines.break_pdu("ok")
    assert rack.outlet("snmpset", 1, "i", "2").stdout.strip() == "2"
    assert rack.state("m1") == "off"


def test_machines_reach_one_another_where_the_switch_lets_them(lab: Lab, rack: Rack) -> None:
    def ping(source: str, number: int) -> bool:
        argv = lab.command(source, ["ping", "-c1", "-W0.3", f"192.168.77.{number}"])
        return subprocess.run(argv, capture_output=True, timeout=20, check=False).returncode == 0

    with pytest.raises(Refused, match="m1: is off"):
        lab.command("m1", ["true"])
    rack.ipmi("m1", "power", "on")
    assert not ping("m1", 2), "m2 is off"
    rack.ipmi("m2", "power", "on")
    wait_until(lambda: ping("m1", 2), "m1 reaches m2", seconds=10)
    row, native = "1.3.6.1.2.1.17.7.1.4.3.1.{}.100", "1.3.6.1.2.1.17.7.1.4.5.1.1.2"  # Q-BRIDGE-MIB
    told = [row.format(5), "i", "4", row.format(2), "x", "40", row.format(4), "x", "40", native, "u", "100"]
    assert rack.snmp("snmpset", lab.switch.status()["address"], *told).returncode == 0
    assert not ping("m1", 2) and not ping("m2", 1), "m2 is in another VLAN"
    lab.switch.break_("silent")
    assert lab.switch.status()["faults"] == "silent"
    assert rack.snmp("snmpget", lab.switch.status()["address"], native, seconds=1).returncode != 0
    lab.switch.break_("ok")
    lab.devices.ask("switch", {"restart": 0.0})
    wait_until(lambda: ping("m1", 2), "the VLAN was not saved", seconds=10)
    os.kill(rack.pid("m2"), 9)
    wait_until(lambda: not ping("m1", 2), "who is dead is silent", seconds=10)
