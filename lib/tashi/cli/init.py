"""tashi-init: what a controller needs on its machine before its first start. Done again, it changes nothing."""

from __future__ import annotations

import os
import pwd
import shutil
import sys
import time

import click

from tashi.config import Config, load
from tashi.wire.errors import Code, Refused

STATE_MODE = 0o711  # the pool may lie beneath, and every host's QEMU reads that; the store has a folder of its own
SYSTEM_FILE = "/etc/tashi/tashi.toml"
USER = "tashi"  # the controller's, where the packages have made one


def prepare(file: str | None, dry_run: bool) -> None:
    """Write tashi.toml if there is none, make the controller's folder, key pair and authority; a line for each step."""
    made = "would make" if dry_run else "made"
    config = _settings(file, dry_run, made)
    state = config.controller.state
    if os.path.isdir(state):
        click.echo(f"is there: {state}")
    else:
        if not dry_run:
            _folder(state)
        click.echo(f"{made}: {state}, mode {STATE_MODE:04o}")
    key, authority = os.path.join(state, "server.key"), os.path.join(state, "ca.key")
    new = [secret for secret in (key, authority) if not os.path.lexists(secret)]
    public = ""
    if not dry_run:
        _authority(state, authority)
        public = _server_key(state, key)
    for secret in new:
        click.echo(f"{made}: {secret}, mode 0600")
    if not dry_run:
        click.echo(f"server_key = {public!r}".replace("'", '"'))


def _settings(file: str | None, dry_run: bool, made: str) -> Config:
    """tashi.toml as it is, or the sample put where it is looked for."""
    named = file or os.environ.get("TASHI_CONFIG")
    there = named if named and os.path.exists(named) else "" if named else load(None).file
    if there:
        click.echo(f"is there: {there}")
        return load(there)
    target = named or SYSTEM_FILE
    if not dry_run:
        os.makedirs(os.path.dirname(os.path.abspath(target)), mode=0o755, exist_ok=True)
        shutil.copyfile(sample(), target)
    click.echo(f"{made}: {target}, the sample")
    return Config() if dry_run else load(target)


def sample() -> str:
    """Where the commented tashi.toml lies: in the checkout, or beside an installed copy's environment."""
    here = os.path.dirname(os.path.abspath(__file__))
    places = (
        os.path.join(here, "..", "..", "..", "packaging", "tashi.toml"),
        os.path.join(sys.prefix, "..", "..", "share", "tashi", "tashi.toml"),
    )
    for place in places:
        if os.path.exists(place):
            return os.path.normpath(place)
    raise Refused(Code.NOT_FOUND, "the sample tashi.toml is not where it was installed", "write one: man tashi.toml")


def _folder(state: str) -> None:
    os.makedirs(os.path.dirname(os.path.abspath(state)), mode=0o755, exist_ok=True)
    os.mkdir(state)
    os.chmod(state, STATE_MODE)
    if os.geteuid() == 0:
        uid, gid = _controllers_ids()
        os.chown(state, uid, gid)


def _server_key(state: str, key: str) -> str:
    """The public half, of the newer one where there are two; the pair belongs to whoever the folder belongs to."""
    from tashi.run.server_keys import server_keys

    new = not os.path.lexists(key)
    newest = server_keys(state)[0]
    if new:
        give(state, key)
    return newest.pair.public


def _authority(state: str, path: str) -> None:
    """The certificate authority for TLS between hosts; it is not opened when it is there."""
    if not os.path.lexists(path):
        from tashi.run.authority import read_or_make_authority

        read_or_make_authority(state, time.time())
        give(state, path)


def give(state: str, path: str) -> None:
    """Make ``path`` belong to whoever the folder ``state`` belongs to."""
    if os.geteuid() == 0:
        owner = os.stat(state)
        os.chown(path, owner.st_uid, owner.st_gid)


def _controllers_ids() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam(USER)
    except KeyError:
        return 0, 0
    return entry.pw_uid, entry.pw_gid
