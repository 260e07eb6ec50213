"""tashi-restore: the controller's store and keys come back from a backup, while it does not run."""

from __future__ import annotations

import os

from tashi.config import Controller
from tashid import backup
from tashid.staging import Report, Staging
from tashid.store.interface import Damaged, TooNew
from tashid.store.upgrade import UPGRADES


def restore(own: Controller, path: str, replace: bool, wall: float, dry_run: bool = False) -> Report:
    """Put the backup ``path`` in the place of the controller's store and keys. Raises TashiError or OSError."""
    manifest = backup.read(path)
    newest = UPGRADES[-1].schema
    if manifest.schema > newest:
        text = f"{path}: its store has schema {manifest.schema}, this version knows {newest}"
        raise TooNew(text, "use the version that wrote it, or a newer one")
    with Staging(own, replace, wall, manifest.keys) as staging:
        _copy(path, manifest.data_bytes, staging.data)
        found = staging.digest()
        if found.digest != manifest.digest:
            raise Damaged(f"{path}: its records are not those that it was made of", backup.ANOTHER)
        return staging.finish(found, dry_run)


def _copy(source: str, size: int, target: str) -> None:
    with open(source, "rb") as given, open(target, "xb", opener=_private) as made:
        left = size
        while left and (piece := given.read(min(backup.PIECE, left))):
            made.write(piece)
            left -= len(piece)
        made.flush()
        os.fsync(made.fileno())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, 0o600)
