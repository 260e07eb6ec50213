"""The lab's two networks and the hosts' cables: bridges and veth pairs with fixed MACs.

A cable is cut at the bridge's port, not by taking the link down: the host keeps its carrier and hears silence, as it
would behind a broken switch.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network

from tashi.lab.address import Plan
from tashi.lab.call import call
from tashi.wire.errors import Code, Refused, Unavailable

MACHINES, GUESTS = "m", "g"
NETWORKS = (MACHINES, GUESTS)
DISABLED, FORWARDING = "0", "3"  # a bridge port's states, linux/if_bridge.h
GUEST_BRIDGE = "br0"  # on each host; its agent's [network.default]

_RATE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([kmg]?)bit", re.ASCII)
_FACTOR = {"": 1, "k": 1000, "m": 1000_000, "g": 1000_000_000}


def parse_rate(text: str) -> int:
    """Bits a second from ``20mbit``; ``off`` is 0. Raises Refused naming the bad value."""
    if text == "off":
        return 0
    found = _RATE.fullmatch(text)
    rate = int(float(found[1]) * _FACTOR[found[2]]) if found else 0
    if not 8000 <= rate <= 100_000_000_000:
        raise Refused(Code.BAD_REQUEST, f"{text!r} is not a rate: write 20mbit, 500kbit, 1gbit or off")
    return rate


def in_use() -> list[IPv4Network]:
    """The networks that this machine has routes or addresses for."""
    routes = json.loads(call(["ip", "-j", "-4", "route", "show", "table", "all"]) or "[]")
    found = [IPv4Network(each["dst"], strict=False) for each in routes if each.get("dst", "")[:1].isdecimal()]
    return [network for network in found if network.prefixlen]


def links() -> dict[str, dict[str, object]]:
    """All interfaces of this network namespace by name."""
    return {each["ifname"]: each for each in json.loads(call(["ip", "-j", "link"]) or "[]")}


def make(plan: Plan) -> None:
    """The lab's two bridges, with the addresses of controller and listener."""
    lines = []
    for network, address in ((MACHINES, f"{plan.lab}/24"), (GUESTS, f"{plan.listener}/16")):
        bridge = plan.bridge(network)
        lines += [
            f"link add {bridge} address {plan.mac(network, 0)} type bridge",
            f"addr add {address} dev {bridge}",
            f"link set {bridge} up",
        ]
    _batch("ip", lines)


def plug(plan: Plan, number: int, pid: int) -> None:
    """Give the namespaces of process ``pid`` two cables: eth0 with an address, eth1 in the guests' bridge br0."""
    outside, inside = [], ["link set lo up"]
    for network, name in ((MACHINES, "eth0"), (GUESTS, "eth1")):
        link, near, far = plan.link(network, number), plan.mac(network, number, 0), plan.mac(network, number, 1)
        outside += [
            f"link add {link} address {near} type veth peer name {name} address {far} netns {pid}",
            f"link set {link} master {plan.bridge(network)} up",
        ]
    inside += [
        f"addr add {plan.machine(number)}/24 dev eth0",
        "link set eth0 up",
        f"link add {GUEST_BRIDGE} address {plan.mac(GUESTS, number, 2)} type bridge",
        f"link set eth1 master {GUEST_BRIDGE} up",
        f"link set {GUEST_BRIDGE} up",
    ]
    _batch("ip", outside)
    _batch("ip", inside, pid)


def unplug(plan: Plan, number: int) -> None:
    """Take the host's cables away at once; the kernel would, but some time after its namespace is gone."""
    _delete(plan.link(network, number) for network in NETWORKS)


def remove(plan: Plan, numbers: Sequence[int]) -> None:
    """Everything that `make` and `plug` made, as far as it is there."""
    for number in numbers:
        unplug(plan, number)
    _delete(plan.bridge(network) for network in NETWORKS)


def cut(plan: Plan, number: int, is_cut: bool) -> None:
    """Let nothing through the host's cables, or everything again."""
    state = DISABLED if is_cut else FORWARDING
    for network in NETWORKS:
        call(["bridge", "link", "set", "dev", plan.link(network, number), "state", state])


def slow(plan: Plan, number: int, pid: int, rate_bits: int) -> None:
    """Limit each of the host's cables to ``rate_bits`` a second in each direction; 0: no limit."""
    # The bucket holds 5 ms of traffic, at least a few full frames; what waits longer than 400 ms is dropped.
    burst = max(16_384, rate_bits // 8 // 200)
    for network, name in ((MACHINES, "eth0"), (GUESTS, "eth1")):
        for where, device in ((0, plan.link(network, number)), (pid, name)):
            if rate_bits:
                how = f"qdisc replace dev {device} root tbf rate {rate_bits} burst {burst} latency 400ms"
            elif _limited(where, device):
                how = f"qdisc del dev {device} root"
            else:
                continue
            _batch("tc", [how], where)


def _limited(pid: int, device: str) -> bool:
    shown = json.loads(call([*_inside(pid), "tc", "-j", "qdisc", "show", "dev", device]) or "[]")
    return any(each.get("kind") == "tbf" for each in shown)


def _inside(pid: int) -> list[str]:
    return ["nsenter", "--target", str(pid), "--net", "--"] if pid else []


def _batch(tool: str, lines: Sequence[str], pid: int = 0) -> None:
    call([*_inside(pid), tool, "-batch", "-"], text="\n".join(lines) + "\n")


def _delete(names: Iterable[str]) -> None:
    """Links that are there go; the kernel may be taking the same ones away, for their namespace has just ended."""
    for name in [name for name in names if name in links()]:
        try:
            call(["ip", "link", "del", name])
        except Unavailable:
            if name in links():
                raise
