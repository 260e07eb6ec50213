"""What was refused for want of a right, for the change log.

Operators and who was refused see it, and nobody can flood the log with it.
"""

from __future__ import annotations

import msgspec

from tashi.core.decision import Entry
from tashi.core.rate import Allowance
from tashi.model.clock import Now
from tashi.model.units import stamp
from tashi.wire.messages import Change, Request

_encode = msgspec.json.Encoder().encode


class Denials:
    """How much has been told lately. What is not told is counted, and the count told with the next."""

    def __init__(self) -> None:
        self._allowance = Allowance()
        self._untold = 0

    def entry(self, who: str, asked: Request, text: str, now: Now, revision: int) -> Entry | None:
        """The entry for one refusal, if there is room for it."""
        if not self._allowance.take(who, now.monotonic):
            self._untold += 1
            return None
        more = f"; {self._untold} more were refused and are not told" if self._untold else ""
        self._untold = 0
        change = Change(
            revision=revision, at=stamp(now.wall), kind="denied", id="", name=_object_of(asked), state="denied",
            owner=who, reason=text + more, by=who, verb=asked.verb[:40], why=asked.why,
        )  # fmt: skip
        return Entry(revision, now.wall, _encode(change), (), frozenset(), "denied", who, "", change.name)


class _Object(msgspec.Struct, frozen=True):
    name: str = ""
    host: str = ""


def _object_of(raw: Request) -> str:
    """The object that a request names, for the log; empty where it names none."""
    try:
        named = msgspec.json.decode(raw.body, type=_Object)
        return (named.name or named.host)[:80]
    except (ValueError, RecursionError):
        return ""
