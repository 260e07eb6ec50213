"""Long polls on the change log: who waits for what, and what wakes them.

Theory of operation. A reader is first answered from the log, as far as it is behind. One that has seen everything is
parked. From then on only new entries can concern it, and each commit brings them here: a reader of certain objects or
of an operation is found by their ids and answered at once; readers without ids are answered together, at most four
times a second, and those that wait for the same are given the same encoded answer. (One that reads what is older than
the last of these times is catching up, and is not kept waiting.)

What a reader may see was decided when it asked. Whose rights have changed since gets an empty answer: who then asks
again gets what is his now, or is refused.

Recent entries are kept in memory, because those who wait for their own request ask for the last few, over and over.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from typing import Protocol

import msgspec

from tashi.core.decision import Entry, Park, seen_by
from tashi.wire.errors import TashiError
from tashi.wire.messages import Changes, Reply
from tashid.store.interface import LogPage

RECENT = 4096  # entries in memory
FLUSH_SECONDS = 0.25  # readers without ids are answered so often at most
READERS_PER_PRINCIPAL = 64

_encode = msgspec.json.Encoder().encode


class Log(Protocol):
    """What is read of a store."""

    def changes(self, after: int, limit: int, match: Callable[[bytes], bool] | None = None) -> LogPage: ...


class _Head(msgspec.Struct, frozen=True):
    """What of a stored entry decides who may see it and who waits for it."""

    kind: str = ""
    id: str = ""
    name: str = ""
    owner: str = ""
    job: str = ""
    parent: str = ""
    target: str = ""


_head = msgspec.json.Decoder(_Head).decode


class _Reader:
    """One parked long poll."""

    __slots__ = ("answered", "park", "still", "to", "until")

    def __init__(self, to: Callable[[Reply], None], park: Park, until: float, still: Callable[[], bool]) -> None:
        self.to, self.park, self.until, self.still = to, park, until, still
        self.answered = False


class Watchers:
    """All parked readers. ``head`` is the newest durable revision."""

    def __init__(self, log: Log, head: int) -> None:
        self._log, self.head = log, head
        self._recent: deque[Entry] = deque(maxlen=RECENT)
        self._by_id: dict[str, dict[_Reader, None]] = {}  # readers in the order in which they came
        self._general: dict[_Reader, None] = {}
        self._count: dict[str, int] = {}
        self._ends: list[tuple[float, int, _Reader]] = []
        self._serial = 0
        self._flushed = head  # what readers without ids were last answered up to
        self._flush_at = float("-inf")  # when they may be answered again

    def full(self, principal: str) -> bool:
        """Whether this principal has as many readers parked as one may have."""
        return self._count.get(principal, 0) >= READERS_PER_PRINCIPAL

    def count(self) -> int:
        """How many readers are parked."""
        return sum(self._count.values())

    def add(self, to: Callable[[Reply], None], park: Park, now: float, still: Callable[[], bool]) -> None:
        """Answer from the log, or park. ``to`` is called once. ``now`` in monotonic seconds.

        ``still``: whether the reader may see now what it might when it asked. Raises Damaged or Unavailable when the
        log can't be read.
        """
        if not still():
            to(self._nothing(park))
            return
        if self._answered_now(to, park, now):
            return
        reader = _Reader(to, park, now + park.wait_seconds, still)
        self._count[park.principal] = self._count.get(park.principal, 0) + 1
        self._serial += 1
        heappush(self._ends, (reader.until, self._serial, reader))
        for key in _keys(park):
            self._by_id.setdefault(key, {})[reader] = None
        if not _keys(park):
            self._general[reader] = None

    def committed(self, entries: list[Entry]) -> None:
        """New entries of the log, durable by now."""
        if not entries:
            return
        self.head = entries[-1].revision
        self._recent.extend(entries)
        if self._by_id:
            self._answer_concerned(entries)

    def wake(self, ids: Iterable[str]) -> None:
        """Answer who waits for these objects, with nothing: there is no entry, but something to look at."""
        for reader in dict.fromkeys(reader for each in sorted(ids) for reader in self._by_id.get(each, ())):
            self._answer(reader, Changes([], self.head))

    def tick(self, now: float) -> None:
        """Answer the readers without ids if it is time, and those whose time is over."""
        if self._to_flush() and now >= self._flush_at:
            self._flush(now)
        while self._ends and (self._ends[0][2].answered or self._ends[0][0] <= now):
            reader = heappop(self._ends)[2]
            if not reader.answered:
                self._answer(reader, self._parked_behind(reader.park))

    def next_tick(self) -> float | None:
        """When `tick` has something to do, in monotonic seconds."""
        times = [self._ends[0][0]] if self._ends else []
        if self._to_flush():
            times.append(self._flush_at)
        return min(times, default=None)

    # -- inside -----------------------------------------------------------------------------------------------------
    def _answered_now(self, to: Callable[[Reply], None], park: Park, now: float) -> bool:
        """Answer a reader that is behind, unless it has to wait for its turn."""
        general = not _keys(park)
        if general and park.wait_seconds and park.after >= self._flushed and now < self._flush_at:
            return False
        changes = self._behind(park)
        if not (_tells(changes, self.head) or not park.wait_seconds):
            return False
        if general and park.after >= self._flushed:
            self._flushed, self._flush_at = self.head, now + FLUSH_SECONDS
        to(self._reply(park, _encode(changes)))
        return True

    def _to_flush(self) -> bool:
        return bool(self._general) and self.head > self._flushed

    def _behind(self, park: Park) -> Changes:
        """What a reader has not seen yet."""
        if park.after >= self.head:
            return Changes([], self.head)
        if self._recent and park.after >= self._recent[0].revision - 1:
            last = len(self._recent)
            new = [self._recent[n] for n in range(last - (self.head - park.after), last)]
            return self._page(park, [entry for entry in new if _wants(park, entry)])
        page = self._log.changes(park.after, park.limit, lambda value: _wants(park, _recall(value)))
        if page.tail > park.after + 1:
            return Changes([], page.head, snapshot=True, tail=page.tail)
        return Changes([msgspec.Raw(value) for _, value in page.entries], page.upto)

    def _parked_behind(self, park: Park) -> Changes:
        """The same, where nobody can be told that the log can't be read: who asks again is."""
        try:
            return self._behind(park)
        except TashiError:
            return Changes([], park.after)

    def _page(self, park: Park, wanted: list[Entry]) -> Changes:
        shown = wanted[: park.limit]
        revision = shown[-1].revision if len(shown) < len(wanted) else self.head
        return Changes([msgspec.Raw(entry.value) for entry in shown], revision)

    def _answer_concerned(self, entries: list[Entry]) -> None:
        found: dict[_Reader, list[Entry]] = {}
        for entry in entries:
            for key in sorted(entry.ids | {entry.job}):
                for reader in self._by_id.get(key, ()):
                    seen = found.setdefault(reader, [])
                    if _wants(reader.park, entry) and (not seen or seen[-1] is not entry):
                        seen.append(entry)
        for reader, wanted in found.items():
            if wanted:
                self._answer(reader, self._page(reader.park, wanted))

    def _flush(self, now: float) -> None:
        self._flushed, self._flush_at = self.head, now + FLUSH_SECONDS
        found: dict[tuple[str, frozenset[str], frozenset[str], int, int], tuple[Changes, bytes]] = {}
        for reader in list(self._general):
            park = reader.park
            group = (park.owner, park.kinds, park.about, park.limit, park.after)
            if group not in found:
                changes = self._parked_behind(park)
                found[group] = (changes, _encode(changes))
            changes, encoded = found[group]
            if _tells(changes, self.head):
                self._answer(reader, changes, encoded)
            else:
                reader.park = park._replace(after=self.head)  # all up to here does not concern it

    def _answer(self, reader: _Reader, changes: Changes, encoded: bytes = b"") -> None:
        park = reader.park
        reader.answered = True
        self._general.pop(reader, None)
        for key in _keys(park):
            readers = self._by_id[key]
            readers.pop(reader, None)
            if not readers:
                del self._by_id[key]
        self._count[park.principal] -= 1
        if not self._count[park.principal]:
            del self._count[park.principal]
        told = self._reply(park, encoded or _encode(changes))
        reader.to(told if reader.still() else self._nothing(park))

    def _nothing(self, park: Park) -> Reply:
        return self._reply(park, _encode(Changes([], park.after)))

    def _reply(self, park: Park, changes: bytes) -> Reply:
        """The log's revision goes with it: where it is past the page's own there is more to read."""
        return Reply(park.request, msgspec.Raw(changes), revision=self.head)


def _tells(changes: Changes, head: int) -> bool:
    """Whether an answer has something in it that its reader did not know."""
    return bool(changes.entries) or changes.snapshot or changes.revision < head


def _keys(park: Park) -> frozenset[str]:
    return frozenset((park.job,)) if park.job else park.ids


def _wants(park: Park, entry: Entry) -> bool:
    if park.owner and entry.owner and entry.owner != park.owner:
        return False
    if park.job and park.job != entry.job and park.job not in entry.ids:
        return False
    if park.about and entry.name not in park.about and park.about.isdisjoint(entry.ids):
        return False
    return (not park.ids or not park.ids.isdisjoint(entry.ids)) and (not park.kinds or entry.kind in park.kinds)


def _recall(value: bytes) -> Entry:
    """A stored entry as the core made it, as far as `_wants` looks at it."""
    head = _head(value)
    ids = frozenset(each for each in (head.id, head.job, head.parent, head.target) if each)
    return Entry(0, 0.0, value, (), ids, head.kind, seen_by(head.kind, head.owner), head.job, head.name)
