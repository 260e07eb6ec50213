"""What tashi-check looks at on the machine that it runs on: the controller's store, and the files of keys.

The store is read as it is on the disk, whether a controller writes to it or not; nothing is locked and nothing changed.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from types import MappingProxyType

from tashi.config import Config, look_through
from tashi.run import start
from tashi.run.keys import check_private, read_pair
from tashi.run.server_keys import CURRENT, NEXT
from tashi.wire.errors import TashiError
from tashid.contents import wrong
from tashid.reload import policy_of
from tashid.store.snapshot import Snapshot

KEY_DAYS = 730.0  # older ones are told
DAY = 86_400.0
Found = dict[str, str]


def look(file: str | None) -> list[Found]:
    """What is wrong with the settings of this machine, and with what they name. ``file`` as `tashi.config.load`."""
    return here(*look_through(file))


def here(config: Config, wrong: Mapping[str, TashiError] = MappingProxyType({})) -> list[Found]:
    """What is wrong with the files of the daemons that this machine has: kind, name, what, help.

    ``wrong``: the sections of tashi.toml that can't be read. Where they say what lies where, nothing is looked at.
    """
    found = [_setting(config, error) for error in wrong.values()]
    found += _placement(config)
    state = config.controller.state
    if "controller" not in wrong and os.path.isdir(state):
        found += _folder(state)
        found += _store(os.path.join(state, "store", "data.mdb"))
        found += [each for name in (CURRENT, NEXT) for each in _key(os.path.join(state, name), "tashi-keygen --next")]
        found += [each for name in ("ca.key", "secrets.key") for each in _private(os.path.join(state, name))]
    if "agent" not in wrong and os.path.isdir(config.agent.state):
        found += _folder(config.agent.state)
        found += _key(os.path.join(config.agent.state, "agent.key"))
    if config.client.key:
        found += _key(config.client.key)
    return found


def _finding(kind: str, name: str, what: str, help: str) -> Found:
    return {"kind": kind, "name": name, "what": what, "help": help}


def _placement(config: Config) -> Iterator[Found]:
    """Names that the file may have in its lists, and only placement knows."""
    try:
        policy_of(config)
    except TashiError as error:
        yield _setting(config, error)


def _setting(config: Config, error: TashiError) -> Found:
    what, help = error.text.removeprefix(f"{config.file}: "), error.hint or "tashi.toml(5) says what there is"
    return _finding("controller", config.file, what, help)


def _store(data: str) -> Iterator[Found]:
    if not os.path.exists(data):
        return
    try:
        snapshot = Snapshot(data, beside=True)
        try:
            damage = wrong(snapshot)
        finally:
            snapshot.close()
    except TashiError as error:
        yield _finding("store", data, error.text, error.hint or "tashi-restore puts a backup in its place")
    else:
        for what in damage:
            yield _finding("store", data, what, "stop the controller; tashi-restore puts a backup in its place")


def _folder(path: str) -> Iterator[Found]:
    try:
        start.private_folder(path)
    except (TashiError, OSError) as error:
        yield _refused("folder", path, error)


def _key(path: str, help: str = "think of a new one: keys don't end by themselves") -> Iterator[Found]:
    if not os.path.lexists(path):
        return
    try:
        read_pair(path)
        days = (time.time() - os.stat(path).st_mtime) / DAY
    except (TashiError, OSError) as error:
        yield _refused("key", path, error)
    else:
        if days > KEY_DAYS:
            yield _finding("key", path, f"it is {days:.0f} days old", help)


def _private(path: str) -> Iterator[Found]:
    """A secret that is no pair of ours: only its mode can be judged."""
    try:
        check_private(path, os.stat(path))
    except FileNotFoundError:
        return
    except (TashiError, OSError) as error:
        yield _refused("key", path, error)


def _refused(kind: str, path: str, error: TashiError | OSError) -> Found:
    if isinstance(error, TashiError):
        return _finding(kind, path, error.text.removeprefix(f"{path}: "), error.hint or "make it anew")
    return _finding(kind, path, str(error.strerror), "run tashi-check as root, or as the daemon's user")
