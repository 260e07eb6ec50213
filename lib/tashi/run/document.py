"""An enrolment file, as thost-add and tuser-enroll print it: who enrols, its token, and where the controller is."""

from __future__ import annotations

import sys
import tomllib
from typing import Any, NamedTuple

from tashi.run.keys import LENGTH
from tashi.wire.address import why_not_an_address
from tashi.wire.errors import Code, Refused

LARGEST = 65_536  # bytes


class Document(NamedTuple):
    """``name`` is the host's, the user's or the zoni agent's."""

    name: str
    token: str
    controller: list[str]
    enroll: list[str]
    server_key: str


def read_document(file: str, kind: str, made_by: str) -> Document:
    """The document in ``file`` ("-": standard input) for a ``kind``, host or user, that ``made_by`` prints.

    Raises Refused that names file and key for anything else.
    """
    try:
        if file == "-":
            data = sys.stdin.buffer.read(LARGEST)
        else:
            with open(file, "rb") as stream:
                data = stream.read(LARGEST)
    except OSError as error:
        raise Refused(Code.NOT_FOUND, f"{file or 'an empty name'}: {error.strerror}", f"{made_by} prints it") from error
    try:
        found = tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise _wrong(file, "not TOML", made_by) from error
    texts = {key: found.get(key) for key in (kind, "token", "server_key")}
    lists = {key: found.get(key) for key in ("controller", "enroll")}
    for key, value in (texts | lists).items():
        if value is None:
            raise _wrong(file, f"it has no {key}", made_by)
    for key, value in texts.items():
        if not isinstance(value, str) or not value:
            raise _wrong(file, f"{key} is no text", made_by)
    if len(str(texts["server_key"])) != LENGTH:
        raise _wrong(file, f"server_key is not {LENGTH} characters long", made_by)
    for key, value in lists.items():
        _check_addresses(file, key, value, made_by)
    return Document(found[kind], found["token"], found["controller"], found["enroll"], found["server_key"])


def _check_addresses(file: str, key: str, value: Any, made_by: str) -> None:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _wrong(file, f"{key} is no list of addresses", made_by)
    if not any(value):
        hint = "set [controller] listen and address on the controller's machine"
        raise Refused(Code.BAD_REQUEST, f"{file}: it names no controller: {key} is empty", hint)
    for each in value:
        why = why_not_an_address(each)
        if why:
            raise _wrong(file, f"{key}: {why}", made_by)


def _wrong(file: str, why: str, made_by: str) -> Refused:
    return Refused(Code.BAD_REQUEST, f"{file}: not what {made_by} prints: {why}", f"{made_by} NAME > FILE")
