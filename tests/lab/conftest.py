"""The lab of physical machines that two modules of tests share: it is made once, and the last test takes it down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tashi.lab.lab import Lab, down
from tests.lab.commands import QUICK

MACHINES_LAB = "test-rack"


@pytest.fixture(scope="session")
def machines_lab() -> Iterator[Lab]:
    """A host and four machines, with the controller, the host's agent and the zoni agent."""
    down(MACHINES_LAB)
    try:
        yield Lab.up(MACHINES_LAB, 1, "libvirt", machines=4, settings={"controller": QUICK})
    finally:
        down(MACHINES_LAB)
