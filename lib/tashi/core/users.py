"""tuser-add and tuser-remove. A user is looked up at every message, so a removed one ends at once."""

from __future__ import annotations

from tashi.core.turn import Turn
from tashi.model.job import JobState
from tashi.model.name import check_name
from tashi.model.user import User
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted, Named, UserAdd


def add(turn: Turn, body: UserAdd) -> Accepted:
    try:
        check_name(body.name)
    except ValueError as problem:
        raise Refused(Code.BAD_REQUEST, str(problem)) from None
    if body.name in turn.state.names["user"]:
        raise Refused(Code.CONFLICT, f"{body.name}: there is a user of this name already")
    if body.uid is None and body.key is None:
        raise Refused(Code.BAD_REQUEST, f"{body.name}: neither a uid nor a key", "give --uid, --key, or both")
    if body.uid is not None and body.uid in turn.state.user_of_uid:
        raise Refused(Code.CONFLICT, f"{body.name}: uid {body.uid} belongs to another user")
    if body.key is not None and (body.key in turn.state.user_of_key or body.key in turn.state.host_of_key):
        raise Refused(Code.CONFLICT, f"{body.name}: this key is in use already")
    user = User(
        id=turn.new_id("user"),
        name=body.name,
        created_at=turn.at(),
        role=body.role,
        uid=-1 if body.uid is None else body.uid,
        key=body.key or "",
    )
    return _done(turn, "user.add", turn.put(user), body.dry_run)


def remove(turn: Turn, body: Named) -> Accepted:
    user: User = turn.find("user", body.name)
    owned = sum(1 for vm in turn.state.vms.values() if vm.owner == user.name)
    if owned:
        raise Refused(Code.WRONG_STATE, f"{user.name}: still owns {owned} VMs", f"tvm-list -H -o id owner={user.name}")
    turn.remove(user)
    return _done(turn, "user.remove", user, body.dry_run)


def _done(turn: Turn, verb: str, user: User, dry_run: bool) -> Accepted:
    job = turn.begin(verb, "user", user.id, user.name)
    turn.end(job.id, JobState.DONE)
    return Accepted(job=job.id, kind="user", objects={user.id: user.name}, done=True, dry_run=dry_run)
