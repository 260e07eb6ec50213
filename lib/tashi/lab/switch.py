"""The lab's switch, and what is plugged in: an Open vSwitch in a network namespace of its own behind an SNMP agent.

Port n is that of the machine on outlet n. Each machine has a namespace, too, which its rack keeps and which has a link
while it runs; so nothing of all this is ever seen in the namespace that the lab is started in, and all of it goes with
its processes. In a lab of fake hosts there is the agent alone, and nothing carries frames.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from tashi.lab import faults
from tashi.lab.address import Plan
from tashi.lab.call import call, wait_until
from tashi.lab.devices import SNMP_USER, Devices
from tashi.lab.process import spawn
from tashi.lab.programs import surroundings
from tashi.lab.record import Record
from tashi.wire.errors import Code, Refused

BRIDGE, NIC, NETWORK = "br", "eth0", "s"
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
RESTART_SECONDS = 2.0
# In a namespace that has just been made: no chatter of its own; a link that counts no checksums, for no card will.
QUIET = "sysctl -q net.ipv6.conf.all.disable_ipv6=1 net.ipv6.conf.default.disable_ipv6=1; ip link set lo up"


class Switch:
    def __init__(self, devices: Devices, record: Record) -> None:
        self.devices, self.record = devices, record
        self.plan = Plan(record.index)
        self.folder = devices.folder / "ovs"
        self.run = devices.folders.run / "ovs"
        self.ports = {name: each.outlet for name, each in record.machines.items() if name not in record.hosts}

    def begin(self) -> None:
        """Start Open vSwitch; `plug` makes a switch of it."""
        if self.record.kind == "fake":
            return
        self.run.mkdir()
        self.folder.mkdir()
        database = str(self.folder / "conf.db")
        call(["ovsdb-tool", "create", database, SCHEMA])
        self._spawn("ovsdb", "ovsdb-server", database, f"--remote=p{self._database}")
        argv = ["ovs-vswitchd", self._database, "--disable-system"]
        self._spawn("vswitchd", "unshare", "--net", "sh", "-c", f'{QUIET}; exec "$@"', "sh", *argv)

    def plug(self) -> None:
        """Plug the machines in, and start the agent; the rack is there."""
        rest: dict[str, Any] = {}
        if self.record.kind != "fake":
            wait_until(lambda: (self.run / "db.sock").exists(), "Open vSwitch answers", log=self.devices.log("ovsdb"))
            self._plug()
            rest = {"ovs": {"run": str(self.run), "bridge": BRIDGE}}
        words = [SNMP_USER, self.devices.password("snmp-auth"), self.devices.password("snmp-privacy")]
        plan = {"port": self.record.switch_port, "name": "switch", "ports": len(self.ports), "user": words}
        self.devices.begin("switch", plan | rest)

    def mac(self, name: str) -> str:
        """Of a machine's one NIC."""
        return self.plan.mac(NETWORK, self.ports[name], 1)

    def command(self, name: str, argv: Sequence[str]) -> list[str]:
        """The command line that runs ``argv`` in the network of a machine that is on."""
        if self.record.kind == "fake":
            raise Refused(Code.WRONG_STATE, f"{name}: is a record, nothing can run in it")
        told = self.devices.ask("rack", {"machine": name})
        if not told["on"]:
            raise Refused(Code.WRONG_STATE, f"{name}: is off", f"zoni-power on {name}")
        return inside(told["namespace"], *argv)

    def break_(self, fault: str) -> None:
        self.devices.ask("switch", faults.request(faults.SWITCH, fault, {}))

    def restart(self) -> None:
        """It is dark for a while, and comes back with what was saved."""
        self.devices.ask("switch", {"restart": RESTART_SECONDS})

    def status(self) -> dict[str, Any]:
        """One of status's rows."""
        told = self.devices.look("switch", {})
        return {
            "name": "switch",
            "state": "up" if told else "off",
            "pid": self.devices.pid("switch"),
            "address": f"{self.devices.address}:{self.record.switch_port}",
            "faults": faults.health(faults.SWITCH, told),
        }

    # -- parts ---------------------------------------------------------------------------------------------------------
    @property
    def _database(self) -> str:
        return f"unix:{self.run}/db.sock"

    def _plug(self) -> None:
        bridge = _moved(self.record.devices["vswitchd"].pid)
        words = ["add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=netdev", "fail_mode=secure"]
        for name, number in self.ports.items():
            port, machine = f"p{number}", _moved(self.devices.ask("rack", {"machine": name})["namespace"])
            near, far = f"address {self.plan.mac(NETWORK, number)}", f"address {self.mac(name)}"
            link = f"link add {port} {near} netns {bridge} type veth peer name {NIC} {far} netns {machine}"
            call(["ip", *link.split()])
            call(inside(bridge, "ip", "link", "set", port, "up"))
            address = f"192.168.77.{number}/24"
            ours = f"{QUIET}; ip addr add {address} dev {NIC} && ethtool -K {NIC} tx off"
            call(inside(machine, "sh", "-c", ours))
            words += ["--", "add-port", BRIDGE, port, "--", "set", "interface", port, f"ofport_request={number}"]
        call(["ovs-vsctl", f"--db={self._database}", "--retry", "--no-wait", "init"])
        call(["ovs-vsctl", f"--db={self._database}", "--timeout=10", *words])

    def _spawn(self, name: str, *argv: str) -> None:
        folders = {key: str(self.run) for key in ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR")}
        environment = surroundings(self.record.mark) | folders
        self.record.devices[name] = spawn(["/usr/bin/env", *argv], self.devices.log(name), environment)
        self.devices.folders.save(self.record)


def _moved(pid: int) -> int:
    """The same process, once it is in a network namespace that is not ours."""
    ours = os.readlink("/proc/self/ns/net")
    wait_until(lambda: os.readlink(f"/proc/{pid}/ns/net") != ours, f"process {pid} has a network namespace")
    return pid


def inside(pid: int, *argv: str) -> list[str]:
    return ["nsenter", "--target", str(pid), "--net", "--", *argv]
