"""Command lines as a user types them, read by the commands themselves: what each would ask the controller."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from typing import Any, NoReturn

import click

from tashi.cli.completions import main_of
from tashi.cli.tool import Tool
from tashi.client import Client
from tashi.lab.programs import program
from tashi.wire.envelope import Answer, Ask
from tashi.wire.errors import Code, Refused, TashiError, Unavailable

LOOKING = ("status", "list", "changes")
_tools: dict[str, Tool] = {}


class _Asked(Exception):
    """What a command has asked for; nobody is there to answer it."""


class _Listener(Client):
    """In place of a client, without its sockets: takes the requests, and ends the command."""

    def __init__(self) -> None:
        self.asks: list[Ask] = []

    def ask_many(
        self, asks: Iterable[Ask], why: str = "", wait: float = 0.0, owner: str = ""
    ) -> Iterator[tuple[int, Answer | TashiError]]:
        self.asks += asks
        raise _Asked

    def ask(self, verb: str, body: dict[str, Any], why: str = "", wait: float = 0.0) -> NoReturn:
        self.asks.append(Ask(verb, body))
        raise _Asked


def asks_of(line: str) -> list[Ask]:
    """The requests of one command line. Raises Refused for one that no shell and no command would take."""
    try:
        name, *words = shlex.split(line)
    except ValueError as error:
        raise _refused(line, str(error)) from None
    if "-" in words:
        raise _refused(line, "there is no standard input in a scene")
    tool = _tool(name)
    listener = _Listener()
    try:
        tool.ask(name, words, listener)
    except _Asked:
        if any(ask.verb in LOOKING for ask in listener.asks):
            raise _refused(line, "asks the controller for nothing that changes", "expect looks at records") from None
        return listener.asks
    except click.ClickException as error:
        raise _refused(line, error.format_message()) from None
    except click.exceptions.Exit:
        raise _refused(line, "only tells about itself") from None
    raise _refused(line, "asks the controller for nothing that changes")


def _tool(name: str) -> Tool:
    if name not in _tools:
        try:
            tool = main_of(program(name)[1]) if name.startswith(("t", "z")) else None
        except Unavailable:
            tool = None
        if not isinstance(tool, Tool):
            raise _refused(name, "no command that asks the controller")
        _tools[name] = tool
    return _tools[name]


def _refused(line: str, why: str, hint: str = "") -> Refused:
    return Refused(Code.BAD_REQUEST, f"{line}: {why}", hint)
