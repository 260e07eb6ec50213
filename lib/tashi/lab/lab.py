"""A lab as a whole: made, found again, taken down.

It is made in this order: the record, so that `down` knows what to look for whatever happens next; the guests' files,
the networks, the devices around the machines, the controller; then all hosts at once, each booted, enrolled and its
agent started; then the machines' records and the zoni agent; then the images.
`down` needs none of it to be whole.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tashi.lab import address, fake_host, namespace_host, network
from tashi.lab.call import wait_until
from tashi.lab.controller import Controller, pool_images
from tashi.lab.devices import Devices
from tashi.lab.guests import build
from tashi.lab.host import Host
from tashi.lab.machines import MACHINES_MAX, Machines
from tashi.lab.ports import free_ports
from tashi.lab.process import Process, marked, spawn
from tashi.lab.programs import lay_out_pages, surroundings
from tashi.lab.proxy import Plan as ProxyPlan
from tashi.lab.record import Folders, HostRecord, Kind, MachineRecord, Record, Settings, homes, locked, names, new_mark
from tashi.lab.switch import Switch
from tashi.lab.zoni import Zoni
from tashi.wire.errors import Code, NotFound, Refused, TashiError

CONTROLLER_PORTS = tuple(
    f"{second}{door}_port" for second in ("", "second_") for door in ("user", "admin", "agent", "enroll")
)
PROXY_SECONDS = 10.0
KILL_SECONDS, KILL_PAUSE = 5.0, 0.02  # some can't die before their host is removed: frozen tasks are thawed by that
# On the Linux guest's kernel line, beside the guests' network; the rest spares an emulated processor some work.
KERNEL_ARGS = "console=ttyS0 quiet panic=-1 nokaslr mitigations=off cryptomgr.notests ipv6.disable=1"


class Lab:
    """A lab that is there. Methods that change it expect the caller to hold `Lab.opened`."""

    def __init__(self, folders: Folders, record: Record) -> None:
        self.folders, self.record = folders, record
        self.plan = address.Plan(record.index)
        fake = record.kind == "fake"
        make: Callable[[Folders, Record, str], Host] = fake_host.FakeHost if fake else namespace_host.NamespaceHost
        self.hosts = {name: make(folders, record, name) for name in record.hosts}
        here = fake_host.ADDRESS if fake else self.plan.lab
        self.controller = Controller(folders, record, here)
        self.devices = Devices(folders, record, here)
        self.machines = Machines(self.devices, record)
        self.switch = Switch(self.devices, record)
        self.zoni = Zoni(self.devices, record, self.controller)

    @classmethod
    @contextmanager
    def opened(cls, name: str) -> Iterator[Lab]:
        """The lab of this name, and nobody else at work on it. Raises NotFound."""
        folders = Folders(name)
        folders.load()
        with locked(folders.run):
            yield cls(folders, folders.load())

    @classmethod
    def seen(cls, name: str) -> Lab:
        """The lab of this name, to look at or to run commands in."""
        folders = Folders(name)
        return cls(folders, folders.load())

    @classmethod
    def up(
        cls,
        name: str,
        hosts: int,
        kind: Kind,
        *,
        machines: int = 0,
        bare: bool = False,
        settings: Settings | None = None,
    ) -> Lab:
        """Make a lab of hosts h1, h2... and physical machines m1, m2...; ``bare`` ones have no controller, agents and
        images.

        ``settings`` go into every tashi.toml of it. Raises TashiError; what was made by then is `down`'s to remove.
        """
        if kind == "libvirt":
            _check_machine()
        folders = Folders(name)
        _claim(folders, hosts, machines, kind, bare, settings or {})
        with cls.opened(name) as lab:
            try:
                lab._make()
            except TashiError as error:
                error.hint = "\n".join(
                    filter(None, (error.hint, f"tashi-lab down --name {name} removes what was made"))
                )
                raise
            return lab

    def host(self, name: str) -> Host:
        """Raises NotFound with the names that there are."""
        if name not in self.hosts:
            raise NotFound(f"{name}: no such host in lab {self.record.name}", f"there are {', '.join(self.hosts)}")
        return self.hosts[name]

    def command(self, name: str, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` in a host, or in the network of a machine. Raises NotFound, Refused."""
        return self.switch.command(name, argv) if name in self.switch.ports else self.host(name).command(argv)

    def environment(self) -> dict[str, str]:
        """What a shell needs so that every command speaks to this lab."""
        found = {"TASHI_LAB": self.record.name, "TASHI_CONFIG": str(self.controller.config)}
        return found if self.record.bare else {"TASHI_CONTROLLER": self.controller.url} | found

    @property
    def pages(self) -> Path:
        """Where man finds the commands' pages; only of a lab that is made from a checkout."""
        return self.folders.data / "man"

    # -- making --------------------------------------------------------------------------------------------------------
    def _make(self) -> None:
        self.folders.data.mkdir(parents=True, exist_ok=True)
        images = pool_images(self.folders)
        images.mkdir(parents=True)
        lay_out_pages(self.pages)
        if self.record.kind == "fake":
            build.placeholders(images)
            self._start_proxy()
        else:
            for file in build.IMAGES:
                shutil.copy(build.built() / file, images)
            network.make(self.plan)
        if self.record.machines:
            self.devices.prepare()
            self.machines.begin()
            self.switch.begin()
        if not self.record.bare:
            self.controller.configure()
            self.controller.start()
        documents = {} if self.record.bare else self.controller.add_hosts(self.hosts)
        with ThreadPoolExecutor(max_workers=4) as pool:
            made = [pool.submit(_make_host, host, documents.get(name)) for name, host in self.hosts.items()]
            for done in made:
                done.result()
        if self.record.machines:
            self.devices.wait("rack", "bmc", "redfish", "pdu")
            self.switch.plug()
            self.devices.wait("switch")
        if not self.record.bare:
            self.controller.wait_hosts()
            if self.record.machines:
                self.zoni.enlist(self.machines, self.switch)
                self.zoni.enroll()
                self.zoni.start()
            self.controller.add_images(f"{KERNEL_ARGS} lab.net={self.plan.guest_prefix}")

    def _start_proxy(self) -> None:
        file, control = self.folders.data / "proxy.json", self.folders.run / "proxy.sock"
        leads = {"controller": self.record.ports["agent_port"], "enroll": self.record.ports["enroll_port"]}
        plan: ProxyPlan = {
            "address": fake_host.ADDRESS,
            "control": str(control),
            "routes": {
                name: [(port, leads[kind]) for kind, port in host.ports.items()]
                for name, host in self.record.hosts.items()
            },
        }
        file.write_text(json.dumps(plan, indent=1))
        log = self.folders.data / "proxy.log"
        argv = [sys.executable, "-m", "tashi.lab.proxy", str(file)]
        self.record.proxy = spawn(argv, log, surroundings(self.record.mark))
        self.folders.save(self.record)
        wait_until(control.exists, "the proxy listens", seconds=PROXY_SECONDS, log=log)


