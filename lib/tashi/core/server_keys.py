"""While the controller has two keys: who has not come with the newer one, and would be cut off without the old one."""

from __future__ import annotations

from collections.abc import Iterator

from tashi.core.turn import Turn
from tashi.model.host import Host
from tashi.model.user import Key


def behind(turn: Turn) -> Iterator[Host | Key]:
    """Enrolled hosts, and keys of users as far as they came since the controller's start."""
    keys = turn.settings.server_keys
    if len(keys) < 2:
        return
    newest = keys[0].public
    for host in turn.state.hosts.values():
        if host.key and host.server_key != newest:
            yield host
    for key in turn.state.keys.values():
        use = turn.state.uses.of(key.public)
        if use is None or use.server != newest:
            yield key
