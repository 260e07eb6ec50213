"""Machines of a lab from the records to the device and back: domains that frames don't cross, power that others see."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import pytest

from tashi.lab.call import wait_until
from tashi.lab.lab import Lab, down
from tashi.lab.process import Process, marked
from tashi.lab.programs import program
from tests.lab.commands import WITHOUT, Shell
from tests.lab.conftest import MACHINES_LAB
from tests.lab.rack import Rack, read_until

pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(WITHOUT), reason=f"needs {WITHOUT}")]
MACHINES = ("m1", "m2", "m3", "m4")
RED, BLUE = 100, 200
Pairs = set[frozenset[str]]
ENTERS = re.compile(r"in_port=(\d+),.*load:(0x\w+)->NXM_NX_REG1")
LEAVES = re.compile(r"reg1=(0x\w+) actions=(.*)")


@pytest.fixture(scope="module")
def lab(machines_lab: Lab) -> Lab:
    Shell(MACHINES_LAB).run("tashi-lab", "start-zoni-agent")
    return machines_lab


@pytest.fixture
def rack(lab: Lab) -> Rack:
    return Rack(lab)


@pytest.fixture
def shell(lab: Lab) -> Shell:
    return Shell(MACHINES_LAB)


def together(*groups: str) -> Pairs:
    """The pairs of machines that are in one of these groups: "m1 m2"."""
    return {frozenset(pair) for group in groups for pair in combinations(group.split(), 2)}


def reaches(lab: Lab) -> Pairs:
    """The pairs of machines of which one hears the other."""
    asked = {}
    for one in MACHINES:
        for number, other in enumerate(MACHINES, 1):
            if other != one:
                ping = ["ping", "-q", "-c", "2", "-i", "0.2", "-W", "0.3", f"192.168.77.{number}"]
                asked[one, other] = subprocess.Popen(lab.command(one, ping), stdout=subprocess.DEVNULL)
    return {frozenset(pair) for pair, ping in asked.items() if ping.wait(timeout=30) == 0}


def vlans(lab: Lab, port: int) -> frozenset[int]:
    """Where frames of a port of the switch go to and come from, as Open vSwitch has it; nowhere while it is closed."""
    words = ["ovs-ofctl", "-O", "OpenFlow14", "dump-flows", f"unix:{lab.switch.run}/br.mgmt"]
    flows = subprocess.run(words, capture_output=True, text=True, check=True, timeout=10).stdout
    enters = {int(vlan, 0) for number, vlan in ENTERS.findall(flows) if int(number) == port}
    leaves = {int(vlan, 0) for vlan, to in LEAVES.findall(flows) if re.search(rf"output:({port}|p{port})\b", to)}
    return frozenset(enters | leaves)


@contextmanager
def watched(lab: Lab, port: int) -> Iterator[set[frozenset[int]]]:
    """All that the port is seen to be in meanwhile, at one look after the other."""
    seen: set[frozenset[int]] = set()
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            seen.add(vlans(lab, port))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def told(shell: Shell, what: str) -> str:
    """What the record of h1's machine says of its power."""
    return shell.run("zoni-show", "h1", "-H", "-o", f"power_{what}").stdout.strip()


def test_they_are_in_the_records(shell: Shell) -> None:
    assert shell.run("zoni-list", "-H", "-o", "name,host").stdout == "m1\t\nm2\t\nm3\t\nm4\t\nh1\th1\n"
    assert shell.run("zoni-agents", "list", "-H", "-o", "name,health,machines").stdout == "zoni-agent\tup\t5\n"
    assert shell.run("zoni-switch", "list", "-H", "-o", "name,used").stdout == "switch\tp1,p2,p3,p4\n"


