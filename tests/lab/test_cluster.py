"""A whole lab with real guests: what its verbs break and mend, as the cluster's own commands tell it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tashi.lab.call import wait_until
from tashi.lab.lab import Lab
from tests.lab.commands import WITHOUT, Shell, quick_lab

NAME = "test-cluster"
pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(WITHOUT), reason=f"needs {WITHOUT}")]
TINY = ("--image", "tiny", "--cores", "1", "--memory", "4M", "--host", "h1")
LINUX = ("--image", "linux", "--cores", "1", "--memory", "96M", "--nic", "default", "--host", "h1")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with quick_lab(NAME) as lab:
        yield lab


@pytest.fixture(scope="module")
def shell(lab: Lab) -> Shell:
    shell = Shell(NAME)
    shell.run("tvm-create", "-q", "still", *TINY)
    return shell


def process_of(shell: Shell, host: str, vm: str) -> str:
    """The pid of the QEMU that runs a VM, as seen in its host: another one is another run."""
    identity = shell.row("vm", vm)["id"]
    return shell.run("tashi-lab", "exec", host, "pgrep", "-f", f"guest={identity},").stdout.strip()


def test_hosts_say_what_the_lab_states(shell: Shell) -> None:
    host = shell.row("host", "h1")
    assert (host["cores"], host["memory_bytes"], host["disk_bytes"]) == (8, 8 * 2**30, 100 * 2**30)
    assert host["boot_id"] == shell.status()["h1"]["boot_id"]
    assert host["uuid"] == shell.run("tashi-lab", "exec", "h1", "cat", "/etc/machine-id").stdout.strip()


def test_status_gives_outside_pids(shell: Shell) -> None:
    status = shell.status()
    for name, pid in (("agent", status["h1"]["agent"]), ("controller", status["controller"]["pid"])):
        assert f"tashi-{name}" in Path(f"/proc/{pid}/cmdline").read_text()


def test_a_guest_outlives_its_agent_and_its_libvirtd(shell: Shell) -> None:
    before = process_of(shell, "h1", "still")
    assert before
    shell.run("tashi-lab", "kill-agent", "h1")
    assert shell.status()["h1"]["agent"] is None
    shell.wait("still", "unknown")
    shell.run("tashi-lab", "kill-libvirtd", "h1")
    shell.run("tashi-lab", "start-libvirtd", "h1")
    shell.run("tashi-lab", "start-agent", "h1")
    shell.wait("still", "running")
    shell.run("tashi-lab", "stop-agent", "h1")
    shell.run("tashi-lab", "start-agent", "h1")
    shell.wait("still", "running")
    assert process_of(shell, "h1", "still") == before
    assert shell.row("vm", "still")["generation"] == 1


@pytest.mark.skipif(not Path("/usr/share/OVMF").exists(), reason="needs ovmf")
def test_a_guest_that_asks_for_uefi_boots_by_it(shell: Shell) -> None:
    assert shell.row("host", "h1")["firmware"] == ["bios", "uefi"]
    shell.run("tvm-create", "-q", "efi", *TINY, "--memory", "64M", "--feature", "firmware=uefi")
    identity = shell.row("vm", "efi")["id"]
    emulator = shell.run("tashi-lab", "exec", "h1", "pgrep", "-af", f"guest={identity},").stdout
    shell.run("tvm-destroy", "-q", "efi")
    assert "OVMF_CODE" in emulator and f"nvram/{identity}_VARS.fd" in emulator
    assert f"{identity}_VARS.fd" not in shell.run("tashi-lab", "exec", "h1", "ls", "/var/lib/libvirt/qemu/nvram").stdout


def test_a_host_without_uefi_says_so_and_is_not_chosen_for_it(shell: Shell) -> None:
    """Until its next boot h2 lacks the files that libvirt looks for."""
    hide = "mkdir -p /run/none /usr/share/OVMF && mount --bind /run/none /usr/share/OVMF"
    shell.run("tashi-lab", "exec", "h2", "sh", "-c", f"{hide} && mount --bind /run/none /usr/share/qemu/firmware")
    for verb in ("stop-agent", "kill-libvirtd", "start-libvirtd", "start-agent"):
        shell.run("tashi-lab", verb, "h2")
    wait_until(lambda: shell.row("host", "h2")["firmware"] == ["bios"], "h2 says that it has none", seconds=30)
    shell.wait_host("h2", "up")
    none = shell.run("tvm-create", "efi", *TINY, "--host", "h2", "--feature", "firmware=uefi", check=False)
    assert none.returncode and "needs firmware=uefi, it has firmware=bios" in none.stderr


def test_a_guest_outlives_the_controller(shell: Shell) -> None:
    before = process_of(shell, "h1", "still")
    shell.run("tashi-lab", "kill-controller")
    assert shell.status()["controller"]["state"] == "off"
    shell.run("tashi-lab", "start-controller")
    shell.wait("still", "running")
    assert process_of(shell, "h1", "still") == before


def test_a_disk_that_is_gone_is_not_replaced(lab: Lab, shell: Shell) -> None:
    """The whole folder is away, as when nothing is mounted there."""
    shell.run("tvm-create", "-q", "lost", *TINY)
    identity = shell.row("vm", "lost")["id"]
    shell.run("tashi-lab", "exec", "h1", "kill", process_of(shell, "h1", "lost"))
    shell.wait("lost", "stopped")
    (disk,) = lab.folders.data.rglob(f"disks/{identity}.qcow2")
    away = disk.parent.rename(disk.parent.with_name("away"))
    try:
        start = shell.run("tvm-start", "lost", check=False)
        assert start.returncode and f"disks/{identity}.qcow2 is not there" in start.stderr
        assert shell.row("vm", "lost")["state"] == "failed" and not disk.parent.exists()
    finally:
        away.rename(disk.parent)
    shell.run("tvm-start", "-q", "lost")
    assert shell.row("vm", "lost")["state"] == "running"
    shell.run("tvm-destroy", "-q", "lost")


@pytest.mark.fault(36)
def test_a_guest_outlives_a_cut_cable(shell: Shell) -> None:
    before = process_of(shell, "h1", "still")
    shell.run("tashi-lab", "cut", "h1")
    shell.wait("still", "unknown")
    shell.run("tashi-lab", "heal", "h1")
    shell.wait("still", "running")
    assert process_of(shell, "h1", "still") == before


@pytest.mark.fault(46)
def test_a_line_that_drops_all_packets_is_noticed_at_both_ends_and_made_anew(lab: Lab, shell: Shell) -> None:
    """TCP keeps the connection open at both ends: no packet gets through that could end it."""
    log = lab.folders.data / "hosts/h1/agent.log"

    def lines() -> set[str]:
        """The agent's own ends of its connections to the controller."""
        port = lab.record.ports["agent_port"]
        shown = shell.run("tashi-lab", "exec", "h1", "ss", "-Htn", "state", "established", f"dport = :{port}").stdout
        return {line.split()[2] for line in shown.splitlines()}

    before, told = lines(), log.read_text().count("not heard any more")
    assert len(before) == 1
    shell.run("tashi-lab", "cut", "h1")
    shell.wait_host("h1", "unknown")
    wait_until(lambda: log.read_text().count("not heard any more") > told, "the agent notices", seconds=30)
    shell.run("tashi-lab", "heal", "h1")
    shell.wait_host("h1", "up")
    wait_until(lambda: len(lines()) == 1 and not lines() & before, "its connection is another", seconds=30)


