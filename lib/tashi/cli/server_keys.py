"""tashi-keygen --next and --drop-old: another key for the controller; both are good until nobody needs the old one."""

from __future__ import annotations

import os

import click

from tashi.cli.init import give
from tashi.client import Client
from tashi.config import Controller
from tashi.run.server_keys import CURRENT, NEXT, ServerKey, drop_old, make_next
from tashi.wire.errors import Code, Refused, Unavailable

RESTART = "systemctl restart tashi-controller"
PATIENCE_SECONDS = 5.0
FORCE = "--force drops it all the same"


def begin(own: Controller) -> None:
    """Make the next key and say what comes then."""
    made = make_next(own.state)
    give(own.state, made.path)
    click.echo(f"made: {made.path}, mode 0600")
    _tell(own, made)
    click.echo(f"hint: {RESTART}; when tashi-check finds nobody with the old key: tashi-keygen --drop-old", err=True)


def end(own: Controller, force: bool) -> None:
    """Leave the newer key alone. Raises Refused while that would cut somebody off, unless by ``force``."""
    path = os.path.join(own.state, NEXT)
    if os.path.lexists(path) and not force:
        _check(own, path)
    kept = drop_old(own.state)
    click.echo(f"dropped: the former {os.path.join(own.state, CURRENT)}")
    _tell(own, kept)
    click.echo(f"hint: {RESTART}; then tashi-backup: a former backup has the old key", err=True)


def _check(own: Controller, path: str) -> None:
    """Ask the controller who comes with the old key."""
    from tashi.run.keys import read_pair

    client = Client((f"ipc://{own.run}",), PATIENCE_SECONDS)
    try:
        status = client.ask("status", {}).ok
    except Unavailable as error:
        raise Unavailable(f"{error.text}: nobody can say who needs the old key", FORCE, error.code) from error
    finally:
        client.close()
    if read_pair(path).public not in status.get("server_keys", []):
        raise Refused(Code.WRONG_STATE, f"{path}: the controller does not use it yet: nobody knows it", RESTART)
    behind = status.get("with_old_key", 0)
    if behind:
        who = "1 host or key has" if behind == 1 else f"{behind} hosts and keys have"
        raise Refused(Code.WRONG_STATE, f"{who} not come with the next key yet", f"tashi-check says which; {FORCE}")


def _tell(own: Controller, key: ServerKey) -> None:
    ports = (own.user_port, own.admin_port, own.agent_port, own.enroll_port)
    if key.second:
        ports = (own.second_user_port, own.second_admin_port, own.second_agent_port, own.second_enroll_port)
    click.echo(f'server_key = "{key.pair.public}"')
    click.echo("ports: {} for users, {} for administrators, {} for agents, {} for enrolment".format(*ports))
