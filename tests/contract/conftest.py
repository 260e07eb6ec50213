"""Real hypervisors for the contract tests: two private libvirtds for the whole run, a clean rig for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.driver_rigs import QemuRig
from tests.contract.private_libvirtd import Pair, missing


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    pytest.importorskip("libvirt")
    if lacks := missing():
        pytest.skip(lacks)
    pair = Pair(tmp_path_factory.mktemp("hosts"))
    yield pair
    pair.close()


@pytest.fixture
def qemu(pair: Pair, tmp_path: Path) -> Iterator[QemuRig]:
    rig = QemuRig(tmp_path / "pool", pair)
    yield rig
    rig.close()
