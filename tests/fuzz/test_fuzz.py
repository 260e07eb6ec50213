"""Every input that is kept, and some that hypothesis makes up; in soak minutes of atheris, which keeps what fails."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.corpus import FOLDER, keep, kept
from tests.fuzz.mutate import mutate
from tests.fuzz.targets import TARGETS
from tests.house.tree import HERE, ROOT

SECONDS = int(os.environ.get("TASHI_FUZZ_SECONDS", "30"))  # for each target
EXAMPLES = 100


def inputs(name: str) -> st.SearchStrategy[bytes]:
    """Words of the target strung together, and what is kept with a piece of it exchanged."""
    word = st.sampled_from(TARGETS[name].words).map(lambda each: each.encode("latin-1", "replace"))
    words = st.lists(word | st.binary(max_size=4), max_size=40).map(b"".join)
    cut = st.integers(0, 2048)
    changed = st.builds(
        lambda old, begin, end, new: old[:begin] + new + old[end:], st.sampled_from(kept(name)), cut, cut, words
    )
    if not TARGETS[name].json:
        return words | changed
    other = st.builds(mutate, st.sampled_from(kept(name)), st.just(TARGETS[name].words), st.integers(0, 2**32))
    return words | changed | other | other


@pytest.mark.attack(11, 13, 22)
@pytest.mark.parametrize("name", TARGETS)
def test_what_is_kept(name: str) -> None:
    assert kept(name)
    for each in kept(name):
        TARGETS[name].run(each)


def test_what_is_kept_is_a_target_s() -> None:
    assert {each.stem for each in FOLDER.iterdir()} == set(TARGETS)


@pytest.mark.attack(11, 13, 22)
@pytest.mark.parametrize("name", TARGETS)
def test_made_up(name: str) -> None:
    @settings(max_examples=EXAMPLES, deadline=None)
    @given(inputs(name))
    def check(data: bytes) -> None:
        TARGETS[name].run(data)

    check()


@pytest.mark.soak
@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", TARGETS)
def test_guided_by_coverage(name: str, tmp_path: Path) -> None:
    """What fails is kept, so that it fails in every check until it is mended."""
    pytest.importorskip("atheris")
    command = [sys.executable, "-m", "tests.fuzz.run", name, str(SECONDS), str(tmp_path / "work")]
    done = subprocess.run(command, cwd=ROOT, env=HERE, capture_output=True, text=True, timeout=SECONDS + 120)
    print(done.stderr[-1000:])
    found = [each.read_bytes() for each in (tmp_path / "work").glob("*-*")]
    keep(name, found)
    assert not found, f"{found[0]!r}\n{done.stderr[-4000:]}"
    assert done.returncode == 0, done.stderr[-4000:]
