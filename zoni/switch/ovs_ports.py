"""A port of Open vSwitch and a port of 802.1Q: one in the words of the other (ovs-vswitchd.conf.db(5), Port). Pure.

OVS has a mode, one tag and a list of trunks. Where the list is empty a trunk carries every VLAN, and a port that nobody
has set up is such a trunk, with frames without a tag in a VLAN 0 of their own: here that is a port that does not
filter. A port that is in no VLAN is a trunk of 4095, which no frame is in.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec.structs import replace

from zoni.switch.interface import Port
from zoni.switch.steps import Filter, Join, Leave, Native, PortStep, moved

NOWHERE = 4095


class Columns(NamedTuple):
    """Of the table Port; ``tag`` None and ``mode`` empty where there is none."""

    mode: str = ""
    tag: int | None = None
    trunks: tuple[int, ...] = ()


def read_port(name: str, columns: Columns) -> Port:
    """Without label and link."""
    mode = columns.mode or ("trunk" if columns.tag is None else "access")
    tag = columns.tag if columns.tag not in (None, 0, NOWHERE) else 0
    trunks = tuple(sorted(vlan for vlan in set(columns.trunks) if 0 < vlan < NOWHERE))
    match mode:
        case "access":
            return Port(name, native=tag, untagged=(tag,) if tag else (), filters=bool(columns.tag))
        case "native-untagged" | "native-tagged" if tag:
            untagged = (tag,) if mode == "native-untagged" else ()
            tagged = tuple(vlan for vlan in trunks if vlan not in untagged)
            return Port(name, native=tag, untagged=untagged, tagged=tagged, filters=bool(columns.trunks))
        case "trunk":
            return Port(name, tagged=trunks, filters=bool(columns.trunks) and 0 not in columns.trunks)
        case _:
            return Port(name, native=tag, filters=False)  # a tunnel of 802.1Q, or something newer


def after(port: Port, step: PortStep) -> Port:
    """The port after a step, where it has no native VLAN that it is not in: OVS has no word for that."""
    match step:
        case Join(_, vlan, False):
            return replace(moved(replace(port, untagged=()), step), native=vlan)
        case Leave(_, vlan) if vlan == port.native:
            return replace(moved(port, step), native=0)
        case Native(_, vlan) if vlan and vlan not in (*port.untagged, *port.tagged):
            return replace(port, native=0, untagged=())  # until it joins
        case Native(_, 0):
            return replace(port, native=0, untagged=())
        case Filter(_, False):
            return replace(port, native=0, untagged=(), tagged=(), filters=False)
        case _:
            return moved(port, step)


def columns_of(port: Port) -> Columns:
    """What makes it such a port."""
    if not port.filters and not port.tagged and not port.native:
        return Columns()
    if port.native in port.untagged and not port.tagged:
        return Columns("access", port.native)
    if port.native in port.untagged:
        return Columns("native-untagged", port.native, (*port.tagged, port.native))
    if port.native:
        return Columns("native-tagged", port.native, port.tagged)
    return Columns("trunk", None, port.tagged or (NOWHERE,))
