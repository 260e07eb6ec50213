"""A daemon's log: one line for each event, on standard error.

``agent lost host=h-3 silent_seconds=5.2``: what happened, then facts as ``key=value``. Whatever comes from outside is
escaped, so that nobody writes a line of his own into our log, or colours into an administrator's terminal. Under
systemd a line begins with its level as sd-daemon(3) wants it; elsewhere with the time. If the settings say so, a line
is a JSON object with the same in it.
"""

from __future__ import annotations

import json
import os
import time
import traceback

from tashi.model.units import stamp

LONGEST = 500  # characters of a fact
_LEVELS = {"error": "<3>", "warning": "<4>", "notice": "<5>", "info": "<6>"}


class Log:
    """Writes lines for one daemon. ``name`` begins each line outside of systemd. ``format``: text or json."""

    def __init__(self, name: str, *, systemd: bool | None = None, fd: int = 2) -> None:
        self._name, self._fd, self._lost = name, fd, 0
        self.format = "text"
        self._systemd = _journal_is_stderr(fd) if systemd is None else systemd

    def error(self, event: str, **facts: object) -> None:
        """Something is broken and a person has to look."""
        self._write("error", event, facts)

    def warning(self, event: str, **facts: object) -> None:
        """Something is odd: refused, lost, late, tried again."""
        self._write("warning", event, facts)

    def notice(self, event: str, **facts: object) -> None:
        """A rare step of the daemon's own life."""
        self._write("notice", event, facts)

    def info(self, event: str, **facts: object) -> None:
        """What went as it should."""
        self._write("info", event, facts)

    def fault(self, event: str, error: BaseException, **facts: object) -> None:
        """An exception that is our bug: where it was raised follows on the same line."""
        frames = traceback.extract_tb(error.__traceback__)[-6:]
        path = " < ".join(f"{os.path.basename(each.filename)}:{each.lineno}" for each in reversed(frames))
        self._write("error", event, {**facts, "error": f"{type(error).__name__}: {error}", "at": path})

    def _write(self, level: str, event: str, facts: dict[str, object]) -> None:
        if self._lost:
            facts = {**facts, "lines_lost": self._lost}
        if self.format == "json":
            head = _LEVELS[level] if self._systemd else ""
            words = self._object(level, event, facts)
        else:
            head = _LEVELS[level] if self._systemd else f"{stamp(time.time())} {self._name} {level}: "
            words = " ".join([event, *(f"{key}={quote(value)}" for key, value in facts.items())])
        # One write for one line: lines of two processes on one terminal don't mix. A full disk or a reader that has
        # gone must not end a daemon: the next line that gets through says how many did not.
        try:
            os.write(self._fd, f"{head}{words}\n".encode())
            self._lost = 0
        except OSError:
            self._lost += 1

    def _object(self, level: str, event: str, facts: dict[str, object]) -> str:
        """The facts are keys beside ours; json escapes all that is not plain ASCII."""
        told = {key: value if isinstance(value, bool | int | float) else _cut(value) for key, value in facts.items()}
        ours = {"logged_at": stamp(time.time()), "daemon": self._name, "level": level, "event": event}
        return json.dumps({**ours, **told, **ours})


def _cut(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


def quote(value: object) -> str:
    """A fact's value on one line: control characters and all that is not plain text escaped, quoted when it has spaces.

    Longer than `LONGEST` is cut.
    """
    text = _cut(f"{value:.6g}" if isinstance(value, float) else value)
    plain = "".join(each if each.isprintable() and each not in '\\"' else _escape(each) for each in text)
    return plain if plain and " " not in plain and plain == text else f'"{plain}"'


def _escape(character: str) -> str:
    if character in '\\"':
        return "\\" + character
    return character.encode("unicode_escape", "surrogatepass").decode()


def _journal_is_stderr(fd: int) -> bool:
    """Whether ``fd`` is systemd's journal (systemd.exec(5), $JOURNAL_STREAM: device and inode)."""
    stream = os.environ.get("JOURNAL_STREAM", "")
    state = os.fstat(fd)
    return stream == f"{state.st_dev}:{state.st_ino}"
