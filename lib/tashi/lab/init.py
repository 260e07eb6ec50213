"""PID 1 of a lab host: makes the namespaces, keeps the host's services, reaps everybody.

    python3 -m tashi.lab.init PLAN

PLAN is a JSON file (`Plan`). The first process enters the control groups, leaves all namespaces, forks PID 1 into the
new ones and prints its pid as seen outside; it ends when the host's mounts are made. PID 1 then answers one JSON line
per connection on a unix socket: {"do": "start" | "stop" | "status", "service": NAME, "signal": "KILL"}. An answer is
{"pids": {NAME: pid inside or 0}} or {"error": TEXT}; a stop is answered when the service is gone. Killing PID 1 from
outside is the power cut: the kernel ends whatever lives in the host, in no order.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import traceback
from pathlib import Path
from select import select
from typing import Any, TypedDict

from tashi.lab import namespaces

MESSAGE_MAX = 4096


class Service(TypedDict):
    argv: list[str]
    log: str
    environment: dict[str, str]


class Plan(TypedDict):
    """``doors``: cgroup.procs files to enter. ``hierarchies``: (folder, options, version) to mount below
    /sys/fs/cgroup. ``binds``: (source, target); a boot id is made and bound besides."""

    name: str
    control: str
    doors: list[str]
    hierarchies: list[tuple[str, str, int]]
    binds: list[tuple[str, str]]
    boot_id: str
    services: dict[str, Service]


def main() -> None:
    plan: Plan = json.loads(Path(sys.argv[1]).read_text())
    for door in plan["doors"]:
        Path(door).write_text(str(os.getpid()))
    namespaces.unshare(namespaces.ALL)
    ready, told = os.pipe()
    pid = os.fork()
    if pid:
        os.close(told)
        print(pid, flush=True)
        # PID 1's death closes the pipe as well: then there is no word, and the log says why.
        sys.exit(0 if os.read(ready, 1) else f"{plan['name']}: PID 1 ended while it made the host")
    try:
        os.close(ready)
        os.setsid()
        os.dup2(2, 1)  # the lab reads standard output to its end
        furnish(plan)
        control = listen(plan["control"])
        os.write(told, b"!")
        os.close(told)
        Keeper(plan, control).keep()
    except BaseException:
        # A PID 1 that unwinds would run its parent's exit code; say what happened and end the host.
        traceback.print_exc()
        sys.stderr.flush()
        os._exit(1)


def furnish(plan: Plan) -> None:
    """Host name, mounts, machine id, boot id: what makes this a machine of its own."""
    mount = namespaces.mount
    socket.sethostname(plan["name"])
    mount("none", "/", flags=namespaces.PRIVATE | namespaces.RECURSIVE)
    mount("proc", "/proc", "proc")
    mount("sysfs", "/sys", "sysfs")  # shows this network namespace's interfaces
    if any(version == 1 for _, _, version in plan["hierarchies"]):
        mount("tmpfs", "/sys/fs/cgroup", "tmpfs")
    for folder, options, version in plan["hierarchies"]:
        target = Path("/sys/fs/cgroup", folder)
        target.mkdir(exist_ok=True)
        mount("cgroup", str(target), "cgroup" if version == 1 else "cgroup2", options=options)
        if version == 2:
            leave_root(target)
    mount("tmpfs", "/run", "tmpfs", options="mode=755")
    for folder in ("/run/libvirt", "/run/lock", "/run/etc", "/run/etc/own", "/run/etc/work"):
        os.mkdir(folder)
    # An /etc of its own, in which folders can be made that the machine does not have.
    mount("overlay", "/etc", "overlay", options="lowerdir=/etc,upperdir=/run/etc/own,workdir=/run/etc/work")
    # The kernel's own boot id is the same in all namespaces; each start of a host is a boot.
    boot_id = Path("/proc/sys/kernel/random/uuid").read_text()
    Path(plan["boot_id"]).write_text(boot_id)
    for source, target_path in [*plan["binds"], (plan["boot_id"], "/proc/sys/kernel/random/boot_id")]:
        if target_path.startswith("/etc/") and Path(source).is_dir():
            Path(target_path).mkdir(exist_ok=True)
        mount(source, target_path, flags=namespaces.BIND)


def leave_root(root: Path) -> None:
    """Version 2: move this process into a leaf, then let libvirt's groups beside it have the controllers."""
    leaf = root / "init"
    leaf.mkdir(exist_ok=True)
    (leaf / "cgroup.procs").write_text(str(os.getpid()))
    there = (root / "cgroup.controllers").read_text().split()
    (root / "cgroup.subtree_control").write_text(" ".join(f"+{each}" for each in there))


