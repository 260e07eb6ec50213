"""What an ordinary user is told of files that are the controller's: the permission, and nothing that was not done."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tashi.cli.init import prepare
from tashi.config import Controller
from tashid.exports import export

NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that everybody may look into; the user has no rights in it while the test runs."""
    with tempfile.TemporaryDirectory() as made:
        path = Path(made)
        (path / "state/store").mkdir(parents=True)
        (path / "tashi.toml").write_text(f'[controller]\nstate = "{path}/state"\n')
        (path / "state/store").chmod(0o000)
        for each in (path / "state", path):
            each.chmod(0o555)
        root = os.geteuid() == 0
        if root:
            os.seteuid(NOBODY)
        try:
            yield path
        finally:
            if root:
                os.seteuid(0)
            for each in (path, path / "state", path / "state/store"):
                each.chmod(0o755)


def test_a_store_that_may_not_be_read_is_not_said_to_be_missing(folder: Path) -> None:
    with pytest.raises(PermissionError, match=r"data\.mdb"):
        next(export(Controller(state=str(folder / "state")), ""))


@pytest.mark.parametrize("file", ["tashi.toml", "other.toml"])
def test_what_could_not_be_made_is_not_said_to_be(folder: Path, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PermissionError):
        prepare(str(folder / file), dry_run=False)
    assert "made" not in capsys.readouterr().out
