"""A running controller for each test that asks for one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.daemon.processes import Asker, Controller


@pytest.fixture
def controller() -> Iterator[Controller]:
    made = Controller()
    try:
        yield made.start()
    finally:
        made.close()


@pytest.fixture
def admin(controller: Controller) -> Asker:
    return controller.local()
