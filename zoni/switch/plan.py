"""From what a switch is to what it shall be: single steps in a safe order, each with what undoes it. Pure.

Theory of operation. A port whose untagged VLAN changes is closed first, leaves what it was in, joins what it shall be
in, and is opened only when that was read back. So at any moment, whichever step fails and whoever dies, it is closed,
or in its old VLAN, or in its new one. And were it not closed, because the switch has started anew in between or doesn't
obey, it would still not be in two: it leaves before it joins. VLANs are made before ports need them and destroyed after
they were left. All ports are opened together, last; then all is read back once more, and saved.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from tashi.model.vlan import DEFAULT, LEAST, MOST, RESERVED
from tashi.wire.errors import Code
from tashi.wire.switching import PortName
from zoni.switch import steps
from zoni.switch.interface import Capability, Port, State, SwitchError
from zoni.switch.steps import AnyStep, DeviceStep

_WORDS = r"\A[^\x00-\x1f\x7f-\x9f]*\Z"  # what is taken back may be any words of the switch's
Name = Annotated[str, Meta(max_length=32, pattern=_WORDS)]  # dot1qVlanStaticName
Text = Annotated[str, Meta(max_length=64, pattern=_WORDS)]  # ifAlias


class Want(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a port shall be; None is "as it is". ``native`` is its untagged VLAN, 0 for none; ``tagged`` all others.

    ``leave`` and ``join`` are about what it is in now: VLANs that it shall be in no more, tagged or not, unless the
    rest says so; and those that it shall be in, tagged, besides all others.
    A port that is to be open has to be said ``on``: one that was left closed half-way would stay so.
    """

    native: int | None = None
    tagged: tuple[int, ...] | None = None
    on: bool | None = None
    label: Text | None = None
    join: tuple[int, ...] = ()
    leave: tuple[int, ...] = ()


