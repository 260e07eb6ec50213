"""A scripted controller for each test, in a folder that the commands find it in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cmd.fake_controller import FakeController, controller


@pytest.fixture
def fake(tmp_path: Path) -> Iterator[FakeController]:
    with controller(tmp_path) as running:
        yield running
