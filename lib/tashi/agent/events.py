"""What an agent's mind is told, and what it answers with."""

from __future__ import annotations

from typing import Any, NamedTuple

from msgspec import Struct

from tashi.model.clock import Now as Now


class Identity(NamedTuple):
    """Who this agent is, by the ``name`` that it enrolled with; ``incarnation`` grows with each of its starts."""

    name: str
    uuid: str
    boot_id: str
    incarnation: int


class Connected(NamedTuple):
    """There is a socket; say hello."""


class Disconnected(NamedTuple):
    pass


class Heard(NamedTuple):
    """A message of the controller's to this kind of agent."""

    message: Any


class Called(NamedTuple):
    """A call is over: ``ok`` with a value, ``failed`` (definite, nothing changed) or ``unknown`` with a text.

    ``code`` is that of tashi.wire.errors where the worker knows one.
    """

    id: int
    outcome: str
    value: Any = None
    text: str = ""
    code: str = ""


class Opened(NamedTuple):
    """A call goes on, and what it was to open is open."""

    id: int


class DriverEvent(NamedTuple):
    """Something happened to a guest; look at it. ``why`` it ends, where no look could tell that."""

    vm: str
    what: str = ""
    why: str = ""


class DriverUp(NamedTuple):
    """The hypervisor can be reached, or can't."""

    up: bool
    why_not: str = ""


class Tick(NamedTuple):
    pass


Event = Connected | Disconnected | Heard | Called | Opened | DriverEvent | DriverUp | Tick


class Call(NamedTuple):
    """A driver method for a worker, with its deadline."""

    id: int
    verb: str
    args: dict[str, Any]
    seconds: float


class Steps(NamedTuple):
    """In this order: make ``journal`` durable, start ``calls``, send ``messages``."""

    journal: list[dict[str, Any]]
    calls: list[Call]
    messages: list[Struct]
