"""The shared pool."""

from __future__ import annotations

import pytest

from tashi.sched.pool import Pool
from tests.sched.made import GIB


def test_the_pool_is_counted_once() -> None:
    pool = Pool()
    assert pool.why_not(2**50) == ""  # nobody has seen it yet
    pool.capacity_bytes = 10 * GIB
    pool.claim(8 * GIB)
    assert pool.why_not(2 * GIB) == ""
    assert pool.why_not(3 * GIB) == "needs 3G of disk, the pool has 2G free"
    assert pool.ever_fits(10 * GIB) and not pool.ever_fits(11 * GIB)
    pool.release(8 * GIB)
    with pytest.raises(ValueError):
        pool.release(1)
