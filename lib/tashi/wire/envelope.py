"""Requests and replies as plain dicts: what a command needs of the protocol, with the standard json alone.

The daemons check every message against `tashi.wire.messages`; a command must start fast, so it builds the same frames
by hand. A test sends what this module writes through the daemons' decoder.
"""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

from tashi.wire.errors import Code, NotFound, TashiError, Unavailable

PROTOCOL = 2
POLL_SECONDS = 25.0  # the longest that a controller lets a reader of changes wait
TOGETHER = 1000  # hosts that can be drained together
_CODES = frozenset(Code)


class Ask(NamedTuple):
    """A verb and its body, as `tashi.wire.messages` has them."""

    verb: str
    body: dict[str, Any]


class Answer(NamedTuple):
    """What a request brought: ``ok`` is the verb's own record, ``rows`` a list's ready text.

    ``revision`` is the change log's when this was answered: watch from there. ``instead``: what tashi.toml should say.
    """

    ok: dict[str, Any]
    revision: int
    rows: bytes = b""
    instead: str = ""


def new_id() -> str:
    """A request id that nobody else has: 96 random bits in hex."""
    return os.urandom(12).hex()


def request(identity: str, verb: str, body: dict[str, Any], why: str = "", owner: str = "") -> bytes:
    """One frame that asks ``verb``; the same identity on a retry gets the same answer. ``why`` is for the history.

    ``owner``: an administrator asks for this user.
    """
    message: dict[str, Any] = {"id": identity, "verb": verb, "body": body, "v": PROTOCOL}
    if why:
        message["why"] = why
    if owner:
        message["owner"] = owner
    return json.dumps(message, separators=(",", ":")).encode()


def reply(frames: list[bytes]) -> tuple[str, Answer | TashiError]:
    """(request id, answer or error) of one reply; raises ValueError when it is none."""
    try:
        message = json.loads(frames[0])
    except RecursionError as wrong:
        raise ValueError(str(wrong)) from wrong
    if not isinstance(message, dict) or not isinstance(message.get("id"), str):
        raise ValueError("a reply without an id")
    problem, ok, revision = message.get("error"), message.get("ok"), message.get("revision", 0)
    if problem is not None:
        if not isinstance(problem, dict):
            raise ValueError("a reply whose error is no object")
        return message["id"], error(problem)
    if not isinstance(ok, dict | None) or type(revision) is not int:
        raise ValueError("a reply with neither an answer nor an error")
    rows, instead = frames[1] if len(frames) > 1 else b"", str(message.get("instead", ""))
    return message["id"], Answer(ok or {}, revision, rows, instead)


def error(problem: dict[str, Any]) -> TashiError:
    """The wire's ``Problem`` as an exception. A code that only newer controllers know is shown with the text."""
    code, text, hint = str(problem.get("code", "")), str(problem.get("text", "")), str(problem.get("hint", ""))
    if code not in _CODES:
        return TashiError(Code.FAULT, f"{text} ({code})", hint)
    if code == Code.NOT_FOUND:
        return NotFound(text, hint)
    if code == Code.UNAVAILABLE:
        return Unavailable(text, hint)
    return TashiError(Code(code), text, hint)
