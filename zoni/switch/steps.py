"""The single steps that a change of a switch is made of: what each does to a port or a VLAN, and what undoes it.

Pure. A step is small enough that it has happened or has not. Each may be done again without harm.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

if TYPE_CHECKING:
    from zoni.switch.interface import Port, State


class Step(Struct, frozen=True, tag_field="do", tag=str.lower):
    pass


class Create(Step, frozen=True):
    vlan: int
    name: str


class Destroy(Step, frozen=True):
    vlan: int


class Close(Step, frozen=True):
    """No frame passes the port from now on."""

    port: str


class Open(Step, frozen=True):
    port: str


class Leave(Step, frozen=True):
    port: str
    vlan: int


class Join(Step, frozen=True):
    """Without a tag only of a port that is closed; a driver that can asks for both in one message."""

    port: str
    vlan: int
    tagged: bool


class Native(Step, frozen=True):
    """Frames without a tag enter this VLAN; 0: they are dropped."""

    port: str
    vlan: int


class Filter(Step, frozen=True):
    port: str
    on: bool


class Label(Step, frozen=True):
    port: str
    text: str


class Prove(Step, frozen=True):
    """Read back, and go on only when all is as it should be by now."""


class Save(Step, frozen=True):
    pass


VlanStep: TypeAlias = Create | Destroy
PortStep: TypeAlias = Close | Open | Leave | Join | Native | Filter | Label
DeviceStep: TypeAlias = VlanStep | PortStep
AnyStep: TypeAlias = DeviceStep | Prove | Save


def say(step: AnyStep) -> str:
    """A step in words."""
    match step:
        case Create(vlan, name):
            return f"create VLAN {vlan}" + (f" ({name})" if name else "")
        case Destroy(vlan):
            return f"destroy VLAN {vlan}"
        case Close(port):
            return f"close {port}"
        case Open(port):
            return f"open {port}"
        case Leave(port, vlan):
            return f"take {port} out of VLAN {vlan}"
        case Join(port, vlan, tagged):
            return f"put {port} into VLAN {vlan}, {'tagged' if tagged else 'untagged'}"
        case Native(port, 0):
            return f"let {port} drop what has no tag"
        case Native(port, vlan):
            return f"let {port} take what has no tag for VLAN {vlan}"
        case Filter(port, on):
            return f"let {port} {'drop' if on else 'pass'} what is of other VLANs"
        case Label(port, text):
            return f"label {port} {text or 'nothing'}"
        case Prove():
            return "read back"
        case Save():
            return "save to the start-up configuration"


def apply(state: State, step: AnyStep) -> State:
    """How it is after the step."""
    match step:
        case Create(vlan, name):
            return replace(state, vlans=state.vlans | {vlan: name})
        case Destroy(vlan):
            return replace(state, vlans={each: name for each, name in state.vlans.items() if each != vlan})
        case Prove() | Save():
            return state
        case _:
            return replace(state, ports=state.ports | {step.port: moved(state.ports[step.port], step)})


def moved(port: Port, step: PortStep) -> Port:
    """How the port is after the step."""
    match step:
        case Close() | Open():
            return replace(port, on=isinstance(step, Open))
        case Native(_, vlan):
            return replace(port, native=vlan)
        case Filter(_, on):
            return replace(port, filters=on)
        case Label(_, text):
            return replace(port, label=text)
        case Leave(_, vlan):
            return replace(port, untagged=_without(port.untagged, vlan), tagged=_without(port.tagged, vlan))
        case Join(_, vlan, tagged):
            kept = moved(port, Leave(port.name, vlan))
            if tagged:
                return replace(kept, tagged=tuple(sorted((*kept.tagged, vlan))))
            return replace(kept, untagged=tuple(sorted((*kept.untagged, vlan))))


def _without(vlans: tuple[int, ...], vlan: int) -> tuple[int, ...]:
    return tuple(each for each in vlans if each != vlan)


def undo(state: State, step: AnyStep) -> DeviceStep | None:
    """What takes the step back where it is done in this state; None where nothing is changed by it."""
    match step:
        case Create(vlan, _):
            return Destroy(vlan)
        case Destroy(vlan):
            return Create(vlan, state.vlans[vlan])
        case Prove() | Save():
            return None
    before = state.ports[step.port]
    match step:
        case Close(port):
            return Open(port)
        case Open(port):
            return Close(port)
        case Leave(port, vlan):
            return Join(port, vlan, vlan in before.tagged)
        case Join(port, vlan, _):
            return Leave(port, vlan)
        case Native(port, _):
            return Native(port, before.native)
        case Filter(port, _):
            return Filter(port, before.filters)
        case Label(port, _):
            return Label(port, before.label)


def is_done(state: State, step: DeviceStep) -> bool:
    """Whether the state shows what the step is for."""
    return apply(state, step) == state