class Goal(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What shall be: VLANs that are there, VLANs that are not, and ports. All else stays as it is."""

    vlans: dict[int, Name] = {}
    gone: tuple[int, ...] = ()
    ports: dict[PortName, Want] = {}


class Rules(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the change must not do. ``domain`` is for whom it is, ``domains`` whose each VLAN is; others' are not
    touched. One for nobody may touch them on uplinks, on ports of their own machines (``ports``: whose they are), and
    make them by the name of their domain. ``uplinks`` are never closed: a change that would have to is refused.
    ``called``: VLANs of another name don't go. ``members``: the ports of this switch that may be in the VLANs of
    ``domain`` besides those of the change and uplinks; one that is open in them refuses the change. None: that is not
    looked at.
    """

    domain: str = ""
    domains: dict[int, str] = {}
    ports: dict[PortName, str] = {}
    uplinks: tuple[str, ...] = ()
    called: str = ""
    members: tuple[PortName, ...] | None = None


class Planned(Struct, frozen=True):
    step: AnyStep
    undo: DeviceStep | None


def plan(state: State, goal: Goal, rules: Rules, capabilities: frozenset[Capability]) -> list[Planned]:
    """The steps from ``state`` to ``goal``. Where it is so already, it is saved: nobody can see whether it was.

    Raises SwitchError: bad-request for numbers that are no VLAN's, conflict for VLANs that are taken or another
    domain's, not-found, wrong-state for a VLAN that is in use, impossible for what the switch can't.
    """
    _check(state, goal, rules, capabilities)
    changes, openings = list(_vlans(state, goal, capabilities)), list[AnyStep]()
    for name, want in goal.ports.items():
        for step in _port(state.ports[name], want, capabilities):
            (openings if isinstance(step, steps.Open) else changes).append(step)
    if Capability.VLANS in capabilities:
        changes += [steps.Destroy(vlan) for vlan in goal.gone if vlan in state.vlans]
    proofs: list[AnyStep] = [steps.Prove(), *openings] if openings and changes else openings
    if changes or openings:
        proofs.append(steps.Prove())
    saves = [steps.Save()] if Capability.SAVE in capabilities else []
    planned, now = [], state
    for step in [*changes, *proofs, *saves]:
        planned.append(Planned(step, steps.undo(now, step)))
        now = steps.apply(now, step)
    _check_end(now, goal, planned, rules)
    return planned


def at_risk(planned: list[Planned]) -> set[str]:
    """The ports that would have to be closed were nothing known of how these steps ended."""
    return {each.step.port for each in planned if isinstance(each.step, _OF_VLANS)}


def differences(wanted: State, seen: State, planned: list[Planned]) -> list[str]:
    """What is not as it should be of all that these steps touch, in words."""
    vlans = sorted({each.step.vlan for each in planned if isinstance(each.step, steps.VlanStep)})
    found = [f"VLAN {vlan} is {_vlan(seen, vlan)}" for vlan in vlans if wanted.vlans.get(vlan) != seen.vlans.get(vlan)]
    for name in sorted({each.step.port for each in planned if isinstance(each.step, steps.PortStep)}):
        port, should = seen.ports.get(name), wanted.ports[name]
        if port is None:
            found.append(f"{name} is not there")
            continue
        unlike = [field for field in _FIELDS if getattr(port, field) != getattr(should, field)]
        if unlike:
            found.append(f"{name} is {', '.join(f'{field} {_told(getattr(port, field))}' for field in unlike)}")
    return found


_OF_VLANS = steps.Close | steps.Open | steps.Leave | steps.Join | steps.Native | steps.Filter
_FIELDS = ("on", "native", "untagged", "tagged", "filters", "label")


def _vlans(state: State, goal: Goal, capabilities: frozenset[Capability]) -> Iterator[AnyStep]:
    if Capability.VLANS in capabilities:
        yield from (steps.Create(vlan, name) for vlan, name in goal.vlans.items() if vlan not in state.vlans)


def _port(port: Port, want: Want, capabilities: frozenset[Capability]) -> Iterator[AnyStep]:
    """Steps for one port; an Open among them is for later."""
    on = port.on if want.on is None else want.on
    native, untagged, tagged = _members(port, want)
    moves = (native, untagged) != (port.native, port.untagged)
    filters = Capability.FILTER in capabilities and not port.filters and (moves or tagged != port.tagged or on)
    if port.on and (moves or not on):
        yield steps.Close(port.name)
    if filters:
        yield steps.Filter(port.name, True)
    for vlan in (*port.untagged, *port.tagged):
        if not (vlan in untagged and vlan in port.untagged) and not (vlan in tagged and vlan in port.tagged):
            yield steps.Leave(port.name, vlan)
    if native != port.native:
        yield steps.Native(port.name, native)
    yield from (steps.Join(port.name, vlan, False) for vlan in untagged if vlan not in port.untagged)
    yield from (steps.Join(port.name, vlan, True) for vlan in tagged if vlan not in port.tagged)
    if want.label is not None and want.label != port.label:
        yield steps.Label(port.name, want.label)
    if on and (moves or not port.on):
        yield steps.Open(port.name)


def _members(port: Port, want: Want) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    """Native, untagged and tagged VLANs, as they shall be."""
    native = want.native
    if native is None:
        native = 0 if port.native in want.leave else port.native
        untagged = tuple(vlan for vlan in port.untagged if vlan not in want.leave)
    else:
        untagged = (native,) if native else ()
    tagged = [vlan for vlan in port.tagged if vlan not in want.leave] if want.tagged is None else want.tagged
    return native, untagged, tuple(sorted({*tagged, *want.join}))


def _check(state: State, goal: Goal, rules: Rules, capabilities: frozenset[Capability]) -> None:
    for vlan, port in _named(goal):
        _check_number(vlan)
        owner = rules.domains.get(vlan, rules.domain)
        whose = rules.ports.get(port) if port else goal.vlans.get(vlan)
        freely = not rules.domain and (port in rules.uplinks or whose == owner)
        if owner != rules.domain and not freely:
            raise SwitchError(Code.CONFLICT, f"VLAN {vlan} is in domain {owner}")
    for vlan, name in goal.vlans.items():
        if state.vlans.get(vlan, name) != name and Capability.VLANS in capabilities:
            raise SwitchError(Code.CONFLICT, f"VLAN {vlan} is taken: it is {_vlan(state, vlan)}")
    for vlan in goal.gone:
        if vlan == DEFAULT or vlan in goal.vlans:
            raise SwitchError(Code.IMPOSSIBLE, f"VLAN {vlan} can't be destroyed")
    for vlan in (vlan for want in goal.ports.values() for vlan in want.leave):
        _check_range(vlan)
    there = (set(state.vlans) | set(goal.vlans)) - set(goal.gone)
    for name, want in goal.ports.items():
        if name not in state.ports:
            raise SwitchError(Code.NOT_FOUND, f"there is no port {name}")
        if want.label is not None and Capability.LABEL not in capabilities:
            raise SwitchError(Code.IMPOSSIBLE, f"{name}: can't have a label")
        for vlan in _wanted(want):
            if vlan not in there and Capability.VLANS in capabilities:
                raise SwitchError(Code.NOT_FOUND, f"{name}: there is no VLAN {vlan}", "create it first")
        native, untagged, tagged = _members(state.ports[name], want)
        if native in set(tagged) - set(state.ports[name].tagged) and (others := set(untagged) - {native}):
            # It dropped what has no tag; as a member of its native VLAN it would take that in.
            text = f"{name}: is untagged in VLAN {min(others)}, and its native one is {native}"
            raise SwitchError(Code.WRONG_STATE, text, "say which is its native one")
        if already := set(want.join) & set(untagged) - {want.native}:
            vlan = min(already)
            raise SwitchError(Code.WRONG_STATE, f"{name}: is untagged in VLAN {vlan}", "take it out of it first")
        if both := set(untagged) & set(tagged):
            raise SwitchError(Code.BAD_REQUEST, f"{name}: VLAN {min(both)} can't be native and tagged")


def _check_range(vlan: int) -> None:
    if not LEAST <= vlan <= MOST:
        raise SwitchError(Code.BAD_REQUEST, f"{vlan} is no VLAN: they are {LEAST} to {MOST}")


def _check_number(vlan: int) -> None:
    _check_range(vlan)
    if vlan in RESERVED:
        raise SwitchError(Code.IMPOSSIBLE, f"VLAN {vlan} is reserved ({RESERVED[0]} to {RESERVED[-1]})")


def _check_end(end: State, goal: Goal, planned: list[Planned], rules: Rules) -> None:
    """That where the steps lead is a place to be."""
    for vlan in goal.gone:
        users = [port.name for port in end.ports.values() if vlan in (*port.untagged, *port.tagged, port.native)]
        if users:
            more = f" and {len(users) - 5} more" if len(users) > 5 else ""
            text = f"VLAN {vlan} is in use by {', '.join(users[:5])}{more}"
            raise SwitchError(Code.WRONG_STATE, text, "take them out of it first")
    own = {vlan for vlan, owner in rules.domains.items() if rules.domain and owner == rules.domain}
    may = None if rules.members is None else {*rules.members, *rules.uplinks, *goal.ports}
    for port in end.ports.values():
        inside = own & {*port.heard_in, *port.tagged}
        if may is not None and port.on and inside and port.name not in may:
            told = f"{port.name}: is in VLAN {min(inside)}, and no machine of domain {rules.domain} is there"
            raise SwitchError(Code.CONFLICT, told, "take it out of it first")
    for name in sorted(at_risk(planned)):
        port = end.ports[name]
        if port.on and port.mode == "odd":
            vlans = " and ".join(str(vlan) for vlan in sorted({*port.heard_in, port.native}))
            raise SwitchError(Code.WRONG_STATE, f"{name}: is untagged in VLANs {vlans}", "say which is its native one")
    for each in planned:
        if isinstance(each.step, steps.Close) and each.step.port in rules.uplinks:
            raise SwitchError(Code.WRONG_STATE, f"{each.step.port}: is an uplink, and would have to be closed")


def _named(goal: Goal) -> Iterator[tuple[int, str]]:
    """All VLANs that a goal names, but for those that are left; each with the port, or without one."""
    yield from ((vlan, "") for vlan in (*goal.vlans, *goal.gone))
    for port, want in goal.ports.items():
        yield from ((vlan, port) for vlan in _wanted(want))


def _wanted(want: Want) -> Iterator[int]:
    if want.native:
        yield want.native
    yield from want.tagged or ()
    yield from want.join


def _vlan(state: State, vlan: int) -> str:
    return "not there" if vlan not in state.vlans else state.vlans[vlan] or "there without a name"


def _told(value: object) -> str:
    match value:
        case tuple():
            return "+".join(str(each) for each in value) or "none"
        case bool():
            return "yes" if value else "no"
        case _:
            return str(value) or "empty"
