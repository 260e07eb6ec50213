"""What switches say of their ports and VLANs, as rows: with the machines and domains that the records have there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tashi.cli.listing import rows_of

if TYPE_CHECKING:
    from tashi.client import Client

Row = dict[str, Any]


class Plug(NamedTuple):
    """What the records have on a port."""

    machine: str
    nic: str | None
    domain: str | None


class Known(NamedTuple):
    """The records: switch -> its uplinks, SWITCH:PORT -> who is there, VLAN -> domain, id -> name."""

    uplinks: dict[str, list[str]]
    plugs: dict[str, Plug]
    domains: dict[int, str]
    names: dict[str, str]

    def switches_of(self, word: str) -> set[str]:
        """Those that would know of a port written so: SWITCH, SWITCH:PORT, MACHINE or MACHINE:NIC."""
        name = word.partition(":")[0]
        name = self.names.get(name, name)
        there = {spot.partition(":")[0] for spot, plug in self.plugs.items() if plug.machine == name}
        return there | ({name} & self.uplinks.keys())

    def means(self, word: str, row: Row) -> bool:
        """Whether a row of a port is one that is written so."""
        name, colon, rest = word.partition(":")
        name = self.names.get(name, name)
        if name == row["switch"] and (not colon or rest == row["port"]):
            return True
        return name == row["machine"] is not None and (not colon or rest == row["nic"])


def known(client: Client) -> Known:
    """Ask the controller for them."""
    switches = list(rows_of(client, "switch", "id,name,uplinks"))
    machines = list(rows_of(client, "machine", "id,name,ports,domain"))
    plugs = {}
    for each in machines:
        for text in each["ports"] or ():
            spot, _, nic = text.partition(",nic=")
            plugs[spot] = Plug(each["name"], nic or None, each["domain"])
    domains = {int(vlan): each["name"] for each in rows_of(client, "domain", "name,vlans") for vlan in each["vlans"]}
    names = {each["id"]: each["name"] for each in (*switches, *machines)}
    return Known({each["name"]: each["uplinks"] or [] for each in switches}, plugs, domains, names)


def port_rows(records: Known, switch: str, ports: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """A row for each port as a switch has told it; what it has left out is as usual."""
    rows = []
    for name, port in ports.items():
        plug = records.plugs.get(f"{switch}:{name}")
        rows.append(
            {
                "name": f"{switch}:{name}",
                "on": port.get("on", True),
                "up": port.get("up"),
                "speed_mbps": port.get("speed_mbps"),
                "mode": port.get("mode", "none"),
                "native": port.get("native") or None,
                "untagged": list(port.get("untagged", ())),
                "tagged": list(port.get("tagged", ())),
                "label": port.get("label") or None,
                "machine": plug.machine if plug is not None else None,
                "nic": plug.nic if plug is not None else None,
                "domain": plug.domain if plug is not None else None,
                "uplink": name in records.uplinks.get(switch, ()),
                "switch": switch,
                "port": name,
            }
        )
    return rows


def vlan_rows(records: Known, looked: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """A row for each VLAN of these switches (name -> what it has told), in the order of their numbers."""
    rows: dict[int, Row] = {}
    for switch, told in looked.items():
        for number, name in told["vlans"].items():
            row = rows.setdefault(int(number), _new_row(records, int(number)))
            row["switches"].append(switch)
            if name and name not in row["called"]:
                row["called"].append(name)
        for spot in port_rows(records, switch, told["ports"]):
            for key in ("untagged", "tagged"):
                for vlan in spot[key]:
                    rows.setdefault(vlan, _new_row(records, vlan))[key].append(spot["name"])
    for row in rows.values():
        row["name"] = ",".join(row.pop("called")) or None
    return [rows[number] for number in sorted(rows)]


def _new_row(records: Known, vlan: int) -> Row:
    lists: Row = {"called": [], "switches": [], "untagged": [], "tagged": []}
    return {"vlan": vlan, "domain": records.domains.get(vlan)} | lists


def matching(records: Known, rows: Iterable[Row], words: Iterable[str]) -> tuple[list[Row], list[str]]:
    """The rows of ports that any of these words means, and the words that mean none."""
    rows, words = list(rows), list(words)
    found = [row for row in rows if any(records.means(word, row) for word in words)]
    return found, [word for word in words if not any(records.means(word, row) for row in rows)]
