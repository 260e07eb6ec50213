"""Who may what: the role that a caller has here, whether it is enough for a verb, and acting for somebody else."""

from __future__ import annotations

from msgspec.structs import replace

from tashi.core.state import State
from tashi.core.turn import RANK, Principal, Turn
from tashi.model.user import ROLES
from tashi.wire.errors import Code, NotFound, Refused, Unavailable


def lowered(state: State, who: Principal) -> Principal:
    """The caller with the role that the user's own record leaves of what the socket allows."""
    if who.owns or who.role not in ROLES:
        return who
    ids = state.names["user"].get(who.name)
    if ids is None:
        return who if who.role in ("admin", "user") else replace(who, role="user")
    own = state.users[ids[0]].role
    return who if RANK[own] >= RANK[who.role] else replace(who, role=own)


def check_role(who: Principal, verb: str, role: str, changes: bool) -> None:
    """Raise Refused (denied) unless the caller may use this verb, Unavailable when nobody can say whether it may."""
    has = who.role
    if role == "enroll" or has in ("enroll", "agent", ""):
        if role != has:
            raise Refused(Code.DENIED, f"{verb}: not for {who.name or 'strangers'} here")
    elif RANK[has] < RANK[role]:
        hint = "as root, on the admin socket" if role == "admin" else ""
        raise Refused(Code.DENIED, f"{verb}: needs the role {role}; {who.name} has {has} here", hint)
    if who.doubt and changes and RANK[has] > RANK["user"]:
        raise Unavailable(f"{verb}: {who.doubt}", "try again, or as root on the admin socket")


def act_for(turn: Turn, owner: str) -> None:
    """From here on the VMs of ``owner`` are meant, and what is made is theirs; who did it stays the caller."""
    if turn.who.role != "admin":
        raise Refused(Code.DENIED, f"--owner {owner}: only administrators act for others", "as root, or leave it out")
    if owner not in turn.state.names["user"] and owner not in turn.state.held:
        raise NotFound(f"--owner {owner}: no such user", f"tuser-add {owner}")
    turn.acting = owner
