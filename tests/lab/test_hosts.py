"""Hosts made of namespaces: each is a machine of its own, can be broken on purpose, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tashi.lab import libvirtd, namespace_host, network
from tashi.lab import record as labs
from tashi.lab.address import Plan
from tashi.lab.beats import Silence, listening
from tashi.lab.call import wait_until
from tashi.lab.lab import Lab, down
from tashi.lab.network import parse_rate
from tashi.lab.process import Process, marked
from tashi.lab.programs import program, surroundings
from tashi.lab.record import Folders, Record
from tests.lab import guest
from tests.lab.commands import WITHOUT

NAME = "test-hosts"
pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(WITHOUT), reason=f"needs {WITHOUT}")]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    down(NAME)
    try:
        Lab.up(NAME, 2, "libvirt", bare=True)
        with Lab.opened(NAME) as lab:
            yield lab
    finally:
        down(NAME)


def inside(lab: Lab, host: str, *argv: str) -> str:
    return subprocess.run(lab.host(host).command(argv), capture_output=True, text=True, timeout=20, check=True).stdout


def boot_id(lab: Lab, host: str) -> str:
    return inside(lab, host, "cat", "/proc/sys/kernel/random/boot_id").strip()


def reaches(lab: Lab, host: str) -> bool:
    """Whether the host's libvirtd takes a connection from the lab's side."""
    address = (lab.plan.machine(lab.record.hosts[host].number), libvirtd.TCP_PORT)
    try:
        socket.create_connection(address, timeout=1.0).close()
    except TimeoutError:
        return False
    return True


def test_each_host_is_a_machine_of_its_own(lab: Lab) -> None:
    ids = [boot_id(lab, host) for host in ("h1", "h2")]
    assert len({*ids, Path("/proc/sys/kernel/random/boot_id").read_text().strip()}) == 3
    assert ids == [lab.host(host).status().boot_id for host in ("h1", "h2")]
    assert [inside(lab, host, "hostname").strip() for host in ("h1", "h2")] == ["h1", "h2"]
    assert inside(lab, "h1", "cat", "/etc/machine-id") != inside(lab, "h2", "cat", "/etc/machine-id")
    links = {each["ifname"] for each in json.loads(inside(lab, "h1", "ip", "-j", "link"))}
    assert links == {"lo", "eth0", "eth1", "br0"}
    assert "libvirtd" not in inside(lab, "h1", "sh", "-c", "cat /proc/1/cmdline")
    capabilities = [guest.virsh(lab, host, "capabilities").stdout for host in ("h1", "h2")]
    uuids = [each.split("<uuid>")[1].split("<")[0] for each in capabilities]
    assert uuids[0] != uuids[1]


def test_outside_pids_are_what_status_says(lab: Lab) -> None:
    status = lab.host("h1").status()
    assert status.pid and status.libvirtd
    assert Path(f"/proc/{status.libvirtd}/exe").resolve() == Path(libvirtd.argv()[0]).resolve()
    assert status.agent is None


def test_a_power_cut_ends_everything_and_a_start_is_a_new_boot(lab: Lab) -> None:
    guest.create(lab, "h2", 20, "tiny")
    before, machine = boot_id(lab, "h2"), inside(lab, "h2", "cat", "/etc/machine-id")
    host = lab.host("h2")
    assert isinstance(host, namespace_host.NamespaceHost)
    lived = host.group.processes()
    assert len(lived) >= 3  # PID 1, libvirtd, the guest
    host.power_off()
    assert not [process for process in lived if process.alive()]
    assert host.status().state == "off"
    assert not reachable_quickly(lab, "h2")
    host.power_on()
    assert boot_id(lab, "h2") != before
    assert inside(lab, "h2", "cat", "/etc/machine-id") == machine
    assert guest.state(lab, "h2", 20) == ""
    # With fixed MACs nobody waits for a stale ARP entry.
    wait_until(lambda: reaches(lab, "h2"), "h2 is reached again", seconds=2)


def test_a_power_cut_ends_what_is_frozen(lab: Lab) -> None:
    host = lab.host("h2")
    assert isinstance(host, namespace_host.NamespaceHost)
    freezers = [folder for folder in host.group.folders() if (folder / "freezer.state").exists()]
    if not freezers:
        pytest.skip("no freezer of version 1: nothing here ignores SIGKILL")
    guest.create(lab, "h2", 22, "tiny")
    (emulator,) = [each for each in host.group.processes() if b"guest=g22," in cmdline(each)]
    box = freezers[0] / "box"
    box.mkdir()
    (box / "cgroup.procs").write_text(str(emulator.pid))
    (box / "freezer.state").write_text("FROZEN")
    host.power_off()
    assert not emulator.alive()
    host.power_on()


def cmdline(process: Process) -> bytes:
    return Path(f"/proc/{process.pid}/cmdline").read_bytes()


def reachable_quickly(lab: Lab, host: str) -> bool:
    try:
        return reaches(lab, host)
    except OSError:  # no route, for the neighbour does not answer
        return False


def test_a_cut_host_is_silent_until_it_is_healed(lab: Lab) -> None:
    host = lab.host("h2")
    assert reaches(lab, "h2")
    host.set_cable(True)
    assert host.status().network == "cut"
    assert not reachable_quickly(lab, "h2")
    assert guest.virsh(lab, "h2", "list").returncode == 0  # from inside all is well
    host.set_cable(False)
    wait_until(lambda: reaches(lab, "h2"), "h2 is healed", seconds=5)


def test_a_cable_stays_cut_and_slow_through_a_power_cut(lab: Lab) -> None:
    host = lab.host("h2")
    host.set_cable(True)
    host.set_rate(parse_rate("8mbit"))
    host.power_off()
    host.power_on()
    assert not reachable_quickly(lab, "h2")
    assert "tbf" in inside(lab, "h2", "tc", "qdisc", "show", "dev", "eth0")
    host.set_cable(False)
    host.set_rate(0)
    wait_until(lambda: reaches(lab, "h2"), "h2 is healed", seconds=5)


def seconds_to_send(lab: Lab, host: str, size: int) -> float:
    """How long ``size`` bytes take from a host to the lab."""
    with socket.create_server((lab.plan.lab, 0)) as server:
        server.settimeout(20)
        send = f"import socket; socket.create_connection({server.getsockname()!r}).sendall(bytes({size}))"
        sender = subprocess.Popen(lab.host(host).command([sys.executable, "-c", send]))
        connection, _ = server.accept()
        start, left = time.monotonic(), size
        with connection:
            connection.settimeout(20)
            while data := connection.recv(65536):
                left -= len(data)
        assert sender.wait(20) == 0
        assert left == 0
        return time.monotonic() - start


def test_a_slow_host_is_as_slow_as_was_asked(lab: Lab) -> None:
    size = 2_000_000
    fast = seconds_to_send(lab, "h1", size)
    lab.host("h1").set_rate(parse_rate("16mbit"))
    slowed = seconds_to_send(lab, "h1", size)
    lab.host("h1").set_rate(0)
    again = seconds_to_send(lab, "h1", size)
    assert 0.7 < slowed < 2.0, "2 MB at 16 Mbit/s take a second"
    assert fast < 0.5 * slowed
    assert again < 0.5 * slowed


def test_a_guest_outlives_libvirtd(lab: Lab) -> None:
    guest.create(lab, "h1", 21, "tiny")
    host = lab.host("h1")
    host.stop("libvirtd", signal.SIGKILL)
    assert host.status().libvirtd is None
    assert guest.virsh(lab, "h1", "list", check=False).returncode != 0
    host.start("libvirtd")
    assert guest.state(lab, "h1", 21) == "running"
    beats = guest.serial_file(lab, 21).read_bytes().count(b"\nT ")
    wait_until(lambda: guest.serial_file(lab, 21).read_bytes().count(b"\nT ") > beats, "the guest beats on", seconds=5)
    guest.virsh(lab, "h1", "destroy", "g21")


def test_live_migration_between_hosts_and_its_silence(lab: Lab) -> None:
    number, steady = 300, 0.0
    guest.create(lab, "h1", number, "linux")
    with listening(lab.plan.listener) as listener:
        wait_until(lambda: len(listener.beats(guest.mac(number))) > 100, "the guest beats", seconds=20)
        steady = silence(listener.silence(guest.mac(number)))
        since = time.time()
        target = f"qemu+tcp://{lab.plan.machine(2)}/system"
        guest.virsh(lab, "h1", "migrate", "--live", "--p2p", "--unsafe", f"g{number}", target)
        heard = len(listener.beats(guest.mac(number)))
        wait_until(lambda: len(listener.beats(guest.mac(number))) > heard + 50, "it beats on h2", seconds=20)
        measured = listener.silence(guest.mac(number), since)
    assert guest.state(lab, "h1", number) == ""
    assert guest.state(lab, "h2", number) == "running"
    assert measured.restarts == 0, "the guest went on, it did not start anew"
    assert measured.address == lab.plan.guest(guest.mac(number)) == f"{lab.plan.guest_prefix}.2.44"
    assert 0.0 < silence(measured) < 3.0, f"steady it was {steady}"
    # The power button: the guest ends by itself.
    guest.virsh(lab, "h2", "shutdown", "--mode", "acpi", f"g{number}")
    wait_until(lambda: guest.state(lab, "h2", number) == "", "it powers off", seconds=20)


def silence(measured: Silence) -> float:
    assert measured.downtime_seconds is not None
    return measured.downtime_seconds


# -- leaving nothing ---------------------------------------------------------------------------------------------------
def traces(record: Record) -> list[str]:
    """What there is on this machine of one lab; others may come and go meanwhile."""
    plan = Plan(record.index)
    links = [each["ifname"] for each in json.loads(subprocess.check_output(["ip", "-j", "link"]))]
    routes = subprocess.check_output(["ip", "route"], text=True).splitlines()
    mounts = Path("/proc/self/mounts").read_text().splitlines()
    groups = [*Path("/sys/fs/cgroup").glob("*/tashi-lab-*"), *Path("/sys/fs/cgroup").glob("tashi-lab-*")]
    folders = [path for home in labs.homes() if home.exists() for path in home.iterdir()]
    return [
        *(link for link in links if link.startswith(tuple(plan.bridge(each) for each in network.NETWORKS))),
        *(route for route in routes if str(plan.machines) in route or str(plan.guests) in route),
        *(mount for mount in mounts if f"/tashi-lab/{record.name}/" in mount),
        *(str(path) for path in groups if f"-{record.name}-" in path.name),
        *(str(path) for path in folders if path.name == record.name),
        *(f"process {process.pid}" for process in marked(record.mark)),
    ]


def namespaces() -> set[str]:
    found = set()
    for path in Path("/proc").glob("[0-9]*/ns/*"):
        with suppress(OSError):  # the process has ended
            found.add(os.readlink(path))
    return found


def test_down_leaves_nothing_and_may_be_said_twice() -> None:
    name = "test-gone"
    down(name)
    made = Lab.up(name, 2, "libvirt", bare=True)
    guest.create(made, "h1", 30, "tiny")
    pids = [host.status().pid for host in made.hosts.values()]
    own = {
        os.readlink(f"/proc/{pid}/ns/{kind}") for pid in pids for kind in ("net", "mnt", "pid", "uts", "ipc", "cgroup")
    }
    assert len(own) == 12
    assert own <= namespaces()
    made.host("h2").power_off()
    there = traces(made.record)
    assert [each for each in there if each.startswith("process")]
    assert [each for each in there if each.startswith("tlab")]
    assert down(name)
    wait_until(lambda: not namespaces() & own, "the machine's own PID 1 has reaped the hosts'", seconds=5)
    assert traces(made.record) == []
    assert not down(name)


def test_two_labs_beside_each_other(lab: Lab) -> None:
    name = "test-beside"
    try:
        other = Lab.up(name, 1, "libvirt", bare=True)
        assert not other.plan.machines.overlaps(lab.plan.machines)
        assert not other.plan.guests.overlaps(lab.plan.guests)
        assert not set(other.record.ports.values()) & set(lab.record.ports.values())
        assert boot_id(other, "h1") != boot_id(lab, "h1")
    finally:
        down(name)
    assert reaches(lab, "h1")
    assert lab.host("h1").status().state == "up"


@pytest.mark.parametrize("after", [0.35, 0.5, 0.8])
def test_down_cleans_up_after_an_up_that_was_killed(after: float) -> None:
    name = "test-killed"
    down(name)
    argv = [*program("tashi-lab"), "--name", name, "up", "--bare", "--hosts", "3"]
    up = subprocess.Popen(argv, env=surroundings("none"))
    with suppress(subprocess.TimeoutExpired):
        up.wait(after)
    up.kill()
    up.wait()
    record = Folders(name).load() if Folders(name).file.exists() else None
    down(name)
    assert record is None or traces(record) == []
    assert not Folders(name).run.exists()
