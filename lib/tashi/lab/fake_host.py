"""A host that is one agent process with the fake driver: no root, no hypervisor, guests that are files.

Its guests outlive the agent, as real ones do; only a power cut ends them.
"""

from __future__ import annotations

import importlib
import json
import signal
import socket
import uuid
from collections.abc import Sequence
from typing import Any

import tomli_w

from tashi.lab.call import call
from tashi.lab.host import HostStatus, Service, refuse_off
from tashi.lab.process import marked, spawn
from tashi.lab.programs import program, surroundings
from tashi.lab.record import Folders, Record
from tashi.wire.errors import Code, Refused, Unavailable

ADDRESS = "127.0.0.1"
SIZE = {"cores": 64, "memory": "256G", "disk": "4T"}
PROXY_SECONDS = 5.0


class FakeHost:
    def __init__(self, folders: Folders, record: Record, name: str) -> None:
        self.name = name
        self.folders, self.lab = folders, record
        self.record = record.hosts[name]
        self.folder = folders.data / "hosts" / name
        self.world = folders.data / "world"
        self.config = self.folder / "tashi.toml"
        self.boot_id = self.folder / "boot-id"
        self.mark = f"{record.mark}/{name}"

    # -- power ---------------------------------------------------------------------------------------------------------
    def power_on(self) -> None:
        if self.record.powered:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        machine = uuid.uuid5(uuid.UUID(self.lab.mark), self.name)
        (self.folder / "machine-id").write_text(machine.hex + "\n")
        self.boot_id.write_text(f"{uuid.uuid4()}\n")
        self._world().power_on(self.name)
        self._change_cable({"drop": True, "cut": self.record.cut, "rate_bits": self.record.rate_bits})
        self.record.powered = True
        self.folders.save(self.lab)

    def power_off(self) -> None:
        if not self.record.powered:
            return
        self._change_cable({"cut": True})  # a machine without power closes no connections
        self._kill()
        self._world().power_cut(self.name)
        self.record.powered = False
        self.folders.save(self.lab)

    def remove(self) -> None:
        self._kill()

    def _kill(self) -> None:
        """The agent and its workers: one that outlived it would start guests on a host without power."""
        for process in marked(self.mark):
            process.end()
        self.record.process = None
        self.folders.save(self.lab)

    def _world(self) -> Any:
        return importlib.import_module("tashid.driver.fake").World(str(self.world))

    # -- services ------------------------------------------------------------------------------------------------------
    def enroll(self, document: dict[str, Any]) -> None:
        agent = {"state": str(self.folder / "agent"), "driver": "fake", "address": ADDRESS, "lab": True} | SIZE
        sections: dict[str, dict[str, Any]] = {
            "agent": agent | self.lab.settings.get("agent", {}),
            "pool": {"path": str(self.folders.data / "pool")},
            "fake": {"path": str(self.world)} | self.lab.settings.get("fake", {}),
        }
        self.config.write_text(tomli_w.dumps(sections))
        # The agent is to reach the controller through its cable.
        ways = {key: [f"tcp://{ADDRESS}:{self.record.ports[key]}"] for key in ("controller", "enroll")}
        argv = [*program("tashi-agent"), "--config", str(self.config), "--enroll", "-"]
        call(argv, text=tomli_w.dumps(document | ways), environment=self._environment())

    def start(self, service: Service) -> None:
        self._only_agent(service)
        if not self.record.powered:
            refuse_off(self.name)
        if self._pid():
            return
        argv = [*program("tashi-agent"), "--config", str(self.config)]
        self.record.process = spawn(argv, self.folder / "agent.log", self._environment())
        self.folders.save(self.lab)

    def stop(self, service: Service, number: signal.Signals) -> None:
        self._only_agent(service)
        if self.record.process is not None:
            self.record.process.end(number)
        self.record.process = None
        self.folders.save(self.lab)

    def command(self, argv: Sequence[str]) -> list[str]:
        raise Refused(Code.WRONG_STATE, f"{self.name}: is a fake host, nothing can run in it")

    def _only_agent(self, service: Service) -> None:
        if service != "agent":
            raise Refused(Code.WRONG_STATE, f"{self.name}: is a fake host, it has no {service}")

    def _environment(self) -> dict[str, str]:
        return surroundings(self.mark) | {
            "TASHI_BOOT_ID_FILE": str(self.boot_id),
            "TASHI_MACHINE_ID_FILE": str(self.folder / "machine-id"),
        }

    # -- network -------------------------------------------------------------------------------------------------------
    def set_cable(self, is_cut: bool) -> None:
        self.record.cut = is_cut
        self._cable_as_recorded()
        # The hypervisors speak to each other past the proxy, in the fake world.
        for name, other in self.lab.hosts.items():
            if name != self.name:
                change = self._world().cut if is_cut or other.cut else self._world().heal
                change(self.name, name)

    def set_rate(self, bits: int) -> None:
        self.record.rate_bits = bits
        self._cable_as_recorded()

    def _cable_as_recorded(self) -> None:
        self.folders.save(self.lab)
        if self.record.powered:
            self._change_cable({"cut": self.record.cut, "rate_bits": self.record.rate_bits})

    def _change_cable(self, change: dict[str, bool | int]) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as peer:
            peer.settimeout(PROXY_SECONDS)
            try:
                peer.connect(str(self.folders.run / "proxy.sock"))
                peer.sendall(json.dumps({"host": self.name} | change).encode())
                answer = json.loads(peer.makefile("rb").read())
            except (OSError, ValueError) as error:
                raise Unavailable(f"{self.name}: the proxy that is its cable does not answer: {error}") from error
        if "error" in answer:
            raise Unavailable(f"{self.name}: {answer['error']}")

    # -- status --------------------------------------------------------------------------------------------------------
    def status(self) -> HostStatus:
        return HostStatus(
            name=self.name,
            state="up" if self.record.powered else "off",
            pid=None,
            agent=self._pid(),
            libvirtd=None,
            network="cut" if self.record.cut else "ok",
            rate_bits_per_second=self.record.rate_bits or None,
            address=ADDRESS,
            boot_id=self.boot_id.read_text().strip() if self.record.powered else None,
        )

    def _pid(self) -> int | None:
        process = self.record.process
        return process.pid if process is not None and process.alive() else None
