"""What can go wrong: whose fault it is, whether trying again helps, and the exit status that says so.

One table. A code travels on the wire; everything else about an error follows from it here.
This module loads nothing but the standard library's enum, because every command imports it.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """The short word for an error that travels in a reply."""

    BAD_REQUEST = "bad-request"
    DENIED = "denied"
    NOT_FOUND = "not-found"
    WRONG_STATE = "wrong-state"
    CONFLICT = "conflict"
    IMPOSSIBLE = "impossible"
    NO_ROOM = "no-room"
    QUOTA = "quota"
    LOCKED = "locked"
    BUSY = "busy"
    TOO_LATE = "too-late"
    UNKNOWN_VERB = "unknown-verb"
    UNAVAILABLE = "unavailable"
    NO_ANSWER = "no-answer"
    FAULT = "fault"


# code: (exit status, does trying again help)
TABLE: dict[Code, tuple[int, bool]] = {
    Code.BAD_REQUEST: (2, False),
    Code.DENIED: (77, False),
    Code.NOT_FOUND: (1, False),
    Code.WRONG_STATE: (1, False),
    Code.CONFLICT: (1, False),
    Code.IMPOSSIBLE: (1, False),
    Code.NO_ROOM: (75, True),
    Code.QUOTA: (1, False),
    Code.LOCKED: (75, True),
    Code.BUSY: (75, True),
    Code.TOO_LATE: (1, False),
    Code.UNKNOWN_VERB: (1, False),
    Code.UNAVAILABLE: (75, True),
    Code.NO_ANSWER: (69, True),
    Code.FAULT: (1, False),
}


def exit_status(code: str) -> int:
    """The exit status for a code; a code of a newer controller counts as a plain failure (1)."""
    return TABLE[Code(code)][0] if code in Code.__members__.values() else 1


def retry_helps(code: str) -> bool:
    """Whether the same request may succeed later without anybody changing it."""
    return TABLE[Code(code)][1] if code in Code.__members__.values() else False


class TashiError(Exception):
    """An error that a person can act on.

    ``text`` names the object and the reason, ``hint`` the way out (may be empty).
    """

    def __init__(self, code: Code, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.code, self.text, self.hint = code, text, hint


class Refused(TashiError):
    """Illegal now, or never: the caller's side."""


class NotFound(TashiError):
    """No such object, or none that the caller may see."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(Code.NOT_FOUND, text, hint)


class Unavailable(TashiError):
    """The store, an agent or a driver can't serve this now."""

    def __init__(self, text: str, hint: str = "", code: Code = Code.UNAVAILABLE) -> None:
        super().__init__(code, text, hint)


class Fault(TashiError):
    """Our bug."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(Code.FAULT, text, hint)
