"""What may break while a guest is being copied, each once, with real guests on real libvirt.

After each of them: the guest is alive exactly once and has not begun anew, no second copy is left anywhere, and the
record says where it is, within 15 s of having contact again.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import NamedTuple

import pytest

from tashi.lab.beats import Listener, listening
from tashi.lab.call import wait_until
from tashi.lab.lab import Lab
from tests.lab.commands import DOWNTIME_SECONDS, WITHOUT, Shell, quick_lab

NAME = "test-faults"
pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(WITHOUT), reason=f"needs {WITHOUT}")]
LINUX = ("--image", "linux", "--cores", "1", "--memory", "96M", "--nic", "default", "--host", "h1")
RATE = "150mbit"  # the copy takes three seconds and more
SETTLED_SECONDS = 15.0
WORKER = "tashid.driver.worker"


class Way(NamedTuple):
    """A migration under way: who is where, and how to type commands."""

    shell: Shell
    vm: str
    source: str
    destination: str

    def kill(self, host: str, pattern: str, signal: str = "KILL") -> None:
        """Send a signal to what matches in a host; that there is something to send it to is part of the test."""
        self.shell.run("tashi-lab", "exec", host, "pkill", f"-{signal}", "-f", pattern)

    def lab(self, *words: str) -> None:
        self.shell.run("tashi-lab", *words)


def destination_qemu_killed(way: Way) -> None:
    way.kill(way.destination, f"guest={way.vm},")


def destination_libvirtd_killed(way: Way) -> None:
    way.lab("kill-libvirtd", way.destination)
    way.lab("start-libvirtd", way.destination)


def destination_stopped(way: Way) -> None:
    """A guest that hangs at its destination holds the copy up for ever: somebody calls it back."""
    way.kill(way.destination, f"guest={way.vm},", "STOP")
    way.shell.run("tvm-migrate", "-q", "--abort", way.vm, check=False)


def link_cut(way: Way) -> None:
    way.lab("cut", way.destination)
    way.shell.wait_host(way.destination, "unknown")
    way.lab("heal", way.destination)


def aborted(way: Way) -> None:
    """And beforehand: how long it may stand still is what was set."""
    said = way.shell.run("tashi-lab", "exec", way.source, "virsh", "migrate-getmaxdowntime", way.vm).stdout
    assert float(said) == DOWNTIME_SECONDS * 1000
    way.shell.run("tvm-migrate", "-q", "--abort", way.vm)


def caller_killed(way: Way) -> None:
    way.kill(way.source, WORKER)


def controller_killed(way: Way) -> None:
    way.lab("kill-controller")
    way.lab("start-controller")


def both_agents_killed(way: Way) -> None:
    way.lab("kill-agent", way.source, way.destination)
    way.lab("start-agent", way.source, way.destination)


class Fault(NamedTuple):
    """``ends_at``: where the guest must be afterwards; None: at either end, as long as it is at one."""

    happens: Callable[[Way], None]
    ends_at: str | None


FAULTS = [
    Fault(destination_qemu_killed, "source"),
    Fault(destination_libvirtd_killed, None),
    Fault(destination_stopped, "source"),
    Fault(link_cut, None),
    Fault(aborted, "source"),
    Fault(caller_killed, None),
    Fault(controller_killed, "destination"),
    Fault(both_agents_killed, None),
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with quick_lab(NAME) as lab:
        yield lab


@pytest.fixture(scope="module")
def shell(lab: Lab) -> Shell:
    shell = Shell(NAME)
    shell.run("tvm-create", "-q", "web", *LINUX)
    shell.run("tashi-lab", "beats", "--vm", "web", "--seconds", "0.2")
    shell.run("tashi-lab", "slow", "h2", "--rate", RATE)
    return shell


@pytest.fixture(scope="module")
def listener(lab: Lab) -> Iterator[Listener]:
    with listening(lab.plan.listener) as listener:
        yield listener


@pytest.mark.fault(26, 27, 28, 29)
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.happens.__name__)
def test_the_guest_is_alive_once_and_told_truly(shell: Shell, listener: Listener, fault: Fault) -> None:
    vm = shell.row("vm", "web")
    source, destination = vm["host"], "h2" if vm["host"] == "h1" else "h1"
    job = shell.run("tvm-migrate", "--submit", "--to", destination, "web").stdout.strip()
    wait_until(lambda: (job_row(shell, job)["done_bytes"] or 0) > 0, "it is being copied")
    fault.happens(Way(shell, vm["id"], source, destination))
    wait_until(lambda: settled(shell, job), "the record has settled", seconds=SETTLED_SECONDS)
    after = shell.row("vm", "web")
    expected = {"source": source, "destination": destination, None: after["host"]}[fault.ends_at]
    assert (after["state"], after["host"]) == ("running", expected), after["reason"]
    assert (job_row(shell, job)["state"] == "done") == (after["host"] == destination)
    wait_until(lambda: copies(shell, vm["id"]) == {after["host"]: "running"}, "no second copy is left")
    mac = vm["nics"][0].partition("/")[2]
    heard = len(listener.beats(mac))
    wait_until(lambda: len(listener.beats(mac)) > heard + 20, "its heart goes on")
    assert listener.silence(mac).restarts == 0, "it was never started anew"


def job_row(shell: Shell, job: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(shell.run("tjob-show", "-j", job).stdout)
    return found


def settled(shell: Shell, job: str) -> bool:
    return job_row(shell, job)["state"] != "running" and shell.row("vm", "web")["state"] == "running"


def copies(shell: Shell, vm: str) -> dict[str, str]:
    """Host -> state of each domain of this VM, as the hosts' own libvirts tell; "stray" is a QEMU that none knows."""
    found = {}
    for host in ("h1", "h2"):
        state = shell.run("tashi-lab", "exec", host, "virsh", "-q", "domstate", vm, check=False).stdout.strip()
        process = shell.run("tashi-lab", "exec", host, "pgrep", "-f", f"guest={vm},", check=False).stdout.strip()
        if state or process:
            found[host] = state or "stray"
    return found