def _make_host(host: Host, document: dict[str, Any] | None) -> None:
    host.power_on()
    if document is not None:
        host.enroll(document)
        host.start("agent")


def down(name: str) -> bool:
    """Remove the lab of this name, whatever is left of it; False when nothing is. Raises TashiError if some resists."""
    folders = Folders(name)
    try:
        with locked(folders.run):
            _end(folders)
            folders.remove()
    except NotFound:
        if not folders.data.exists():
            return False
        folders.remove()  # the machine lost /run since
    return True


def _end(folders: Folders) -> None:
    try:
        record = folders.load()
    except NotFound:
        return  # it failed before it made anything but its folder
    lab = Lab(folders, record)
    # Everything at once, also what was started and not recorded, and workers that outlived their agent; and again what
    # those had just started.
    ended, until = set[Process](), time.monotonic() + KILL_SECONDS
    while (ours := marked(record.mark)) and time.monotonic() < until:
        for process in ours:
            process.send(signal.SIGKILL)
        ended.update(ours)
        time.sleep(KILL_PAUSE)
    for host in lab.hosts.values():
        host.remove()
    for process in ended:
        process.wait()
    if record.kind == "libvirt":
        network.remove(lab.plan, [host.number for host in record.hosts.values()])


def _claim(folders: Folders, hosts: int, machines: int, kind: Kind, bare: bool, settings: Settings) -> None:
    """Write the record of a new lab, with an index and ports that no other lab has."""
    if not 1 <= hosts <= address.HOSTS_MAX:
        raise Refused(Code.BAD_REQUEST, f"--hosts {hosts}: a lab has 1 to {address.HOSTS_MAX}")
    if not 0 <= machines <= MACHINES_MAX:
        raise Refused(Code.BAD_REQUEST, f"--machines {machines}: a lab has 0 to {MACHINES_MAX}")
    with _home_locked():
        if folders.run.exists() or folders.data.exists():
            again = f"tashi-lab down --name {folders.name}"
            raise Refused(Code.WRONG_STATE, f"lab {folders.name}: is there already", again)
        others = [other for other in map(_record_of, names()) if other is not None]
        index = _free_index({other.index for other in others}) if kind == "libvirt" else 0
        taken = {port for other in others for port in _ports(other)}
        records = {f"h{number}": HostRecord(number) for number in range(1, hosts + 1)}
        wanted = len(CONTROLLER_PORTS) + 4 * hosts + 2 * machines + 3
        numbered = [*(f"m{number}" for number in range(1, machines + 1)), *records] if machines else []
        ports = iter(free_ports(wanted, "0.0.0.0", taken))
        record = Record(
            name=folders.name,
            mark=new_mark(),
            kind=kind,
            index=index,
            bare=bare,
            ports={name: next(ports) for name in CONTROLLER_PORTS},
            hosts=records,
            settings=settings,
            machines={name: MachineRecord(outlet, next(ports), next(ports)) for outlet, name in enumerate(numbered, 1)},
            pdu_port=next(ports) if machines else 0,
            switch_port=next(ports) if machines else 0,
            stream_port=next(ports) if machines else 0,
        )
        if kind == "fake":
            for host in records.values():
                host.ports = {"controller": next(ports), "enroll": next(ports)}
        folders.run.mkdir(mode=0o755)
        folders.save(record)


