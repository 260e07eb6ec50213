"""Every fault and attack has a test or says what is so, and the manual's table is the tests' own."""

from __future__ import annotations

import pytest

from tests.house import faults
from tests.house.tree import ROOT


def test_the_manual_has_the_tests_as_they_are() -> None:
    assert (ROOT / "man/tashi-faults.7").read_text() == faults.page(), "make faults"


@pytest.mark.parametrize("key", faults.rows(), ids=lambda key: f"{key[0]}-{key[1]}")
def test_a_row_has_a_test_or_says_what_is_so(key: faults.Key) -> None:
    tested, today = bool(faults.tests().get(key)), bool(faults.rows()[key].today)
    assert tested != today, "a test of it, or a word on what is so, and not both"


def test_tests_are_about_rows_that_there_are() -> None:
    assert not faults.tests().keys() - faults.rows().keys()


def test_there_are_as_many_rows_as_were_numbered() -> None:
    numbers = {kind: [number for each, number in faults.rows() if each == kind] for kind in faults.KINDS}
    assert numbers == {"fault": list(range(1, 61)), "attack": list(range(1, 39))}
