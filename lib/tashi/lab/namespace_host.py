"""A host made of namespaces: net, uts, ipc, mount, pid and cgroup, with its own libvirtd and agent."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tomli_w

from tashi.lab import libvirtd, network
from tashi.lab.address import Plan
from tashi.lab.call import call, wait_until
from tashi.lab.cgroups import Group
from tashi.lab.host import HostStatus, Service, refuse_off
from tashi.lab.init import Plan as InitPlan
from tashi.lab.init import Service as InitService
from tashi.lab.process import Process, tail
from tashi.lab.programs import program, surroundings
from tashi.lab.record import Folders, Record
from tashi.wire.errors import Code, Refused, Unavailable

BOOT_SECONDS = 20.0
# Every host would measure the same machine; so it states what it has.
SIZE = {"cores": 8, "memory": "8G", "disk": "100G"}


class NamespaceHost:
    def __init__(self, folders: Folders, record: Record, name: str) -> None:
        self.name = name
        self.folders, self.lab = folders, record
        self.record = record.hosts[name]
        self.plan = Plan(record.index)
        self.address = self.plan.machine(self.record.number)
        self.folder = folders.data / "hosts" / name
        self.config = self.folder / "tashi.toml"
        self.log = self.folder / "init.log"
        self.group = Group(f"tashi-lab-{record.name}-{name}")

    # -- power ---------------------------------------------------------------------------------------------------------
    def power_on(self) -> None:
        if self._pid():
            return
        self.record.process = self._boot()
        self.folders.save(self.lab)
        network.plug(self.plan, self.record.number, self.record.process.pid)
        if self.record.cut:
            network.cut(self.plan, self.record.number, True)
        if self.record.rate_bits:
            network.slow(self.plan, self.record.number, self.record.process.pid, self.record.rate_bits)
        if self._ready():
            self.start("libvirtd")

    def _ready(self) -> bool:
        """Whether libvirtd can start: where it speaks TLS it needs a certificate, which comes with enrolment."""
        return self.lab.bare or (self.folder / "pki/libvirt/servercert.pem").exists()

    def power_off(self) -> None:
        process, self.record.process = self.record.process, None
        if process is not None:
            process.send(signal.SIGKILL)
            self.group.thaw()  # PID 1 can't end before the frozen ones have
            process.wait()
        network.unplug(self.plan, self.record.number)
        self.folders.save(self.lab)

    def remove(self) -> None:
        self.power_off()
        self.group.remove()

    def _boot(self) -> Process:
        init = self.folder / "init.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        init.write_text(json.dumps(self._init_plan(), indent=1))
        with self.log.open("a") as log:
            try:
                done = subprocess.run(
                    [sys.executable, "-m", "tashi.lab.init", str(init)],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=surroundings(self.lab.mark),
                    timeout=BOOT_SECONDS,
                    text=True,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                raise Unavailable(f"{self.name}: no boot in {BOOT_SECONDS:g} s", tail(self.log)) from None
        process = Process.of(int(done.stdout)) if done.returncode == 0 else None
        if process is None:
            raise Unavailable(f"{self.name}: did not boot", tail(self.log))
        return process

    def _init_plan(self) -> InitPlan:
        machine = uuid.uuid5(uuid.UUID(self.lab.mark), self.name)
        (self.folder / "machine-id").write_text(machine.hex + "\n")
        binds = libvirtd.configure(self.folder, str(machine), self.address, certified=not self.lab.bare)
        binds += [(str(self.folder / "machine-id"), "/etc/machine-id"), (str(self._hosts_file()), "/etc/hosts")]
        services = {"libvirtd": self._service("libvirtd", libvirtd.argv())}
        if not self.lab.bare:
            services["agent"] = self._service("agent", [*program("tashi-agent"), "--config", str(self.config)])
        return {
            "name": self.name,
            "control": str(self.folder / "init.sock"),
            "doors": [str(door) for door in self.group.make()],
            "hierarchies": [(each.name, each.options, each.version) for each in self.group.hierarchies],
            "binds": [(source, target) for source, target in binds if Path(target).exists() or source.endswith("/pki")],
            "boot_id": str(self.folder / "boot-id"),
            "services": services,
        }

    def _service(self, name: str, argv: list[str]) -> InitService:
        environment = surroundings(self.lab.mark)
        environment["TASHI_MACHINE_ID_FILE"] = str(self.folder / "machine-id")  # also where /etc/machine-id is missing
        return {"argv": argv, "log": str(self.folder / f"{name}.log"), "environment": environment}

    def _hosts_file(self) -> Path:
        names = {self.plan.lab: "controller"} | {
            self.plan.machine(each.number): name for name, each in self.lab.hosts.items()
        }
        file = self.folder / "hosts"
        file.write_text("127.0.0.1 localhost\n" + "".join(f"{address} {name}\n" for address, name in names.items()))
        return file

    # -- services ------------------------------------------------------------------------------------------------------
    def enroll(self, document: dict[str, Any]) -> None:
        agent = {
            "state": str(self.folder / "agent"),
            "driver": "libvirt",
            "uri": "qemu:///system",
            "address": self.address,
            "lab": True,
        } | SIZE
        sections: dict[str, dict[str, Any]] = {
            "agent": agent | self.lab.settings.get("agent", {}),
            "pool": {"path": str(self.folders.data / "pool")},
        }
        networks = {"network": {"default": {"bridge": network.GUEST_BRIDGE}}}
        self.config.write_text(tomli_w.dumps(sections | networks))
        argv = self.command([*program("tashi-agent"), "--config", str(self.config), "--enroll", "-"])
        call(argv, text=tomli_w.dumps(document), environment=self._service("agent", [])["environment"])
        self.start("libvirtd")

    def start(self, service: Service) -> None:
        self._check(service)
        self._ask({"do": "start", "service": service})
        if service == "libvirtd":
            log = self.folder / "libvirtd.log"
            wait_until(self._libvirtd_listens, f"{self.name}: libvirtd listens", seconds=BOOT_SECONDS, log=log)

    def stop(self, service: Service, number: signal.Signals) -> None:
        self._check(service)
        self._ask({"do": "stop", "service": service, "signal": number.name.removeprefix("SIG")})

    def command(self, argv: Sequence[str]) -> list[str]:
        return ["nsenter", "--target", str(self._pid() or refuse_off(self.name)), "--all", "--", *argv]

    def _check(self, service: Service) -> None:
        if service == "agent" and self.lab.bare:
            raise Refused(Code.WRONG_STATE, f"{self.name}: is a bare host, it has no agent")

    def _libvirtd_listens(self) -> bool:
        """Asked inside: a cut cable says nothing about the daemon."""
        pid = self._ask({"do": "status"}).get("libvirtd")
        if not pid:
            raise Unavailable(f"{self.name}: libvirtd ended at once", tail(self.folder / "libvirtd.log"))
        port = libvirtd.TCP_PORT if self.lab.bare else libvirtd.TLS_PORT
        # Linux lists every TCP socket of the process's network namespace; state 0A is LISTEN.
        listening = Path(f"/proc/{self._pid()}/net/tcp").read_text()
        return any(f":{port:04X} " in line and " 0A " in line for line in listening.splitlines())

    def _ask(self, request: dict[str, str]) -> dict[str, int]:
        if not self._pid():
            refuse_off(self.name)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(BOOT_SECONDS)
            try:
                peer.connect(str(self.folder / "init.sock"))
                peer.sendall(json.dumps(request).encode())
                answer = json.loads(peer.makefile("rb").read())
            except (OSError, ValueError) as error:
                raise Unavailable(f"{self.name}: PID 1 does not answer: {error}", tail(self.log)) from error
        if "error" in answer:
            raise Unavailable(f"{self.name}: {answer['error']}", tail(self.log))
        pids: dict[str, int] = answer["pids"]
        return pids

    # -- network -------------------------------------------------------------------------------------------------------
    def set_cable(self, is_cut: bool) -> None:
        if self._pid():
            network.cut(self.plan, self.record.number, is_cut)
        self.record.cut = is_cut
        self.folders.save(self.lab)

    def set_rate(self, bits: int) -> None:
        pid = self._pid()
        if pid:
            network.slow(self.plan, self.record.number, pid, bits)
        self.record.rate_bits = bits
        self.folders.save(self.lab)

    # -- status --------------------------------------------------------------------------------------------------------
    def status(self) -> HostStatus:
        pid = self._pid()
        inside = self._ask({"do": "status"}) if pid else {}
        outside = self._outside() if pid else {}
        boot_id = self.folder / "boot-id"
        return HostStatus(
            name=self.name,
            state="up" if pid else "off",
            pid=pid,
            agent=outside.get(inside.get("agent", 0)),
            libvirtd=outside.get(inside.get("libvirtd", 0)),
            network="cut" if self.record.cut else "ok",
            rate_bits_per_second=self.record.rate_bits or None,
            address=self.address,
            boot_id=boot_id.read_text().strip() if pid else None,
        )

    def _pid(self) -> int | None:
        """PID 1 as seen from outside, while it lives."""
        process = self.record.process
        return process.pid if process is not None and process.alive() else None

    def _outside(self) -> dict[int, int]:
        """Pid inside -> pid outside, of the host's own processes."""
        found = {}
        for process in self.group.processes():
            try:
                status = Path(f"/proc/{process.pid}/status").read_text()
            except (FileNotFoundError, ProcessLookupError):  # ended meanwhile
                continue
            numbers = next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[1:]
            found[int(numbers[-1])] = process.pid
        return found


def missing() -> str:
    """What a namespace host needs and this machine lacks; empty when it has all."""
    tools = [tool for tool in ("ip", "tc", "bridge", "nsenter", "qemu-system-x86_64") if shutil.which(tool) is None]
    if not Path(libvirtd.argv()[0]).exists():
        tools.append("libvirtd")
    return ", ".join(tools)
