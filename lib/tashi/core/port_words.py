"""Which ports of switches people mean: SWITCH:PORT, the name of a machine for all of its ports, or MACHINE:NIC."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from tashi.core.turn import Turn
from tashi.model.device import Switch
from tashi.model.machine import Machine, SwitchPort
from tashi.wire.errors import Code, NotFound, Refused


class Spot(NamedTuple):
    """A port, and the machine that the records have there. Whether there is such a port only the switch knows."""

    switch: Switch
    port: str
    machine: Machine | None

    @property
    def text(self) -> str:
        return f"{self.switch.name}:{self.port}"


def spots(turn: Turn, words: Iterable[str]) -> list[Spot]:
    """Each port that these words name, once, in the order given. Raises NotFound and Refused that name the word."""
    return list({spot.text: spot for word in words for spot in _spots(turn, word)}.values())


def spot_of(turn: Turn, switch: Switch, port: str) -> Spot:
    """With the machine that the records have there."""
    owner = turn.state.machine_of.get(("port", f"{switch.id}:{port}"), "")
    return Spot(switch, port, turn.state.machines.get(owner))


def _spots(turn: Turn, word: str) -> Iterator[Spot]:
    name, colon, rest = word.partition(":")
    switch: Switch | None = _find(turn, "switch", name)
    machine: Machine | None = _find(turn, "machine", name)
    if not colon:
        yield from _all_of(turn, word, switch, machine)
    elif machine is not None and (nics := [port for port in machine.ports if _is_of(machine, port, rest)]):
        if switch is not None:
            text = f"{word}: ambiguous, {name} is a switch and a machine that has a NIC {rest}"
            raise Refused(Code.CONFLICT, text, f"give an id: {switch.id}:{rest}, or {machine.id}:{rest}")
        yield from _placed(turn, nics)
    elif switch is not None:
        if not rest:
            raise Refused(Code.BAD_REQUEST, f"{word}: which port?", f"zoni-port list {name}")
        yield spot_of(turn, switch, rest)
    elif machine is not None:
        hint = f"zoni-show {name}; zoni-set {name} --port SWITCH:PORT,nic=NIC"
        raise NotFound(f"{word}: it is not known on which port a NIC {rest} of {name} is", hint)
    else:
        raise NotFound(f"{word}: no such switch or machine: {name}", "zoni-switch list, or zoni-list")


def _all_of(turn: Turn, word: str, switch: Switch | None, machine: Machine | None) -> Iterator[Spot]:
    if machine is None:
        if switch is None:
            raise NotFound(f"{word}: no such machine", "a port is written SWITCH:PORT, MACHINE or MACHINE:NIC")
        raise Refused(Code.BAD_REQUEST, f"{word}: is a switch: which port?", f"zoni-port list {word}")
    if not machine.ports:
        text = f"{word}: it is not known on which port of a switch it is"
        raise Refused(Code.WRONG_STATE, text, f"zoni-set {word} --port SWITCH:PORT")
    yield from _placed(turn, machine.ports)


def _placed(turn: Turn, ports: Iterable[SwitchPort]) -> Iterator[Spot]:
    return (spot_of(turn, turn.state.switches[each.switch], each.port) for each in ports)


def _is_of(machine: Machine, port: SwitchPort, nic: str) -> bool:
    """Whether this NIC, by its name or MAC address, is plugged in there."""
    if not port.nic:  # it says no more where there is only one
        return any(nic in (each.name, each.mac) for each in machine.nics)
    return port.nic == nic or any({port.nic, nic} == {each.name, each.mac} for each in machine.nics)


def _find(turn: Turn, kind: str, ref: str) -> Any:
    try:
        return turn.find(kind, ref)
    except NotFound:
        return None
