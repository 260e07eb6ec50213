"""What the simulator needs of the store in memory: crashes at the points that matter, and controllers that follow."""

from __future__ import annotations

import pytest

from tashi.wire.errors import Unavailable
from tashid.store.interface import LogEntry, Put
from tashid.store.memory import MemoryStore


class Crash(Exception):
    """The controller ends here."""


def crash_at(moment: str) -> MemoryStore:
    """A store whose controller crashes at that moment of its next commit."""
    store = MemoryStore()
    store.acquire()

    def crash(now: str) -> None:
        if now == moment:
            raise Crash

    store.crash = crash
    return store


@pytest.mark.fault(5)
@pytest.mark.parametrize(("moment", "left"), [("before-write", None), ("after-write", b"1")])
def test_a_crash_leaves_a_batch_whole_or_not_at_all(moment: str, left: bytes | None) -> None:
    store = crash_at(moment)
    with pytest.raises(Crash):
        store.commit([Put("vm", "v-1", b"1"), Put("job", "j-1", b"1")], [LogEntry(1, 0.0, b"")], epoch=1)
    again = store.reopened()
    assert again.get("vm", "v-1") == again.get("job", "j-1") == left
    assert again.head() == (0 if left is None else 1)


def test_a_handle_that_was_followed_writes_nothing_more() -> None:
    old = MemoryStore()
    epoch = old.acquire()
    old.commit([Put("vm", "v-1", b"1")], [LogEntry(1, 0.0, b"")], epoch=epoch)
    new = old.reopened()
    newest = new.acquire()
    assert newest > epoch
    for write in (
        old.acquire,
        lambda: old.prune(0, 0.0),
        lambda: old.commit([Put("vm", "v-1", b"2")], [], epoch=epoch),
        lambda: old.commit([Put("vm", "v-1", b"2")], [], epoch=newest),
    ):
        with pytest.raises(Unavailable, match="fenced"):
            write()
    assert new.get("vm", "v-1") == b"1"
    new.commit([Put("vm", "v-1", b"3")], [], epoch=newest)
    assert old.get("vm", "v-1") == b"3"