@pytest.mark.soak
def test_the_own_heart_tells_of_a_migration_and_a_slow_cable_makes_it_long(shell: Shell) -> None:
    shell.run("tvm-create", "-q", "beating", *LINUX)
    beats = ("tashi-lab", "beats", "--vm", "beating")
    quiet = json.loads(shell.run(*beats, "--seconds", "1").stdout)
    assert quiet["beats"] > 50
    moved, silence = shell.run(*beats, "tvm-migrate", "-j", "--to", "h2", "beating").stdout.splitlines()
    fast = json.loads(moved)
    assert fast["outcome"] == "done"
    assert fast["downtime_seconds"] > 0
    assert json.loads(silence)["downtime_seconds"] > 0
    assert json.loads(silence)["restarts"] == 0
    shell.run("tashi-lab", "slow", "h2", "--rate", "200mbit")
    slowed = json.loads(shell.run("tvm-migrate", "-j", "--to", "h1", "beating").stdout)
    shell.run("tashi-lab", "slow", "h2", "--rate", "off")
    seconds = slowed["bytes"] * 8 / 200e6
    assert slowed["total_seconds"] > 0.8 * seconds
    shell.run("tvm-shutdown", "-q", "beating")
    assert shell.row("vm", "beating")["state"] == "stopped", "it answers its power button"


def test_beats_has_the_status_of_what_it_ran(shell: Shell) -> None:
    assert shell.run("tashi-lab", "beats", "--seconds", "0.1", "false", check=False).returncode == 1


@pytest.mark.fault(35)
def test_a_power_cut_and_a_new_boot(shell: Shell) -> None:
    shell.run("tashi-lab", "crash", "h1")
    shell.wait("still", "unknown")
    assert "h1" in shell.row("vm", "still")["reason"]
    shell.run("tashi-lab", "start", "h1")
    shell.wait("still", "stopped")
    shell.run("tvm-start", "-q", "still")
    wait_until(lambda: shell.row("vm", "still")["state"] == "running", "it runs again", seconds=20)
