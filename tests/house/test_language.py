"""The tree speaks of itself alone, and of what is, not of what somebody meant to do."""

from __future__ import annotations

import re

from tests.house.tree import ROOT, files

# Written in halves, so that this file passes its own test.
UNFINISHED = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK|WI" + r"P|NotImplemented" + r"Error)\b")
# A path that only one machine has.
SOMEBODYS = re.compile(r"(?<![\w.~/$}*-])/(home|root|work|workspace|Users|opt|mnt|tmp/[a-z]+)/[\w.-]+")
CONFLICT = re.compile(r"^(<{7} |>{7} )", re.MULTILINE)


def texts() -> dict[str, str]:
    found = {}
    for name in files():
        raw = (ROOT / name).read_bytes()
        if b"\0" not in raw and name != "LICENSE":
            found[name] = raw.decode()  # a text that is not UTF-8 fails here
    return found


def hits(pattern: re.Pattern[str]) -> list[str]:
    return [f"{name}: {hit.group()}" for name, text in texts().items() for hit in pattern.finditer(text)]


def test_nothing_is_left_for_later() -> None:
    assert not hits(UNFINISHED)


def test_no_path_of_one_machine() -> None:
    assert not hits(SOMEBODYS)


def test_nothing_is_left_of_a_merge() -> None:
    assert not hits(CONFLICT)


def test_texts_end_with_one_newline() -> None:
    assert not [name for name, text in texts().items() if text and (not text.endswith("\n") or text.endswith("\n\n"))]
