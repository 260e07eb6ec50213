"""How a host gets its place: a key pair made here, and a one-time token that buys its public half a record.

No private key ever travels. What is left is ``agent.key``, ``enrolled.toml`` and the host's certificate (``tls.json``)
in the agent's state; the token is worth nothing any more. Doing it again with the same document and keys gets the same
answer.
"""

from __future__ import annotations

import hashlib
import os
import time
import tomllib
from typing import Any, NamedTuple

import msgspec
import tomli_w
import zmq

from tashi.agent.lines import Line
from tashi.run.document import Document, read_document
from tashi.run.files import write_durably
from tashi.run.keys import KeyPair, read_or_make_pair, read_pair
from tashi.wire.errors import Code, Refused, TashiError, Unavailable
from tashi.wire.messages import Accepted, Credential, Enroll, Problem, Request
from tashid.credential_files import asking, keep
from tashid.link import connect, dealer

ANSWER_SECONDS = 10.0


class Answer(msgspec.Struct, frozen=True):
    """What matters of a reply: whether it is an error, and the host's certificate."""

    error: Problem | None = None
    ok: Accepted | None = None


class Enrolled(NamedTuple):
    """Who this agent is and whom it believes: the controller's newest key first."""

    host: str
    lines: tuple[Line, ...]
    pair: KeyPair


def enroll(state: str, file: str, addresses: tuple[str, ...]) -> str:
    """Use the enrolment document in ``file`` ("-": standard input); returns the host's name.

    ``addresses`` are where the other hosts' hypervisors reach this one.

    Raises TashiError: no answer, wrong token, not a document.
    """
    document = read_document(file, "host", "thost-add")
    pair = read_or_make_pair(os.path.join(state, "agent.key"))
    fresh = asking(state, addresses, answered_too=True)
    body = msgspec.json.encode(Enroll(document.token, document.name, pair.public, fresh.request, list(addresses)))
    # The same keys with the same token are the same request: asking again after a lost answer is safe.
    identity = hashlib.blake2b(body, digest_size=16).hexdigest()
    credential = _ask(document, pair, Request(identity, "enroll", msgspec.Raw(body)))
    if credential is not None:
        keep(state, credential, time.time())
    keep_lines(state, document.name, (Line(document.server_key, tuple(document.controller)),))
    return document.name


def keep_lines(state: str, host: str, lines: tuple[Line, ...]) -> None:
    """Remember whom the agent of ``host`` believes, the newest key first. Raises OSError."""
    newest, *former = ({"controller": line.addresses, "server_key": line.server_key} for line in lines)
    kept = {"host": host, **newest, **({"former": former} if former else {})}
    write_durably(os.path.join(state, "enrolled.toml"), tomli_w.dumps(kept).encode(), 0o600)


def enrolled(state: str) -> Enrolled:
    """What enrolment left in ``state``. Raises Refused when there was none."""
    path = os.path.join(state, "enrolled.toml")
    try:
        with open(path, "rb") as stream:
            kept = tomllib.load(stream)
        lines = tuple(
            Line(str(each["server_key"]), tuple(map(str, each["controller"])))
            for each in (kept, *kept.get("former", ()))
        )
        return Enrolled(str(kept["host"]), lines, read_pair(os.path.join(state, "agent.key")))
    except FileNotFoundError as error:
        hint = "thost-add NAME on the controller, then here: tashi-agent --enroll FILE"
        raise Refused(Code.WRONG_STATE, f"{error.filename}: this host is not enrolled", hint) from error
    except (tomllib.TOMLDecodeError, KeyError, TypeError) as error:
        raise Refused(Code.BAD_REQUEST, f"{path}: not what enrolment writes: {error}") from error


def _ask(document: Document, pair: KeyPair, request: Request) -> Credential | None:
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
    return reply.ok.credential if reply.ok is not None else None


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
