"""A shell loop starts a command hundreds of times: what it doesn't use, it doesn't load."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.house.test_layering import HEAVY, HEAVY_COMMANDS
from tests.house.tree import HERE, ROOT, commands


@pytest.mark.parametrize("name", [name for name in commands() if name not in HEAVY_COMMANDS])
def test_a_command_loads_only_what_is_cheap(name: str) -> None:
    run = [sys.executable, "-X", "importtime", str(ROOT / "cmd" / name), "-h"]
    done = subprocess.run(run, capture_output=True, text=True, timeout=30, env=HERE)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "Usage:" in done.stdout
    # import time: self [us] | cumulative | package
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "click" in loaded, "the list of imports is not what this test takes it for"
    assert not {each for each in loaded if each.split(".")[0] in HEAVY}