@contextmanager
def _home_locked() -> Iterator[None]:
    """Nobody else claims anything meanwhile; the folder goes with the last lab, perhaps just now."""
    home = homes()[0]
    with ExitStack() as held:
        while True:
            home.mkdir(mode=0o755, parents=True, exist_ok=True)
            try:
                held.enter_context(locked(home))
                break
            except NotFound:
                continue
        yield


def _record_of(name: str) -> Record | None:
    try:
        return Folders(name).load()
    except TashiError:
        return None


def _ports(record: Record) -> list[int]:
    of_hosts = [port for host in record.hosts.values() for port in host.ports.values()]
    of_machines = [
        record.pdu_port,
        record.switch_port,
        record.stream_port,
        *(port for each in record.machines.values() for port in (each.ipmi_port, each.redfish_port)),
    ]
    return [*record.ports.values(), *of_hosts, *of_machines]


def _free_index(taken: set[int]) -> int:
    """An index whose networks overlap nothing that this machine knows a way to, and whose bridges are not there."""
    used, links = network.in_use(), network.links()
    for index in address.INDEXES:
        plan = address.Plan(index)
        clashes = any(mine.overlaps(other) for other in used for mine in (plan.machines, plan.guests))
        if index not in taken and not clashes and not any(plan.bridge(each) in links for each in network.NETWORKS):
            return index
    raise Refused(Code.NO_ROOM, "no address range is free for another lab", "tashi-lab down --all")


def _check_machine() -> None:
    if os.geteuid() != 0:
        raise Refused(Code.DENIED, "hosts with libvirt need root", "tashi-lab up --driver fake needs none")
    missing = namespace_host.missing()
    if missing:
        raise Refused(Code.WRONG_STATE, f"hosts with libvirt need {missing}", "`make setup` installs it")
