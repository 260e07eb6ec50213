"""While the controller has two keys: who has not come with the newer one, and would be cut off without the old one."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from tashi.core.settings import Settings
from tashi.core.turn import Turn
from tashi.model.host import Host
from tashi.model.user import Key
from tashi.model.zoniagent import ZoniAgent
from tashi.wire.messages import Reply


def behind(turn: Turn) -> Iterator[Host | ZoniAgent | Key]:
    """Enrolled hosts and zoni agents, and keys of users as far as they came since the controller's start."""
    keys = turn.settings.server_keys
    if len(keys) < 2:
        return
    newest = keys[0].public
    agents: list[Host | ZoniAgent] = [*turn.state.hosts.values(), *turn.state.zoniagents.values()]
    yield from (agent for agent in agents if agent.key and agent.server_key != newest)
    for key in turn.state.keys.values():
        use = turn.state.uses.of(key.public)
        if use is None or use.server != newest:
            yield key


def client_settings(settings: Settings, role: str) -> str:
    """What the tashi.toml of somebody with this role has to say of the controller, in one line."""
    addresses = settings.admin_addresses if role == "admin" else settings.user_addresses
    controller = ", ".join(f'"{address}"' for address in addresses)
    return f'controller = [{controller}], server_key = "{settings.server_key}"'


def told_of_next(settings: Settings, reply: Reply, server: str, role: str) -> Reply:
    """The answer to somebody who knows us by the key ``server``, on a port for ``role``: also what to know us by."""
    if server == settings.server_key or role == "enroll":
        return reply
    return replace(reply, instead=client_settings(settings, role))
