"""What may happen to physical machines in a scene, and what may be expected of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tashi.model.allocation import Allocation
from tashi.sim.cast import Cast
from tashi.sim.deed import Deed, Unmet, deed

if TYPE_CHECKING:
    from tashi.sim.chronicle import Chronicle


def mute(cast: Cast, log: Chronicle, device: str) -> None:
    cast.devices.silent.add(device)
    log.note(device, "does not answer")


def unmute(cast: Cast, log: Chronicle, device: str) -> None:
    cast.devices.silent.discard(device)
    log.note(device, "answers again")


def expect_machine(cast: Cast, log: Chronicle, name: str, domain: str) -> None:
    """By its record."""
    if cast.controller.process is None:
        raise Unmet("there is no controller")
    state = cast.controller.process.cluster.state
    found: Allocation = next(each.allocation for each in state.machines.values() if each.name == name)
    there = state.domains[found.domain].name if found.domain else "none"
    way = f", on its way: {found.transfer.phase}" if found.transfer is not None else ""
    if there != domain or way:
        raise Unmet(f"{name} is in {there}{way}")


def expect_ports(cast: Cast, log: Chronicle, name: str, domain: str) -> None:
    """In truth."""
    wanted, truth = set(cast.domains.get(domain, ())), cast.devices.vlans(name)
    if truth != wanted:
        raise Unmet(f"its ports pass {', '.join(map(str, sorted(truth))) or 'nothing'}")


def expect_power(cast: Cast, log: Chronicle, name: str, power: str) -> None:
    if cast.devices.is_on(name) is not (power == "on"):
        raise Unmet(f"{name} is not {power}")


METAL_DEEDS: tuple[Deed, ...] = (
    deed(
        "restart switch SWITCH",
        "It starts anew, with what it has saved.",
        lambda cast, log, switch: cast.devices.restart(switch),
    ),
    deed("mute DEVICE", "The BMC of a machine, or a switch, answers nothing.", mute),
    deed("unmute DEVICE", "It answers again.", unmute),
    deed(
        "expect machine MACHINE in DOMAIN",
        "The record says so, and that it is not on its way anywhere.",
        expect_machine,
        expects=True,
    ),
    deed(
        "expect ports MACHINE in DOMAIN",
        "In truth they pass the VLANs of that domain, and no others; of none: nothing.",
        expect_ports,
        expects=True,
    ),
    deed("expect power MACHINE on|off", "In truth it is so.", expect_power, expects=True),
)
