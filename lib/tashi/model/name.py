"""Names of objects: one regular expression for all of them."""

from __future__ import annotations

import re

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*", re.ASCII)
NAME_MAX = 63

# One decimal counter per kind; the letter tells the kind. Names that look like ids are refused.
ID_LETTER = {
    "vm": "v", "host": "h", "image": "i", "user": "u", "group": "g", "key": "k", "job": "j",
    "machine": "m", "pdu": "p", "switch": "s", "secret": "x", "domain": "d", "reservation": "r", "zoniagent": "z",
    "decision": "c",
}  # fmt: skip
_KIND = {letter: kind for kind, letter in ID_LETTER.items()}
ID = re.compile(rf"([{''.join(_KIND)}])-([1-9][0-9]{{0,17}})", re.ASCII)


def check_name(text: str) -> str:
    """Return ``text`` if it may name an object; raise ValueError that says what is wrong with it."""
    if len(text) > NAME_MAX:
        raise ValueError(f"name is {len(text)} characters long, the limit is {NAME_MAX}")
    if not NAME.fullmatch(text):
        raise ValueError(
            f"{text!r} is not a name: a letter first, then letters, digits, '-', '_' and single dots between them"
        )
    if ID.fullmatch(text):
        raise ValueError(f"{text!r} looks like an id; ids are given by the controller")
    return text


def make_id(kind: str, number: int) -> str:
    """The id of the ``number``-th object of a kind: ``v-17``."""
    return f"{ID_LETTER[kind]}-{number}"


def number_of(identity: str) -> int:
    """The number in an id, by which lists are ordered."""
    return int(identity[2:])


def kind_of_id(text: str) -> str | None:
    """The kind that an id belongs to, or None when ``text`` is not an id."""
    if text[1:2] != "-" or not ID.fullmatch(text):
        return None
    return _KIND[text[0]]
