"""What the laboratory's switch is set to, as flows of an Open vSwitch that carries its frames: 802.1Q to the letter.

OVS's own VLAN modes know one untagged VLAN a port; a switch may have more, and a driver that makes that mistake must be
seen to make it. So frames are classified by port and tag (table 0), stations learnt (1), and looked up (2) or flooded
(3) in their VLAN; LLDP goes to whoever listens, and no further. Each change replaces all flows at once, which forgets
the stations, too. Port n of the switch is OpenFlow port n of the bridge.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator

from tashi.lab.peers.switch_lldp import Ear, Neighbour
from tashi.lab.peers.switch_records import Settings

LEARN = (
    "table=1,actions=learn(table=2,idle_timeout=300,priority=10,NXM_NX_REG1[0..11],"
    "NXM_OF_ETH_DST[]=NXM_OF_ETH_SRC[],load:NXM_OF_IN_PORT[]->NXM_NX_REG0[0..15]),resubmit(,2),resubmit(,3)"
)
OF_ONE_LINK = "dl_dst=01:80:c2:00:00:00/ff:ff:ff:ff:ff:f0"
RESERVED = f"table=0,priority=100,{OF_ONE_LINK},actions=drop"
LLDP = f"table=0,priority=110,{OF_ONE_LINK},dl_type=0x88cc,actions=controller:65535"
STATION = re.compile(r"reg1=(\w+)(?:/0xfff)?,dl_dst=(\S+) actions=\w+:(\w+)->")

PORT = re.compile(r"^ (\d+)\(.*\n((?:     .*\n)*)", re.MULTILINE)


class Flows:
    """Implements `switch_records.Plane`; ``run`` is where Open vSwitch has its sockets."""

    def __init__(self, run: str, bridge: str) -> None:
        self._socket = f"unix:{run}/{bridge}.mgmt"
        self._flows: list[str] = []
        self._on: dict[int, bool] = {}
        self._ear = Ear(run, bridge)

    def apply(self, settings: Settings) -> None:
        flows = list(flows_of(settings))
        if flows != self._flows:
            self._ofctl("--bundle", "replace-flows", self._socket, "-", said="\n".join(flows))
            self._flows = flows
        for number, port in settings.ports.items():
            on = port.on and bool(settings.vlans)
            if self._on.get(number) != on:
                self._ofctl("mod-port", self._socket, str(number), "up" if on else "down")
                self._on[number] = on

    def links(self) -> set[int]:
        told = PORT.findall(self._ofctl("dump-ports-desc", self._socket))
        return {int(number) for number, about in told if "LINK_DOWN" not in about and "PORT_DOWN" not in about}

    def stations(self) -> list[tuple[int, str, int]]:
        found = STATION.finditer(self._ofctl("dump-flows", self._socket, "table=2"))
        return [(int(each[1], 0), each[2], int(each[3], 0)) for each in found]

    def neighbours(self) -> list[tuple[int, Neighbour]]:
        return self._ear.neighbours()

    def _ofctl(self, *words: str, said: str = "") -> str:
        command = ["ovs-ofctl", "-O", "OpenFlow14", *words]
        return subprocess.run(command, input=said, check=True, capture_output=True, text=True, timeout=10).stdout


def flows_of(settings: Settings) -> Iterator[str]:
    yield "table=0,priority=0,actions=drop"  # else it would go to whoever listens
    yield RESERVED
    yield LLDP
    yield LEARN
    vlans = {number: vlan for number, vlan in settings.vlans.items() if vlan.active}
    for number, port in settings.ports.items():
        if not port.on:
            continue
        enters = {vlan for vlan in vlans if not port.filters or number in vlans[vlan].egress}
        if port.pvid in enters and not port.tagged_only:
            match = f"table=0,priority=10,in_port={number},vlan_tci=0/0x1fff"
            yield f"{match},actions=load:{port.pvid}->NXM_NX_REG1[0..11],resubmit(,1)"
        for each in sorted(enters):
            match = f"table=0,priority=10,in_port={number},dl_vlan={each}"
            yield f"{match},actions=pop_vlan,load:{each}->NXM_NX_REG1[0..11],resubmit(,1)"
    for number, vlan in vlans.items():
        on = {each for each in vlan.egress if settings.ports[each].on}
        tag = f"push_vlan:0x8100,set_field:{number | 0x1000}->vlan_vid"
        untagged, tagged = sorted(on & vlan.untagged), sorted(on - vlan.untagged)
        flood = [f"output:{to}" for to in untagged]
        flood += [tag, *(f"output:{to}" for to in tagged)] if tagged else []
        yield f"table=3,priority=1,reg1={number},actions={','.join(flood) or 'drop'}"
        for to in untagged:
            yield f"table=3,priority=10,reg1={number},reg0={to},actions=output:{to}"
        for to in tagged:
            yield f"table=3,priority=10,reg1={number},reg0={to},actions={tag},output:{to}"