def listen(path: str) -> socket.socket:
    Path(path).unlink(missing_ok=True)  # the last boot's
    control = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    control.bind(path)
    os.chmod(path, 0o600)
    control.listen(16)
    return control


class Keeper:
    """The services of one host: name -> pid, 0 when it does not run."""

    def __init__(self, plan: Plan, control: socket.socket) -> None:
        self.services = plan["services"]
        self.pids = dict.fromkeys(self.services, 0)
        self.leaving: dict[int, list[socket.socket]] = {}  # pid: who waits for its end
        self.control = control

    def keep(self) -> None:
        """For ever: answer, reap."""
        woken, wake = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        control = self.control.fileno()
        signal.set_wakeup_fd(wake)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        while True:
            ready, _, _ = select([control, woken], [], [])
            if woken in ready:
                os.read(woken, 512)
                self.reap()
            if control in ready:
                self.answer(self.control.accept()[0])

    def answer(self, peer: socket.socket) -> None:
        """One request; a bad one is told, never fatal. The peer gets a second to speak."""
        peer.settimeout(1.0)
        try:
            request = json.loads(peer.recv(MESSAGE_MAX))
            waits = self.carry_out(request, peer)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            self.reply(peer, {"error": f"{type(error).__name__}: {error}"})
        else:
            if not waits:
                self.reply(peer, {"pids": self.pids})

    def carry_out(self, request: dict[str, str], peer: socket.socket) -> bool:
        """True: the peer's answer comes when a process has ended."""
        verb = request["do"]
        if verb == "status":
            return False
        name = request["service"]
        pid = self.pids[name]
        if verb == "start":
            self.pids[name] = pid or self.start(self.services[name])
            return False
        if verb != "stop":
            raise ValueError(f"{verb!r} is not start, stop or status")
        if not pid:
            return False
        os.kill(pid, signal.Signals["SIG" + request["signal"]])  # it is our child and not reaped: the pid is its own
        self.leaving.setdefault(pid, []).append(peer)
        return True

    def start(self, service: Service) -> int:
        log = os.open(service["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        nothing = os.open(os.devnull, os.O_RDONLY)
        actions = [(os.POSIX_SPAWN_DUP2, nothing, 0), *((os.POSIX_SPAWN_DUP2, log, target) for target in (1, 2))]
        try:
            return os.posix_spawn(
                service["argv"][0], service["argv"], service["environment"], file_actions=actions, setsid=True
            )
        finally:
            os.close(log)
            os.close(nothing)

    def reap(self) -> None:
        """All that have ended: services, and orphans whose parent is PID 1 now."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                return
            for name in [name for name, each in self.pids.items() if each == pid]:
                self.pids[name] = 0
            for peer in self.leaving.pop(pid, []):
                self.reply(peer, {"pids": self.pids})

    def reply(self, peer: socket.socket, answer: dict[str, Any]) -> None:
        try:
            peer.sendall(json.dumps(answer).encode() + b"\n")
        except OSError as error:  # it did not wait for the answer
            print(f"control: {error}", file=sys.stderr, flush=True)
        finally:
            peer.close()


if __name__ == "__main__":
    main()
