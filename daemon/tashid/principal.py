"""Who is at the other end: what the transport proves, and the name and role that follow from it.

On a local socket the kernel proves a uid (``Peer-Address`` in the message's metadata, ``localhost:uid:gid:pid``), on
tcp CURVE proves a key (``User-Id``, set by our own ZAP answer). Nothing else counts: not the descriptor, whose number
may be another's by now, not a routing id, which anybody may choose, and not ``User-Id`` on a local socket, which a
client may set. Names and roles are looked up for every message, so that a right that is taken away ends at once.
"""

from __future__ import annotations

import os
import pwd
from typing import NamedTuple

from tashi.core.cluster import Cluster, Principal

NAMES_KEPT = 1000  # names of uids; they hardly ever change


class Peer(NamedTuple):
    """``role`` is the most that the socket gives: agent, operator, admin or enroll; then a uid (>= 0) or a key."""

    role: str
    uid: int = -1
    key: str = ""


class Directory:
    """Finds principals in the records that ``cluster`` holds now."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._own_uid = os.geteuid()
        self._names: dict[int, str] = {}

    def who(self, peer: Peer) -> Principal | None:
        """The principal, or None for somebody that this socket does not serve (any more)."""
        if peer.role == "enroll":
            return Principal(peer.key, "enroll")
        if peer.role == "agent":
            host = self._cluster.host_of_key(peer.key) if peer.key else None
            return Principal(host, "agent", host) if host else None
        if peer.uid >= 0:
            return self._local(peer)
        user = self._cluster.user_of_key(peer.key) if peer.key else None
        return Principal(user.name, peer.role) if user is not None else None

    def _local(self, peer: Peer) -> Principal | None:
        if peer.role == "admin" and peer.uid not in (0, self._own_uid):
            return None
        # Whoever may open the admin socket owns the store; a record can't make him less, only lock everybody out.
        owns = peer.role == "admin"
        registered = self._cluster.user_of_uid(peer.uid)
        if registered is not None:
            return Principal(registered.name, peer.role, owns=owns)
        name = self._name(peer.uid)
        # A user without a uid is whom the accounts of this machine call so: one person, one user. One with another uid
        # is somebody else; what stands in for that name can't be anybody's: it has a colon.
        user = self._cluster.user_named(name)
        taken = user is not None and user.uid >= 0
        return Principal(f"uid:{peer.uid}" if taken else name, peer.role, owns=owns)

    def _name(self, uid: int) -> str:
        name = self._names.get(uid)
        if name is None:
            if len(self._names) >= NAMES_KEPT:
                self._names.clear()
            try:
                name = pwd.getpwuid(uid).pw_name
            except KeyError:
                name = f"uid:{uid}"
            self._names[uid] = name
        return name


def uid_of_address(address: str) -> int:
    """The uid in ``localhost:uid:gid:pid``; -1 for anything else."""
    parts = address.rsplit(":", 3)
    return int(parts[1]) if len(parts) == 4 and parts[1].isdecimal() else -1
