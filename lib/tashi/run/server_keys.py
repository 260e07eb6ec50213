"""The controller's own keys: one, or two while the next one takes the place of the current one.

CURVE has one key a socket, so each key has ports of its own: the first ones of tashi.toml or the second ones. The key
file says which; so a key keeps its ports for as long as it lives, and the key after it gets the others. Each step is
one file that appears or is renamed: whatever is interrupted has happened or has not.
"""

from __future__ import annotations

import os
import tomllib
from typing import NamedTuple

from tashi.run.files import sync_folder, write_durably
from tashi.run.keys import KeyPair, new_pair, read_or_make_pair, read_pair
from tashi.wire.errors import Code, Refused

CURRENT, NEXT = "server.key", "server-next.key"


class ServerKey(NamedTuple):
    """``second``: it has the second ports."""

    path: str
    pair: KeyPair
    second: bool


def server_keys(state: str) -> list[ServerKey]:
    """The controller's keys, the newest first; a first one is made where there is none. Raises Refused, OSError."""
    current = os.path.join(state, CURRENT)
    read_or_make_pair(current)
    paths = [path for path in (os.path.join(state, NEXT), current) if os.path.lexists(path)]
    keys = [ServerKey(path, read_pair(path), _second(path)) for path in paths]
    if len({key.second for key in keys}) < len(keys):
        raise Refused(Code.CONFLICT, f"{keys[0].path}: it has the ports of {CURRENT}", "remove it, make another")
    return keys


def make_next(state: str) -> ServerKey:
    """Make the next key, for the ports that the current one has not. Raises Refused when there is one already."""
    current, path = os.path.join(state, CURRENT), os.path.join(state, NEXT)
    read_pair(current)
    if os.path.lexists(path):
        raise Refused(Code.CONFLICT, f"{path}: there is a next key already", "tashi-keygen --drop-old ends the old one")
    pair, second = new_pair(), not _second(current)
    ports = "second" if second else "first"
    text = f'public = "{pair.public}"\nsecret = "{pair.secret}"\nports = "{ports}"\n'
    write_durably(path, text.encode(), 0o600)
    return ServerKey(path, pair, second)


def drop_old(state: str) -> ServerKey:
    """Put the next key in the place of the current one, of which nothing is left. Raises Refused without a next one."""
    current, path = os.path.join(state, CURRENT), os.path.join(state, NEXT)
    if not os.path.lexists(path):
        raise Refused(Code.WRONG_STATE, f"{state}: there is one server key only", "tashi-keygen --next makes another")
    kept = ServerKey(current, read_pair(path), _second(path))
    os.rename(path, current)
    sync_folder(current)
    return kept


def _second(path: str) -> bool:
    """Whether the key in this file, that `read_pair` has taken for one, has the second ports."""
    with open(path, "rb") as file:
        return tomllib.load(file).get("ports") == "second"
