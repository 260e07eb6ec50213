"""The linux-bridge driver: a bridge of this machine's kernel that filters VLANs, by ip and bridge of iproute2.

A bridge keeps nothing over a start of the machine, and no VLAN is made before a port is in it.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from tashi.wire.errors import Code
from zoni.outcome import DeviceError, Unproven
from zoni.switch.interface import Capability, Identity, Mac, Neighbour, Port, State, SwitchError
from zoni.switch.paths import LinuxBridge
from zoni.switch.steps import Close, Create, Destroy, DeviceStep, Filter, Join, Label, Leave, Native, Open

PVID, UNTAGGED = "PVID", "Egress Untagged"


class LinuxBridgeDriver:
    """Implements `zoni.switch.interface.Driver`."""

    capabilities = frozenset({Capability.LABEL, Capability.MACS})

    def __init__(self, path: LinuxBridge, seconds: float) -> None:
        self.where, self._path, self._seconds = path.where, path, seconds

    def identity(self) -> Identity:
        return Identity(self._path.bridge, "Linux bridge", self._bridge()["address"])

    def look(self) -> State:
        self._bridge()
        vlans = {row["ifname"]: row["vlans"] for row in self._tell("bridge", "-j", "vlan", "show")}
        ports = {}
        for link in self._tell("ip", "-j", "link", "show", "master", self._path.bridge):
            name = link["ifname"]
            port = read_port(name, vlans.get(name, []))
            up = link["operstate"] == "UP"
            ports[name] = replace(
                port, label=link.get("ifalias", ""), on="UP" in link["flags"], up=up, speed_mbps=self._speed(name)
            )
        used = {vlan for port in ports.values() for vlan in (*port.untagged, *port.tagged)}
        return State(dict.fromkeys(sorted(used), ""), ports)

    def do(self, step: DeviceStep) -> None:
        match step:
            case Create() | Destroy() | Filter():
                raise SwitchError(Code.IMPOSSIBLE, f"{self.where}: VLANs are there by being used, and always filtered")
            case Close(port):
                self._change("ip", "link", "set", "dev", port, "down")
            case Open(port):
                self._change("ip", "link", "set", "dev", port, "up")
            case Label(port, text):
                self._change("ip", "link", "set", "dev", port, "alias", text)
            case Leave(port, vlan):
                self._change("bridge", "vlan", "del", "dev", port, "vid", str(vlan))
            case Join(port, vlan, tagged):
                self._add(port, vlan, *([] if tagged else ["pvid", "untagged"]))
            case Native(port, vlan):
                self._set_native(port, vlan)

    def save(self) -> None:
        raise SwitchError(Code.IMPOSSIBLE, f"{self.where}: can't save")

    def macs(self) -> list[Mac]:
        rows = self._tell("bridge", "-j", "fdb", "show", "br", self._path.bridge)
        return [
            Mac(row["mac"], row["ifname"], row.get("vlan", 0))
            for row in rows
            if row.get("master") == self._path.bridge and row.get("state", "") not in ("permanent", "static")
        ]

    def neighbours(self) -> list[Neighbour]:
        raise SwitchError(Code.IMPOSSIBLE, f"{self.where}: can't do neighbours")

    def weaknesses(self) -> list[str]:
        """It is spoken to by the kernel's own calls alone."""
        return []

    def close(self) -> None:
        """There is no session."""

    # -- parts -------------------------------------------------------------------------------------------------------

    def _bridge(self) -> dict[str, Any]:
        """The bridge itself. Raises SwitchError where it does not filter."""
        (link,) = self._tell("ip", "-j", "-d", "link", "show", "dev", self._path.bridge)
        about = link.get("linkinfo", {})
        if about.get("info_kind") != "bridge":
            raise SwitchError(Code.NOT_FOUND, f"{self.where}: is not a bridge")
        if not about.get("info_data", {}).get("vlan_filtering"):
            hint = f"ip link set dev {self._path.bridge} type bridge vlan_filtering 1"
            raise SwitchError(Code.IMPOSSIBLE, f"{self.where}: does not filter VLANs", hint)
        return dict(link)

    def _set_native(self, port: str, vlan: int) -> None:
        """A port has no native VLAN that it is not in: one that is yet to be joined becomes so by joining."""
        now = self.look().ports[port]
        if vlan in (*now.untagged, *now.tagged):
            self._add(port, vlan, "pvid", *(["untagged"] if vlan in now.untagged else []))
        elif now.native:
            self._add(port, now.native, *(["untagged"] if now.native in now.untagged else []))

    def _add(self, port: str, vlan: int, *flags: str) -> None:
        self._change("bridge", "vlan", "add", "dev", port, "vid", str(vlan), *flags)

    def _speed(self, port: str) -> int | None:
        """None for a link that is down, or of a kind that has no speed; of other namespaces nothing can be read."""
        if self._path.netns:
            return None
        try:
            speed = int(Path(f"/sys/class/net/{port}/speed").read_text())
        except (OSError, ValueError):
            return None
        return speed if speed > 0 else None

    def _tell(self, program: str, *words: str) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = json.loads(self._run(SwitchError, program, *words) or "[]")
        return [row for row in told if row]

    def _change(self, program: str, *words: str) -> None:
        self._run(Unproven, program, *words)

    def _run(self, lost: type[DeviceError | Unproven], program: str, *words: str) -> str:
        """What it prints. Raises ``lost`` when it did not end by itself, SwitchError when it refused."""
        inside = ["-n", self._path.netns] if self._path.netns else []
        command = [program, *inside, *words]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=self._seconds)
        except FileNotFoundError as error:
            raise SwitchError(Code.IMPOSSIBLE, f"{self.where}: {program} is not installed") from error
        except subprocess.TimeoutExpired as error:
            raise lost(Code.UNAVAILABLE, f"{self.where}: no answer") from error
        if done.returncode:
            why = " ".join(done.stderr.split()) or "failed"
            code = Code.NOT_FOUND if "does not exist" in why else Code.UNAVAILABLE
            raise SwitchError(code, f"{self.where}: {program}: {why}")
        return done.stdout


def read_port(name: str, rows: list[dict[str, Any]]) -> Port:
    """From its rows of ``bridge -j vlan show``, where neighbours of one kind may be one row with an end."""
    native, untagged, tagged = 0, list[int](), list[int]()
    for row in rows:
        flags = row.get("flags", [])
        for vlan in range(row["vlan"], row.get("vlanEnd", row["vlan"]) + 1):
            (untagged if UNTAGGED in flags else tagged).append(vlan)
            native = vlan if PVID in flags else native
    return Port(name, native=native, untagged=tuple(sorted(untagged)), tagged=tuple(sorted(tagged)))
