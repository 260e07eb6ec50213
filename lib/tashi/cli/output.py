"""Where a command's words go: data to standard output, all else to standard error.

Data is gathered and written once (`flush`), because a write a line costs more than making the line. What can't be
written is told in one line. Errors are lines on standard error and, with -j, records among the data. What a terminal
would obey rather than show, and what would make two lines of one, is written as ``\\x1b``.
"""

from __future__ import annotations

import contextlib
import json
import sys
from typing import Any, NamedTuple

from tashi.wire.errors import Code, TashiError, retry_helps

CONTROL = {number: f"\\x{number:02x}" for number in (*range(32), *range(127, 160))}  # for str.translate


class Unwritable(TashiError):
    """Standard output takes no more, so no record can tell of it."""


class Failure(NamedTuple):
    """What went wrong with one operand. ``code`` is one of `wire.errors`, or the state in which an operation ended."""

    code: str
    text: str
    hint: str = ""


class Output:
    """``style``: table, tabs or json. ``fields`` as typed after -o."""

    def __init__(self, prog: str, style: str, fields: str = "", quiet: bool = False, null: bool = False) -> None:
        self.prog, self.style, self.fields, self.quiet, self.null = prog, style, fields, quiet, null
        self._gathered: list[bytes] = []
        self._header_done = False
        self._hints: set[str] = set()

    # -- data -------------------------------------------------------------------------------------------------------
    def rows(self, rows: bytes, header: str = "") -> None:
        """Ready lines of any number; the header of a table is printed once, before the first of them."""
        if self.quiet or not rows:
            return
        if header and self.style == "table" and not self._header_done and not self.null:
            self._gathered.append(header.rstrip("\n").encode() + b"\n")
            self._header_done = True
        self._gathered.append(rows.replace(b"\n", b"\0") if self.null else rows)

    def text(self, text: str) -> None:
        """A document as it is."""
        if not self.quiet:
            self._gathered.append(text.encode())

    def record(self, record: dict[str, Any]) -> None:
        """One JSON line."""
        self.rows(json_line(record))

    def flush(self) -> None:
        """Write what was gathered. Raises Unwritable when standard output takes no more."""
        data, self._gathered = b"".join(self._gathered), []
        if not data:
            return
        try:
            if sys.stdout is None:
                raise OSError(9, "Bad file descriptor")
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except OSError as error:
            raise Unwritable(Code.FAULT, f"standard output: {error.strerror}") from error

    # -- everything else --------------------------------------------------------------------------------------------
    def failure(self, name: str, failure: Failure) -> None:
        """``prog: name: reason`` and a hint, unless it was given before; with -j the record too."""
        named = not name or failure.text == name or failure.text.startswith((f"{name}:", f"{name} "))
        hint = "" if failure.hint in self._hints else failure.hint
        self._hints.add(hint)
        complain(self.prog, failure.text if named else f"{name}: {failure.text}", hint)
        if self.style == "json":
            problem = {"code": failure.code, "text": failure.text, "retry": retry_helps(failure.code)}
            self.record({"name": name or None, "error": problem})


def json_line(record: dict[str, Any]) -> bytes:
    """A record as the lists have it: no spaces, characters as they are."""
    return json.dumps(record, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def complain(prog: str, text: str, hint: str = "") -> None:
    """``prog: text`` and ``hint: hint`` on standard error, at once."""
    lines = f"{prog}: {text.translate(CONTROL)}\n" + (f"hint: {hint.translate(CONTROL)}\n" if hint else "")
    if sys.stderr is not None:
        with contextlib.suppress(OSError):  # closed or full: there is nobody left to tell
            sys.stderr.write(lines)
            sys.stderr.flush()


def complain_of_usage(prog: str, text: str, hint: str) -> None:
    """The same of a message as click has it: a sentence of several lines, as one."""
    text = " ".join(line.strip() for line in text.splitlines()).rstrip(".")
    name = text[1:2].isupper()  # NAME is one
    complain(prog, text if name else text[:1].lower() + text[1:], hint)
