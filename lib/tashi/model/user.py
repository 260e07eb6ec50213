"""A person or program that may use the cluster, the keys that it comes with, and the groups that it is in."""

from __future__ import annotations

from msgspec import Struct

from tashi.model.quota import Quota

ROLES = ("user", "operator", "admin")  # each may what the one before may


class User(Struct, frozen=True, omit_defaults=True):
    """Known by its name among the accounts of the controller's machine, by a local ``uid`` (-1: none) instead, and by
    its keys. ``groups`` are names. ``token`` is the hash of one that is good for one key. ``key`` is one of schema 1,
    where it was a part of the user: it becomes a `Key` as soon as it is read.
    """

    id: str
    name: str
    created_at: str
    role: str = "user"
    uid: int = -1
    groups: tuple[str, ...] = ()
    quota: Quota = Quota()
    token: str = ""
    token_until_wall: float = 0.0
    key: str = ""


class Key(Struct, frozen=True, omit_defaults=True):
    """The public half of a pair that a user comes with over tcp. ``name`` and ``owner`` are the user's name."""

    id: str
    name: str
    owner: str
    public: str
    created_at: str


class Group(Struct, frozen=True, omit_defaults=True):
    """Users who share a quota, beside each one's own."""

    id: str
    name: str
    created_at: str
    quota: Quota = Quota()
