"""A scene's sentences: how words are matched with a usage such as ``kill agent HOST [acting|telling]``.

In a usage, lower-case words stand for themselves, upper-case ones for a value of that kind, ``a|b`` for one of several
words, and what is in brackets may be left out as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from tashi.model.units import parse_seconds
from tashi.wire.errors import Code, Refused

Values = list[Any]  # one for each value, choice and bracket of bare words in the usage; None for what was left out


class Kind(NamedTuple):
    """What an upper-case word of a usage stands for. ``read`` raises ValueError saying what is wrong."""

    doc: str
    read: Callable[[str], Any]


class Usage:
    """One sentence's form."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.parts = [part.strip("[]").split() if part[0] == "[" else part for part in _PARTS.findall(text)]
        self.head = " ".join(_head(self.parts))

    def match(self, words: Sequence[str], kinds: Mapping[str, Kind]) -> Values:
        """The values in ``words``. Raises Refused saying what the usage is."""
        values: Values = []
        rest = list(words)
        for part in self.parts:
            if isinstance(part, str):
                values += self._take([part], rest, kinds)
            elif rest and _begins(part[0], rest[0]):
                values += self._take(part, rest, kinds) or [True]
            else:
                values += [None for each in part if _is_value(each)] or [None]
        if rest:
            raise self._wrong(f"{rest[0]!r} is too much")
        return values

    def _take(self, parts: list[str], rest: list[str], kinds: Mapping[str, Kind]) -> Values:
        values: Values = []
        for part in parts:
            if not rest:
                raise self._wrong(f"where is {part}?")
            if part == "TEXT":
                values.append(" ".join(rest))
                rest.clear()
                continue
            word = rest.pop(0)
            if part.isupper():
                try:
                    values.append(kinds[part].read(word))
                except ValueError as error:
                    raise self._wrong(str(error)) from None
            elif not _begins(part, word):
                raise self._wrong(f"{word!r} is not {part}")
            elif "|" in part:
                values.append(word)
        return values

    def _wrong(self, why: str) -> Refused:
        return Refused(Code.BAD_REQUEST, why, f"it is written: {self.text}")


_PARTS = re.compile(r"\[[^\]]*\]|\S+")


def _head(parts: list[str | list[str]]) -> list[str]:
    head = []
    for part in parts:
        if not isinstance(part, str) or _is_value(part):
            break
        head.append(part)
    return head


def _is_value(part: str) -> bool:
    return part.isupper() or "|" in part


def _begins(part: str, word: str) -> bool:
    return part.isupper() or word in part.split("|")


def one_of(names: Collection[str], what: str) -> Callable[[str], str]:
    """Reads a name that must be one of these."""

    def read(word: str) -> str:
        if word not in names:
            raise ValueError(f"{word!r} is no {what} of this scene: {', '.join(names)}")
        return word

    return read


def number(least: int) -> Callable[[str], int]:
    """Reads a number that is not below this."""

    def read(word: str) -> int:
        if not (word.isascii() and word.isdecimal() and len(word) < 10) or int(word) < least:
            raise ValueError(f"{word!r} is not a number from {least}")
        return int(word)

    return read


class Names(NamedTuple):
    """Of all that take part in a scene, and of what they say to each other."""

    hosts: Collection[str] = ()
    people: Collection[str] = ()
    messages: Collection[str] = ()
    machines: Collection[str] = ()
    switches: Collection[str] = ()
    domains: Collection[str] = ()


def words_kinds(names: Names = Names()) -> dict[str, Kind]:  # noqa: B008
    """What upper-case words stand for in a scene with these."""
    agents = [*names.hosts, *(["zoni"] if names.machines else [])]
    ends = [*agents, "controller", *names.people]
    return {
        "HOST": Kind("a host of the scene", one_of(names.hosts, "host")),
        "AGENT": Kind("a host, whose agent is meant, or zoni, the agent of the machines", one_of(agents, "agent")),
        "END": Kind("one end of a line: a host, zoni, a person, or controller", one_of(ends, "end of a line")),
        "MESSAGES": Kind("messages of one kind, or any", one_of([*names.messages, "any"], "kind of message")),
        "VM": Kind("the name of a virtual machine", str),
        "MACHINE": Kind("a physical machine of the scene", one_of(names.machines, "machine")),
        "SWITCH": Kind("a switch of the scene", one_of(names.switches, "switch")),
        "DEVICE": Kind(
            "a machine, whose BMC is meant, or a switch", one_of([*names.machines, *names.switches], "device")
        ),
        "DOMAIN": Kind("a domain of the scene, or none", one_of([*names.domains, "none"], "domain")),
        "COUNT": Kind("a number from 1", number(1)),
        "NUMBER": Kind("a number", number(0)),
        "SPAN": Kind("a time: 90, 30s, 5m, 2h", parse_seconds),
        "STATE": Kind("a state as the lists show it", str),
        "TEXT": Kind("the rest of the line", str),
    }
