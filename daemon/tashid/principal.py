"""Who is at the other end: what the transport proves, and the name and role that follow from it.

On a local socket the kernel proves a uid (``Peer-Address`` in the message's metadata, ``localhost:uid:gid:pid``), on
tcp CURVE proves a key (``User-Id``, set by our own ZAP answer). Nothing else counts: not the descriptor, whose number
may be another's by now, not a routing id, which anybody may choose, and not ``User-Id`` on a local socket, which a
client may set. Names and roles are looked up for every message, so that a right that is taken away ends at once. What a
uid is called may have to be asked for, see `tashid.accounts`; who is in the records by uid does not depend on that.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from tashi.core.cluster import Cluster, Principal
from tashi.core.rights import lowered


class Peer(NamedTuple):
    """``role`` is the most that the socket gives: agent, operator, admin or enroll; then a uid (>= 0) or a key.

    ``server``: the key of ours that the socket has.
    """

    role: str
    uid: int = -1
    key: str = ""
    server: str = ""


class Named(NamedTuple):
    """What a uid is called. ``doubt``: why that is not certain any more; empty when it is."""

    name: str
    doubt: str = ""


def numbered(uid: int) -> Named | None:
    """What uids are called where there are no accounts."""
    return Named("root" if uid == 0 else f"uid:{uid}")


class Unnamed(Exception):
    """What a uid is called is being asked for."""


class Directory:
    """Finds principals in the records that ``cluster`` holds now.

    ``named`` says what a uid is called; None: that is being asked for.
    """

    def __init__(self, cluster: Cluster, named: Callable[[int], Named | None] = numbered) -> None:
        self._cluster, self._named = cluster, named
        self._own_uid = os.geteuid()

    def who(self, peer: Peer) -> Principal | None:
        """The principal, or None for somebody that this socket does not serve (any more). Raises Unnamed."""
        if peer.role == "enroll":
            return Principal(peer.key, "enroll")
        if peer.role == "agent":
            agent = self._cluster.agent_of_key(peer.key) if peer.key else None
            return Principal(agent, "agent", agent) if agent else None
        if peer.uid >= 0:
            return self._local(peer)
        user = self._cluster.user_of_key(peer.key) if peer.key else None
        return Principal(user.name, peer.role) if user is not None else None

    def unchanged(self, peer: Peer) -> Callable[[], bool]:
        """A question for later: whether this caller may see then what it may now. No, if that can't be said at once."""
        before = self._rights(peer)
        return lambda: before is not None and self._rights(peer) == before

    def _rights(self, peer: Peer) -> tuple[str, str] | None:
        """Name and role."""
        try:
            who = self.who(peer)
        except Unnamed:
            return None
        return None if who is None else (who.name, lowered(self._cluster.state, who).role)

    def _local(self, peer: Peer) -> Principal | None:
        if peer.role == "admin" and peer.uid not in (0, self._own_uid):
            return None
        # Whoever may open the admin socket owns the store; a record can't make him less, only lock everybody out.
        owns = peer.role == "admin"
        registered = self._cluster.user_of_uid(peer.uid)
        if registered is not None:
            return Principal(registered.name, peer.role, owns=owns)
        named = self._named(peer.uid)
        if named is None:
            raise Unnamed
        # A user without a uid is whom the accounts of this machine call so: one person, one user. One with another uid
        # is somebody else; what stands in for that name can't be anybody's: it has a colon.
        user = self._cluster.user_named(named.name)
        taken = user is not None and user.uid >= 0
        return Principal(f"uid:{peer.uid}" if taken else named.name, peer.role, owns=owns, doubt=named.doubt)


def uid_of_address(address: str) -> int:
    """The uid in ``localhost:uid:gid:pid``; -1 for anything else."""
    parts = address.rsplit(":", 3)
    return int(parts[1]) if len(parts) == 4 and parts[1].isdecimal() else -1
