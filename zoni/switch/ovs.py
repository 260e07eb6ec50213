"""The ovs driver: a bridge of Open vSwitch on this machine, by ovs-vsctl, ovs-ofctl and ovs-appctl.

A port's VLANs are one transaction in OVS's database, which outlives it: there is nothing to save, and no VLAN is made
before a port is in it. That a port is closed is the interface's own state, which does not outlive the machine.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from typing import Any

from msgspec.structs import replace

from tashi.wire.errors import Code
from zoni.outcome import DeviceError, Unproven
from zoni.switch.interface import Capability, Identity, Mac, Neighbour, State, SwitchError
from zoni.switch.ovs_ports import Columns, after, columns_of, read_port
from zoni.switch.paths import Ovs
from zoni.switch.steps import Close, Create, Destroy, DeviceStep, Label, Open

LABEL = "zoni-label"
VERSIONS = "OpenFlow10,OpenFlow13,OpenFlow14"
DESCRIBED = re.compile(r"^ (\d+|LOCAL)\((.+?)\): addr:(\S+)$")
SPEED = re.compile(r"^\s+speed: (\d+) Mbps now")


class OvsDriver:
    """Implements `zoni.switch.interface.Driver`."""

    capabilities = frozenset({Capability.LABEL, Capability.FILTER, Capability.MACS})

    def __init__(self, path: Ovs, seconds: float) -> None:
        self.where, self._path, self._seconds = path.where, path, max(1, round(seconds))
        self._door = f"unix:{path.run}/{path.bridge}.mgmt"

    def identity(self) -> Identity:
        version = json.loads(self._read("get", "Open_vSwitch", ".", "ovs_version"))
        mac = json.loads(self._read("get", "Interface", self._path.bridge, "mac_in_use"))
        return Identity(self._path.bridge, f"Open vSwitch {version or ''}".strip(), mac or "")

    def look(self) -> State:
        names = self._read("list-ports", self._path.bridge).split()
        rows = self._rows(names) if names else {}
        links = self._links()
        ports = {}
        for name in names:
            if name not in rows or name not in links:
                raise SwitchError(Code.UNAVAILABLE, f"{self.where}: half a table: nothing of port {name}")
            on, up, speed, _ = links[name]
            columns, label = rows[name]
            ports[name] = replace(read_port(name, columns), label=label, on=on, up=up, speed_mbps=speed)
        vlans = {vlan for port in ports.values() for vlan in (*port.untagged, *port.tagged)}
        return State(dict.fromkeys(sorted(vlans), ""), ports)

    def do(self, step: DeviceStep) -> None:
        match step:
            case Create() | Destroy():
                raise SwitchError(Code.IMPOSSIBLE, f"{self.where}: VLANs are there by being used")
            case Close(port):
                self._run("ovs-ofctl", "-O", VERSIONS, "mod-port", self._door, port, "down", lost=Unproven)
            case Open(port):
                self._run("ovs-ofctl", "-O", VERSIONS, "mod-port", self._door, port, "up", lost=Unproven)
            case Label(port, ""):
                self._change("remove", "Port", port, "external_ids", LABEL)
            case Label(port, text):
                self._change("set", "Port", port, f"external_ids:{LABEL}={json.dumps(text)}")
            case _:
                columns, _ = self._rows([step.port])[step.port]
                wanted = columns_of(after(read_port(step.port, columns), step))
                self._change(
                    *("set", "Port", step.port),
                    f"vlan_mode={wanted.mode or '[]'}",
                    f"tag={'[]' if wanted.tag is None else wanted.tag}",
                    f"trunks=[{','.join(map(str, wanted.trunks))}]",
                )

    def save(self) -> None:
        raise SwitchError(Code.IMPOSSIBLE, f"{self.where}: there is nothing to save")

    def macs(self) -> list[Mac]:
        told = self._run("ovs-appctl", f"--timeout={self._seconds}", "fdb/show", self._path.bridge)
        names = {number: name for name, (_, _, _, number) in self._links().items()}
        rows = (line.split() for line in told.splitlines()[1:])
        return [Mac(row[2], names[row[0]], int(row[1])) for row in rows if row[0] in names]

    def neighbours(self) -> list[Neighbour]:
        raise SwitchError(Code.IMPOSSIBLE, f"{self.where}: can't do neighbours")

    def weaknesses(self) -> list[str]:
        """Its sockets are files of this machine."""
        return []

    def close(self) -> None:
        """There is no session."""

    # -- parts -------------------------------------------------------------------------------------------------------

    def _rows(self, names: list[str]) -> dict[str, tuple[Columns, str]]:
        """VLANs and label of ports."""
        columns = "name,vlan_mode,tag,trunks,external_ids"
        told = json.loads(self._read("--format=json", f"--columns={columns}", "list", "Port", *names))
        rows = {}
        for name, mode, tag, trunks, more in told["data"]:
            one = Columns("".join(_set(mode)), next(iter(_set(tag)), None), tuple(_set(trunks)))
            rows[name] = (one, dict(more[1]).get(LABEL, ""))
        return rows

    def _links(self) -> dict[str, tuple[bool, bool, int | None, str]]:
        """By port: whether it is on, up, its speed in Mb/s, and its number."""
        links: dict[str, tuple[bool, bool, int | None, str]] = {}
        name = ""
        for line in self._run("ovs-ofctl", "-O", VERSIONS, "dump-ports-desc", self._door).splitlines():
            if match := DESCRIBED.match(line):
                name = match[2]
                links[name] = (True, True, None, match[1])
            elif name:
                on, up, speed, number = links[name]
                fast = SPEED.match(line)
                speed = int(fast[1]) or None if fast else speed
                links[name] = (on and "PORT_DOWN" not in line, up and "LINK_DOWN" not in line, speed, number)
        return links

    def _read(self, *words: str) -> str:
        return self._run("ovs-vsctl", *self._database(), *words)

    def _change(self, *words: str) -> None:
        self._run("ovs-vsctl", *self._database(), *words, lost=Unproven)

    def _database(self) -> tuple[str, str]:
        return f"--db=unix:{self._path.run}/db.sock", f"--timeout={self._seconds}"

    def _run(self, program: str, *words: str, lost: type[DeviceError | Unproven] = SwitchError) -> str:
        """What it prints. Raises ``lost`` when it did not end by itself, SwitchError when it refused."""
        try:
            done = subprocess.run(
                [program, *words],
                capture_output=True,
                text=True,
                timeout=self._seconds + 1,
                env=os.environ | {"OVS_RUNDIR": self._path.run},
            )
        except FileNotFoundError as error:
            raise SwitchError(Code.IMPOSSIBLE, f"{self.where}: {program} is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise lost(Code.UNAVAILABLE, f"{self.where}: no answer") from error
        if done.returncode < 0:
            raise lost(Code.UNAVAILABLE, f"{self.where}: no answer")
        if done.returncode:
            why = done.stderr.strip().splitlines()[-1].partition(": ")[2] if done.stderr.strip() else "failed"
            code = Code.NOT_FOUND if why.startswith("no bridge named") else Code.UNAVAILABLE
            raise SwitchError(code, f"{self.where}: {why}")
        return done.stdout


def _set(value: Any) -> list[Any]:
    """A column that may be absent or many (RFC 7047, 5.1)."""
    return value[1] if isinstance(value, list) and value[0] == "set" else [value]
