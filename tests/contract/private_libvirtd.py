"""Two private libvirtds for the contract tests: hosts in namespaces of their own, folders of their own.

Nothing of the machine's own libvirt, network or control groups is touched. Both share one network namespace, in which
each has an address on the loopback and a bridge br0 stands; each has its own mounts, processes and host name. A test
reaches a host by its Unix socket, the hosts reach each other by tcp.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

NEEDED = ("libvirtd", "qemu-system-x86_64", "qemu-img", "unshare", "nsenter", "setpriv", "ip")
READY_SECONDS = 20.0
_WITH_US = ("setpriv", "--pdeathsig", "KILL")  # a test run that is killed leaves no hosts behind

_NETWORK = """set -e
ip link set lo up
ip addr add 10.79.0.11/32 dev lo
ip addr add 10.79.0.12/32 dev lo
ip link add br0 type bridge
ip link set br0 up
echo ready
exec sleep infinity
"""

_HOST = """set -e
name=$1 folder=$2
hostname "$name"
mount --make-rprivate /
mount -t proc proc /proc
umount -R -l /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mkdir -p /run/libvirt /run/lock
for pair in run:/run/libvirt etc:/etc/libvirt lib:/var/lib/libvirt log:/var/log/libvirt cache:/var/cache/libvirt; do
    mkdir -p "${pair#*:}"
    mount --bind "$folder/${pair%%:*}" "${pair#*:}"
done
while :; do
    libvirtd --listen --pid-file "$folder/libvirtd.pid" || true
    sleep 0.1
done
"""


def missing() -> str:
    """What this machine lacks for private libvirtds, empty when it has all."""
    if os.geteuid() != 0:
        return "only root can make the namespaces"
    path = "/usr/sbin:/sbin:" + os.environ.get("PATH", "")
    absent = [name for name in NEEDED if shutil.which(name, path=path) is None]
    return f"not installed: {', '.join(absent)}" if absent else ""


@dataclass
class Host:
    """One libvirtd. ``uri`` is for a test, ``peer`` for the other host."""

    name: str
    address: str
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def uri(self) -> str:
        return f"qemu:///system?socket={self.folder}/run/libvirt-sock"

    @property
    def peer(self) -> str:
        return f"qemu+tcp://{self.address}/system"

    def kill_libvirtd(self) -> None:
        """SIGKILL, as a crash; it is started again at once. Waits until it answers again."""
        inside = (self.folder / "libvirtd.pid").read_text().strip()
        enter(self.process.pid, ["kill", "-9", inside])
        (self.folder / "run/libvirt-sock").unlink()
        self.wait()

    def wait(self) -> None:
        """Until libvirtd has its socket. Raises TimeoutError."""
        end = time.monotonic() + READY_SECONDS
        while not (self.folder / "run/libvirt-sock").is_socket():
            if time.monotonic() > end or self.process.poll() is not None:
                log = (self.folder / "init.log").read_text(errors="replace")
                raise TimeoutError(f"{self.name}: libvirtd did not start: {log[-2000:]}")
            time.sleep(0.05)


class Pair:
    """Two hosts below ``folder``; `close` ends everything."""

    def __init__(self, folder: Path) -> None:
        self._network = subprocess.Popen(
            [*_WITH_US, "unshare", "--net", "--fork", "--kill-child", "sh", "-c", _NETWORK], stdout=subprocess.PIPE
        )
        assert self._network.stdout is not None
        self._network.stdout.readline()
        self.hosts: list[Host] = []
        try:
            for number in (1, 2):
                self.hosts.append(self._start(number, folder / f"h{number}"))
            for host in self.hosts:
                host.wait()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for process in [*(host.process for host in self.hosts), self._network]:
            process.send_signal(signal.SIGKILL)  # unshare's --kill-child ends all that is inside
            process.wait()

    def _start(self, number: int, folder: Path) -> Host:
        address = f"10.79.0.1{number}"
        for name in ("run", "etc/qemu", "lib", "log", "cache"):
            (folder / name).mkdir(parents=True)
        (folder / "etc/libvirtd.conf").write_text(_LIBVIRTD.format(number=number, address=address))
        (folder / "etc/qemu.conf").write_text(_QEMU.format(address=address))
        network = f"/proc/{_only_child(self._network.pid)}/ns/net"
        unshare = ["unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child"]
        with open(folder / "init.log", "wb") as log:
            process = subprocess.Popen(
                [*_WITH_US, "nsenter", f"--net={network}", *unshare, "sh", "-c", _HOST]
                + ["host", f"contract-h{number}", str(folder)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        return Host(f"h{number}", address, folder, process)


def enter(unshare: int, argv: list[str]) -> None:
    """Run a program inside the namespaces that the process ``unshare`` holds its child in."""
    subprocess.run(["nsenter", "-t", str(_only_child(unshare)), "-a", *argv], check=True, timeout=10)


def _only_child(pid: int) -> int:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0])


_LIBVIRTD = """listen_tls = 0
listen_tcp = 1
listen_addr = "{address}"
auth_tcp = "none"
auth_unix_rw = "none"
unix_sock_group = "root"
host_uuid = "79000000-0000-4000-8000-00000000000{number}"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
keepalive_interval = 2
keepalive_count = 3
"""

_QEMU = """user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = [ ]
stdio_handler = "file"
cgroup_controllers = [ ]
migration_address = "{address}"
migration_host = "{address}"
keepalive_interval = 2
keepalive_count = 3
"""