def test_a_console_shows_it_boot(shell: Shell, rack: Rack) -> None:
    """Over its BMC and its agent's stream port; what ipmitool would see."""
    assert rack.state("m1") == "off"
    console = subprocess.Popen(
        [*program("zoni-console"), "m1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=shell.environment,
        bufsize=0,
    )
    assert console.stdin is not None and console.stdout is not None
    running = ("tjob-list", "-H", "-o", "name,phase", "verb=machine.console", "state=running")
    wait_until(lambda: shell.run(*running).stdout == "m1\topen\n", "its console is open", seconds=20)
    shell.run("zoni-power", "on", "-q", "m1")
    shown = read_until(console.stdout.fileno(), b"machine is up\r\n")
    assert b"SeaBIOS" in shown
    console.stdin.write(b"hello")
    read_until(console.stdout.fileno(), b"hello")
    assert "already active" in rack.try_ipmi("m1", "sol", "activate").stderr
    rack.machines.break_bmc("m1", "silent")
    assert console.wait(30) == 75
    rack.machines.break_bmc("m1", "ok")
    console.stdin.close()
    console.stdout.close()
    rack.ipmi("m1", "power", "off")


def test_its_agent_dies_and_is_started_again(shell: Shell, rack: Rack) -> None:
    shell.run("tashi-lab", "kill-zoni-agent")
    assert shell.status()["zoni-agent"]["state"] == "off"
    shell.run("tashi-lab", "start-zoni-agent")
    assert shell.status()["zoni-agent"]["state"] == "up"
    shell.run("zoni-power", "on", "-q", "m2")
    status = shell.run("zoni-power", "status", "-H", "-o", "name,power", "m1", "m2").stdout
    assert sorted(status.splitlines()) == ["m1\toff", "m2\ton"]
    assert [rack.ipmi(name, "power", "status") for name in ("m1", "m2")] == ["off", "on"]
    shell.run("zoni-power", "off", "-q", "m2")
    assert rack.state("m2") == "off"


# sends one LLDP frame by eth0, whose chassis and port are its MAC address (IEEE 802.1AB, 8.5)
SPEAK = """
import socket
line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
line.bind(("eth0", 0x88CC))
mac = line.getsockname()[4]
frame = f"0180c200000e{mac.hex()}88cc 020704{mac.hex()} 040703{mac.hex()} 06020078 0000"
line.send(bytes.fromhex(frame).ljust(60))
"""


def test_a_switch_tells_where_machines_are_plugged_in(lab: Lab, shell: Shell, tmp_path: Path) -> None:
    shell.run("zoni-power", "on", "-q", "m1", "m2")
    subprocess.run(lab.command("m1", ["ping", "-q", "-c", "1", "-W", "2", "192.168.77.2"]), check=True)
    subprocess.run(lab.command("m2", [sys.executable, "-c", SPEAK]), check=True)
    shell.run("zoni-set", "-q", "m1", "--port", "none")
    shell.run("zoni-set", "-q", "m2", "--port", "switch:p1")
    found = tmp_path / "found"

    def heard() -> bool:
        found.write_text(shell.run("zoni-discover", "m1", "m2").stdout)
        lines = [line.split()[:6] for line in found.read_text().splitlines()[1:]]
        return [line[2:] for line in lines] == [
            ["contradicts", "switch:p1", "-", "mac"], ["contradicts", "switch:p2", "switch:p1", "lldp,mac"],
        ]  # fmt: skip

    wait_until(heard, "both are heard, m2 by LLDP, too", seconds=10)
    shell.run("zoni-discover", "-q", "--apply", str(found))
    assert shell.run("zoni-list", "-H", "-o", "ports", "m1", "m2").stdout == "switch:p1,nic=eth0\nswitch:p2,nic=eth0\n"
    shell.run("zoni-power", "off", "-q", "m1", "m2")


def test_pings_arrive_inside_and_never_across(lab: Lab, shell: Shell, rack: Rack) -> None:
    shell.run("zoni-domain", "create", "-q", "red", "--vlan", str(RED))
    shell.run("zoni-domain", "create", "-q", "blue", "--vlan", str(BLUE))
    shell.run("zoni-reserve", "-q", *MACHINES, "--until", "1h")
    shell.run("zoni-allocate", "-q", "--domain", "red", "m1", "m2")
    shell.run("zoni-allocate", "-q", "--domain", "blue", "m3", "m4")
    assert [rack.state(name) for name in MACHINES] == ["on"] * 4
    apart = together("m1 m2", "m3 m4")
    assert reaches(lab) == apart

    shell.run("tashi-lab", "restart-switch")

    def again() -> bool:
        found = reaches(lab)
        assert found <= apart
        return found == apart

    wait_until(again, "it comes back as it was", seconds=10)


@pytest.mark.fault(41)
def test_the_controller_is_killed_in_the_middle_of_a_move(lab: Lab, shell: Shell) -> None:
    """Its port is in one VLAN at each look, or in none; and in the end the move is done."""
    assert vlans(lab, 2) == {RED}
    controller = shell.status()["controller"]["pid"]
    with watched(lab, 2) as seen:
        lab.switch.break_("slow")
        (job,) = shell.run("zoni-allocate", "--submit", "--domain", "blue", "m2").stdout.split()
        wait_until(lambda: frozenset() in seen, "the port is closed", seconds=30)
        os.kill(controller, 9)
        wait_until(lambda: Process.of(controller) is None, "it is dead")
        assert vlans(lab, 2) == set(), "what it was about to order is not done without it"
        lab.switch.break_("ok")
        shell.run("tashi-lab", "start-controller")
        shell.run("tjob-wait", "-q", "--timeout", "60", job)
    assert seen == {frozenset({RED}), frozenset(), frozenset({BLUE})}
    assert shell.run("zoni-list", "-H", "-o", "name,power", "domain=blue").stdout == "m2\ton\nm3\ton\nm4\ton\n"
    assert reaches(lab) == together("m2 m3 m4")


@pytest.mark.fault(37)
def test_that_a_host_is_off_is_proof_once_nobody_says_otherwise(shell: Shell) -> None:
    status = ("status", "h1", "-H", "-o", "power")
    shell.run("tashi-lab", "bmc", "says-off", "h1")
    shell.run("zoni-power", *status, check=False)
    wait_until(lambda: "the agent of h1 is heard" in told(shell, "contradiction"), "it is not believed")
    assert told(shell, "evidence") == ""
    shell.run("tashi-lab", "bmc", "ok", "h1")
    wait_until(lambda: shell.run("zoni-power", *status).stdout == "on\n", "it is believed again")

    shell.run("zoni-power", "off", "-q", "--force", "h1")
    assert shell.status()["h1"]["state"] == "off"
    shell.wait_host("h1", "unknown")
    shell.run("zoni-power", *status)
    wait_until(lambda: "by ipmi" in told(shell, "evidence"), "that is proof", seconds=30)
    shell.run("zoni-power", "on", "-q", "h1")
    shell.wait_host("h1", "up")
    assert told(shell, "evidence") == ""


def test_they_end_with_their_rack_and_the_lab_is_taken_down_all_the_same(lab: Lab) -> None:
    rack = Rack(lab)
    pid = rack.pid("m1")
    os.kill(lab.record.devices["rack"].pid, 9)
    wait_until(lambda: Process.of(pid) is None, "m1 ends", seconds=5)
    assert rack.state("m1") == "unknown"
    assert down(MACHINES_LAB)
    assert marked(lab.record.mark) == []
    assert not lab.folders.data.exists()
