"""How an agent gets its place: a key pair made here, and a one-time token that buys its public half a record.

No private key ever travels. What is left is ``agent.key`` and ``enrolled.toml`` in the agent's state; the token is
worth nothing any more. Doing it again with the same document and keys gets the same answer.
"""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec
import tomli_w
import zmq

from tashi.agent.lines import Line
from tashi.run.document import Document, read_document
from tashi.run.files import write_durably
from tashi.run.keys import KeyPair, read_or_make_pair, read_pair
from tashi.run.link import connect, dealer
from tashi.wire.bounds import Strict
from tashi.wire.errors import Code, Refused, TashiError, Unavailable
from tashi.wire.messages import Accepted, Problem, Request

ANSWER_SECONDS = 10.0


class Place(NamedTuple):
    """What is enrolled: ``kind`` is the key of its name in documents, ``made_by`` the command that prints them,
    ``verb`` the request, and ``whose`` what it is called in errors."""

    kind: str
    made_by: str
    daemon: str
    verb: str
    whose: str


class Answer(msgspec.Struct, frozen=True):
    """What matters of a reply: whether it is an error, and what came with it."""

    error: Problem | None = None
    ok: Accepted | None = None


class Enrolled(NamedTuple):
    """Who this agent is and whom it believes: the controller's newest key first."""

    name: str
    lines: tuple[Line, ...]
    pair: KeyPair


def enroll(state: str, file: str, place: Place, body: Callable[[Document, str], Strict]) -> tuple[str, Accepted | None]:
    """Use the enrolment document in ``file`` ("-": standard input); returns the name, and what the controller gave.

    ``body`` makes the request of the document and the public key.

    Raises TashiError: no answer, wrong token, not a document.
    """
    document = read_document(file, place.kind, place.made_by)
    pair = read_or_make_pair(os.path.join(state, "agent.key"))
    asked = msgspec.json.encode(body(document, pair.public))
    # The same keys with the same token are the same request: asking again after a lost answer is safe.
    identity = hashlib.blake2b(asked, digest_size=16).hexdigest()
    given = _ask(document, pair, Request(identity, place.verb, msgspec.Raw(asked)))
    keep_lines(state, place, document.name, (Line(document.server_key, tuple(document.controller)),))
    return document.name, given


def keep_lines(state: str, place: Place, name: str, lines: tuple[Line, ...]) -> None:
    """Remember whom the agent believes, the newest key first. Raises OSError."""
    newest, *former = ({"controller": line.addresses, "server_key": line.server_key} for line in lines)
    kept = {place.kind: name, **newest, **({"former": former} if former else {})}
    write_durably(os.path.join(state, "enrolled.toml"), tomli_w.dumps(kept).encode(), 0o600)


def enrolled(state: str, place: Place) -> Enrolled:
    """What enrolment left in ``state``. Raises Refused when there was none."""
    path = os.path.join(state, "enrolled.toml")
    try:
        with open(path, "rb") as stream:
            kept = tomllib.load(stream)
        lines = tuple(
            Line(str(each["server_key"]), tuple(map(str, each["controller"])))
            for each in (kept, *kept.get("former", ()))
        )
        return Enrolled(str(kept[place.kind]), lines, read_pair(os.path.join(state, "agent.key")))
    except FileNotFoundError as error:
        hint = f"{place.made_by} NAME on the controller, then here: {place.daemon} --enroll FILE"
        raise Refused(Code.WRONG_STATE, f"{error.filename}: this {place.whose} is not enrolled", hint) from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise Refused(Code.BAD_REQUEST, f"{path}: not what enrolment writes: {error}") from error


def _ask(document: Document, pair: KeyPair, request: Request) -> Accepted | None:
    frame = msgspec.json.encode(request)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        for address in document.enroll:
            reply = _ask_one(context, document.server_key, pair, address, frame)
            if reply is not None:
                break
        else:
            where = ", ".join(document.enroll)
            why = "not running, not reachable, or another server key"
            raise Unavailable(f"no answer from {where} in {ANSWER_SECONDS:g} s: {why}", code=Code.NO_ANSWER)
    finally:
        context.term()
    if reply.error is not None:
        raise TashiError(_code(reply.error.code), reply.error.text, reply.error.hint)
    return reply.ok


def _ask_one(context: zmq.Context[Any], server_key: str, pair: KeyPair, address: str, frame: bytes) -> Answer | None:
    """One controller's answer, or None when it has none in time."""
    socket = dealer(context, server_key, pair)
    try:
        socket.setsockopt(zmq.IMMEDIATE, 0)
        connect(socket, address)
        socket.send(frame, zmq.NOBLOCK)
        if not socket.poll(int(ANSWER_SECONDS * 1000)):
            return None
        return msgspec.json.decode(socket.recv_multipart(zmq.NOBLOCK)[0], type=Answer)
    except msgspec.DecodeError as error:
        raise Unavailable(f"{address}: what answers is not a controller: {error}") from error
    finally:
        socket.close(0)


def _code(code: str) -> Code:
    return Code(code) if code in Code.__members__.values() else Code.FAULT
