"""tuser-add, -set, -remove and the groups. A user is looked up at every message, so a removed one ends at once."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from tashi.core import keys
from tashi.core.turn import Turn, done
from tashi.model.name import check_name
from tashi.model.quota import Quota
from tashi.model.user import Group, User
from tashi.wire.errors import Code, NotFound, Refused
from tashi.wire.messages import Accepted, GroupSet, Limits, Named, UserAdd, UserSet

ROOT = "root"
NAMED = 5  # of many objects a text names so many


def add(turn: Turn, body: UserAdd) -> Accepted:
    _check_name(body.name)
    if body.name in turn.state.names["user"]:
        raise Refused(Code.CONFLICT, f"{body.name}: there is a user of this name already", f"tuser-set {body.name}")
    user = User(
        id=turn.new_id("user"),
        name=body.name,
        created_at=turn.at(),
        role=body.role,
        uid=-1 if body.uid is None else body.uid,
        groups=_groups(turn, body.groups),
        quota=_quota(Quota(), body.limits),
    )
    warning = _check_uid(turn, user)
    turn.put(user)
    if body.key is not None:
        keys.give(turn, user, body.key)
    return replace(done(turn, "user.add", "user", user, body.dry_run), warning=warning)


def change(turn: Turn, body: UserSet) -> Accepted:
    """tuser-set: what is named; the rest stays."""
    user: User = turn.find("user", body.name)
    changed = replace(
        user,
        role=user.role if body.role is None else body.role,
        uid=user.uid if body.uid is None else body.uid,
        groups=user.groups if body.groups is None else _groups(turn, body.groups),
        quota=_quota(user.quota, body.limits),
    )
    warning = _check_uid(turn, changed) if changed.uid != user.uid else ""
    return replace(done(turn, "user.set", "user", turn.put(changed), body.dry_run), warning=warning)


def remove(turn: Turn, body: Named) -> Accepted:
    """Forget a user that owns nothing; its keys end with it."""
    user: User = turn.find("user", body.name)
    owned = sum(1 for vm in turn.state.vms.values() if vm.owner == user.name)
    if owned:
        raise Refused(Code.WRONG_STATE, f"{user.name}: still owns {owned} VMs", f"tvm-list -H -o id owner={user.name}")
    _refuse_holder(turn, user)
    for key in keys.of_user(turn.state, user.name):
        turn.remove(key)
    turn.remove(user)
    return done(turn, "user.remove", "user", user, body.dry_run)


def set_group(turn: Turn, body: GroupSet) -> Accepted:
    """A group's quota; makes the group where there is none."""
    _check_name(body.name)
    known = turn.state.names["group"].get(body.name)
    group = turn.state.groups[known[0]] if known else Group(turn.new_id("group"), body.name, turn.at())
    return done(
        turn, "group.set", "group", turn.put(replace(group, quota=_quota(group.quota, body.limits))), body.dry_run
    )


def remove_group(turn: Turn, body: Named) -> Accepted:
    group: Group = turn.find("group", body.name)
    members = list(turn.state.members.get(group.name, ()))
    if members:
        more = f" and {len(members) - NAMED} more" if len(members) > NAMED else ""
        text = f"{group.name}: {', '.join(members[:NAMED])}{more} {'is' if len(members) == 1 else 'are'} in it"
        raise Refused(Code.WRONG_STATE, text, "tuser-set NAME --group OTHER, or --group none")
    domains = [each.name for each in turn.state.domains.values() if each.group == group.name]
    if domains:
        raise Refused(Code.WRONG_STATE, f"{group.name}: the domain {domains[0]} is its own", "zoni-domain remove NAME")
    turn.remove(group)
    return done(turn, "group.remove", "group", group, body.dry_run)


def _refuse_holder(turn: Turn, user: User) -> None:
    """Who has machines reserved, or a domain, stays."""
    held = [each.id for each in turn.state.reservations.values() if each.owner == user.name]
    if held:
        raise Refused(Code.WRONG_STATE, f"{user.name}: still has {held[0]}", f"zoni-release {' '.join(held[:NAMED])}")
    owned = [each.name for each in turn.state.domains.values() if each.owner == user.name]
    if owned:
        raise Refused(Code.WRONG_STATE, f"{user.name}: the domain {owned[0]} is its own", "zoni-domain remove NAME")


def _check_name(name: str) -> None:
    try:
        check_name(name)
    except ValueError as problem:
        raise Refused(Code.BAD_REQUEST, str(problem)) from None


def _check_uid(turn: Turn, user: User) -> str:
    """One person is one user: a uid is nobody else's. Says who its uid is not any more, and what that one owns.

    Who comes with a uid that has no user is called as its account is, or uid:NUMBER, and so is the owner of what it
    made.
    """
    if user.uid < 0:
        return ""
    if turn.state.user_of_uid.get(user.uid, user.id) != user.id:
        other = turn.state.users[turn.state.user_of_uid[user.uid]].name
        raise Refused(Code.CONFLICT, f"{user.name}: uid {user.uid} belongs to another user, {other}")
    account = turn.account(user.uid) or (ROOT if user.uid == 0 else "")
    if account not in ("", user.name):
        _refuse_account(turn, user, account)
        return f"uid {user.uid} is the account {account}: it is {user.name} here"
    former = f"uid:{user.uid}"
    names = [vm.name for vm in turn.state.vms.values() if vm.owner == former] if former in turn.state.held else []
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"uid {user.uid} was {former}, who still owns {', '.join(names[:NAMED])}{more}" if names else ""


def _refuse_account(turn: Turn, user: User, account: str) -> None:
    """Raise Refused where the account is somebody here by its own name: root, a user without a uid, or an owner."""
    ids = turn.state.names["user"].get(account, ())
    if ids and turn.state.users[ids[0]].uid >= 0:
        return  # the name is another one's, who comes with another uid
    owned = _owned(turn, account)
    if ids or owned or account == ROOT:
        more = f" and {len(owned) - NAMED} more" if len(owned) > NAMED else ""
        what = f", who owns {', '.join(owned[:NAMED])}{more}" if owned else ", a user here" if ids else ""
        text = f"{user.name}: uid {user.uid} is {account}{what}"
        raise Refused(Code.CONFLICT, text, f"tuser-{'set' if ids else 'add'} {account} --uid {user.uid}")


def _owned(turn: Turn, owner: str) -> list[str]:
    """Names of what somebody owns."""
    state = turn.state
    return [
        *(vm.name for vm in state.vms.values() if vm.owner == owner),
        *(each.id for each in state.reservations.values() if each.owner == owner),
        *(each.name for each in state.domains.values() if each.owner == owner),
    ]


def _groups(turn: Turn, names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if name not in turn.state.names["group"]:
            raise NotFound(f"{name}: no such group", f"tuser-group-set {name}")
    return tuple(dict.fromkeys(names))


def _quota(quota: Quota, limits: Limits) -> Quota:
    given = {key: number for key in quota.__struct_fields__ if (number := getattr(limits, key)) is not None}
    return replace(quota, **given)
