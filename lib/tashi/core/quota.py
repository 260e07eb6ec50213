"""Quotas: what an owner and its groups may have, and the refusal of more, in the transaction that would claim it."""

from __future__ import annotations

from collections.abc import Sequence

from tashi.core.state import NOTHING, State
from tashi.core.turn import Turn
from tashi.model.quota import DEFAULT, UNLIMITED, Amount, Quota, amount_of, total, words
from tashi.model.vm import Vm
from tashi.wire.errors import Code, Refused

NOT_SET, NO_LIMIT = Quota(), Quota(UNLIMITED, UNLIMITED, UNLIMITED, UNLIMITED)


def group_of(state: State, owner: str) -> str:
    """The first group of a user, as things are now; empty for none."""
    groups = groups_of(state, owner)
    return groups[0] if groups else ""


def groups_of(state: State, owner: str) -> tuple[str, ...]:
    ids = state.names["user"].get(owner)
    return state.users[ids[0]].groups if ids else ()


def held_by_group(state: State, group: str) -> Amount:
    """What the VMs of all its members count for."""
    return total(state.held.get(name, NOTHING) for name in state.members.get(group, ()))


def limits_of(turn: Turn, owner: str) -> Quota:
    """What holds for an owner: its own numbers, and where it has none those that are set for everybody."""
    ids = turn.state.names["user"].get(owner)
    own = turn.state.users[ids[0]].quota if ids else NOT_SET
    usual = turn.settings.quota
    if own == NOT_SET:
        return usual
    return Quota(*(_of(own, key) if _of(own, key) != DEFAULT else _of(usual, key) for key in Amount._fields))


def check(turn: Turn, vms: Sequence[Vm]) -> None:
    """Refuse if these VMs of one owner, as they are to be, are more than owner or group may have.

    What the owner holds already is never refused, only more of it: a quota may be lowered below what is there.
    """
    owner, state = vms[0].owner, turn.state
    own, groups = limits_of(turn, owner), groups_of(state, owner)
    if own == NO_LIMIT and not groups:
        return
    before = [amount_of(state.vms[vm.id]) for vm in vms if vm.id in state.vms]
    more = total(amount_of(vm) for vm in vms).plus(total(before), -1)
    _check(vms[0].name, owner, own, state.held.get(owner, NOTHING), more, f"tuser-show {owner}")
    for group in groups:
        quota = state.groups[state.names["group"][group][0]].quota
        _check(vms[0].name, f"group {group}", quota, held_by_group(state, group), more, f"tuser-groups {group}")


def _check(name: str, whose: str, quota: Quota, used: Amount, more: Amount, hint: str) -> None:
    for key in Amount._fields:
        limit, has, wanted = _of(quota, key), getattr(used, key), getattr(more, key)
        if limit in (DEFAULT, UNLIMITED) or wanted <= 0 or has + wanted <= limit:
            continue
        told = f"{words(key, limit)}, used {words(key, has)}, wanted {words(key, wanted)}"
        raise Refused(Code.QUOTA, f"{name}: over the quota of {whose}: {told}", hint)


def _of(quota: Quota, key: str) -> int:
    number: int = getattr(quota, key)
    return number
