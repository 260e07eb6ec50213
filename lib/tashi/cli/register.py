"""tashi-enroll: a user's key pair is made where the user is, and its public half let in by a one-time token.

The pair is kept aside until the controller has let it in: only then it takes the place of a former one. So doing it
again after a lost answer, or with a new document to replace a key, leaves a key that works at every moment.
"""

from __future__ import annotations

import os

import click

from tashi.cli.call import Call
from tashi.run.document import Document, read_document

SETTINGS, KEY = "tashi.toml", "client.key"
PATIENCE_SECONDS = 10.0


def own_folder() -> str:
    """Where this user's settings are looked for."""
    return os.path.join(os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config"), "tashi")


def register(call: Call, file: str, folder: str) -> None:
    """Make a pair, let it in with the document in ``file``, and write settings that use it; a line for each step."""
    from tashi.client import Client
    from tashi.run.files import sync_folder
    from tashi.run.keys import read_or_make_pair

    document = read_document(file, "user", "tuser-enroll")
    os.makedirs(folder, mode=0o700, exist_ok=True)
    key = os.path.join(folder, KEY)
    fresh = f"{key}.new"
    pair = read_or_make_pair(fresh)
    client = Client(tuple(document.enroll), PATIENCE_SECONDS, document.server_key, fresh)
    answer = client.ask("key.register", {"token": document.token, "user": document.name})
    os.rename(fresh, key)
    sync_folder(key)
    call.output.text(f"let in: {pair.public} as {document.name}, {next(iter(answer.ok['objects']))}\n")
    _settings(call, document, os.path.join(folder, SETTINGS), key)


def _settings(call: Call, document: Document, path: str, key: str) -> None:
    import tomli_w

    section = {"client": {"controller": document.controller, "server_key": document.server_key, "key": key}}
    text = tomli_w.dumps(section)
    if not os.path.exists(path):
        from tashi.run.files import write_durably

        write_durably(path, text.encode(), 0o600)
        call.output.text(f"made: {path}\n")
        return
    from tashi.config import load

    now = load(path, ("client",)).client
    if (now.controller, now.server_key, now.key) == (tuple(document.controller), document.server_key, key):
        call.output.text(f"is there: {path}\n")
    else:
        click.echo(f"{call.prog}: {path}: is there and says otherwise; to use the key, put there:", err=True)
        call.output.text(text)
