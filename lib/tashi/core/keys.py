"""Keys of users: let in by a one-time token or by an administrator, and revoked. Looked up at every message.

A user may have several, so one is replaced without a gap: the new one is let in, then the old one revoked.
"""

from __future__ import annotations

from msgspec.structs import replace

from tashi.core.hosts import digest, token_of
from tashi.core.state import State
from tashi.core.turn import RANK, Turn
from tashi.model.job import JobState
from tashi.model.user import Key, User
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Accepted, Named, Register

KEYS_EACH = 16


def of_user(state: State, name: str) -> list[Key]:
    """The keys of a user, oldest first."""
    return [state.keys[ident] for ident in state.names["key"].get(name, ())]


def give(turn: Turn, user: User, public: str) -> Key:
    """Let a key in. Raises Refused for one that is somebody's already."""
    if public in turn.state.user_of_key or public in turn.state.host_of_key:
        raise Refused(Code.CONFLICT, f"{user.name}: this key is in use already")
    if len(of_user(turn.state, user.name)) >= KEYS_EACH:
        raise Refused(
            Code.WRONG_STATE, f"{user.name}: has {KEYS_EACH} keys", f"tuser-keys {user.name}; tuser-revoke KEY"
        )
    key = Key(turn.new_id("key"), user.name, user.name, public, turn.at())
    turn.put(key)
    return key


def move(turn: Turn) -> None:
    """Make records of the keys that a store of schema 1 has within its users."""
    for user in [user for user in turn.state.users.values() if user.key]:
        give(turn, turn.put(replace(user, key="")), user.key)


def invite(turn: Turn, body: Named) -> Accepted:
    """tuser-enroll: a document whose token lets in one key. A new one makes the one before it worthless."""
    user: User = turn.find("user", body.name)
    _own_or_admin(turn, user.name)
    if RANK[user.role] > RANK[turn.who.role]:
        text = f"{user.name}: its keys may more than you may here"
        raise Refused(Code.DENIED, text, "as root, on the admin socket")
    token = token_of(turn.secret)
    until = turn.now.wall + turn.settings.token_seconds
    turn.put(replace(user, token=digest(token), token_until_wall=until))
    job = turn.begin("user.enroll", "user", user.id, user.name)
    turn.end(job.id, JobState.DONE)
    settings = turn.settings
    document = {
        "user": user.name,
        "token": token,
        "controller": ",".join(settings.admin_addresses if user.role == "admin" else settings.user_addresses),
        "enroll": ",".join(settings.enroll_addresses),
        "server_key": settings.server_key,
    }
    return Accepted(
        job=job.id, kind="user", objects={user.id: user.name}, done=True, extra=document, dry_run=body.dry_run
    )


def register(turn: Turn, body: Register) -> Accepted:
    """Let in the key that came here, for a token. One answer for every wrong token: nothing to learn from it.

    The key that was let in by this very token may come again: its answer was lost.
    """
    public = turn.who.name  # what CURVE has proven of this connection
    ids = turn.state.names["user"].get(body.user)
    user = turn.state.users[ids[0]] if ids else None
    if user is not None and turn.state.user_of_key.get(public) == user.name:
        known = next(key for key in of_user(turn.state, user.name) if key.public == public)
        return Accepted(kind="key", objects={known.id: user.name}, done=True)
    if user is None or not user.token or user.token != digest(body.token) or turn.now.wall > user.token_until_wall:
        raise Refused(Code.DENIED, f"{body.user}: the enrolment token is not valid", f"tuser-enroll {body.user}")
    turn.who = replace(turn.who, name=user.name)
    key = give(turn, user, public)
    turn.put(replace(user, token="", token_until_wall=0.0))
    job = turn.begin("key.register", "key", key.id, user.name)
    turn.end(job.id, JobState.DONE)
    return Accepted(job=job.id, kind="key", objects={key.id: user.name}, done=True)


def revoke(turn: Turn, body: Named) -> Accepted:
    """tuser-revoke: the key's next message is refused, on a connection that is open too."""
    key: Key = turn.find("key", body.name)
    _own_or_admin(turn, key.owner)
    turn.urgent = True
    turn.remove(key)
    job = turn.begin("key.revoke", "key", key.id, key.owner)
    turn.end(job.id, JobState.DONE)
    return Accepted(job=job.id, kind="key", objects={key.id: key.owner}, done=True, dry_run=body.dry_run)


def _own_or_admin(turn: Turn, owner: str) -> None:
    if turn.who.name != owner and turn.who.role != "admin":
        raise Refused(Code.DENIED, f"{owner}: keys of others are for administrators", "as root, on the admin socket")
