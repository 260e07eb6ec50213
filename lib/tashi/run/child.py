"""The child's side of a worker: take a call from the channel, do it, answer, again.

The channel is the socket that the child finds as descriptor 0: one JSON line a call, one JSON line an answer.

    {"id": 7, "verb": "look", "args": {"vm": "v-1"}}
    {"id": 7, "outcome": "ok", "value": ..., "text": "", "code": ""}

Outcomes: ``ok``; ``failed``, definitely without effect; ``unknown``, anything else. ``code`` is that of
tashi.wire.errors when the error has one. The verbs are a table given by the program: a verb is never looked up by name
in an object.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from tashi.model.shorten import shorten
from tashi.wire.errors import TashiError

PR_SET_PDEATHSIG = 1  # prctl(2)

Verb = Callable[[dict[str, Any]], object]


def take_channel() -> socket.socket:
    """The channel, out of the reach of grandchildren; from now on this process dies when its parent does.

    A call that outlived its agent could undo what the next agent does.
    """
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    channel = socket.socket(fileno=os.dup(0))
    hung_up = select.poll()
    hung_up.register(channel, select.POLLHUP)
    if hung_up.poll(0):
        os._exit(1)  # it died before we asked to be told
    os.set_inheritable(channel.fileno(), False)
    channel.setblocking(True)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    return channel


def serve(channel: socket.socket, verbs: Mapping[str, Verb], definite: tuple[type[Exception], ...]) -> None:
    """Answer calls until the parent closes the channel. Exceptions in ``definite`` mean that nothing happened."""
    with channel.makefile("rb") as lines:
        for line in lines:
            call = msgspec.json.decode(line)
            channel.sendall(msgspec.json.encode({"id": call["id"], **answer(verbs, call, definite)}) + b"\n")


def say(channel: socket.socket, what: object) -> None:
    """One line to the parent without being asked: what an event source does."""
    channel.sendall(msgspec.json.encode(what) + b"\n")


def answer(verbs: Mapping[str, Verb], call: Mapping[str, Any], definite: tuple[type[Exception], ...]) -> dict[str, Any]:
    """Do one call and say how it went; never raises."""
    verb = verbs.get(call["verb"])
    if verb is None:
        return _ended("failed", text=f"{call['verb']!r} is not a verb of this worker")
    try:
        return _ended("ok", _plain(verb(call["args"])))
    except definite as error:
        return _ended("failed", text=_told(error), code=_code(error))
    except TashiError as error:
        return _ended("unknown", text=_told(error), code=error.code)
    except Exception as error:
        return _ended("unknown", text=f"{type(error).__name__}: {error}")


def _ended(outcome: str, value: object = None, text: str = "", code: str = "") -> dict[str, Any]:
    return {"outcome": outcome, "value": value, "text": shorten(text, 1000), "code": code}


def _told(error: Exception) -> str:
    """The reason, and the way out if there is one: that goes no other way from here."""
    hint = error.hint if isinstance(error, TashiError) else ""
    return f"{error}; {hint}" if hint else str(error)


def _code(error: Exception) -> str:
    return error.code if isinstance(error, TashiError) else ""


def _plain(value: object) -> object:
    """Named tuples as objects: as JSON they would be lists without names."""
    if isinstance(value, tuple) and hasattr(value, "_asdict"):
        return value._asdict()
    return value
