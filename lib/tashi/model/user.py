"""A person or program that may use the cluster."""

from __future__ import annotations

from msgspec import Struct

ROLES = ("user", "operator", "admin")  # each may what the one before may


class User(Struct, frozen=True, omit_defaults=True):
    """Known by a local ``uid``, a CURVE public ``key``, or both. ``uid`` -1: none."""

    id: str
    name: str
    created_at: str
    role: str = "user"
    uid: int = -1
    key: str = ""
