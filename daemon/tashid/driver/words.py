"""What libvirt and QEMU say of an error, in words for a reason: one line, printable, of a sensible length."""

from __future__ import annotations

import re

from tashi.model.shorten import shorten

MOST = 500

# "... closed the monitor: 2026-11-27T21:00:00.1Z qemu-system-x86_64: -blockdev {...}: Failed to get "write" lock":
# before the reason QEMU repeats the part of its command line that this is about.
_MONITOR = re.compile(r".*?\bmonitor(?:\s*\([^)]*\))?: *(.+)", re.DOTALL)
_ECHO = re.compile(r"(?:\d{4}-\d\d-\d\dT\S+ +)?(?:[^\s:]*qemu[^\s:]*: +)?(?:-[a-z][\w-]* +(?:\{.*?\}|.*?): +)?(.*)")
_WARNING = re.compile(r"warning: |.* warning: ")


def plain_words(error: object) -> str:
    """The words of an error; where QEMU ended with some, these alone, without its command line."""
    said = str(error).strip()
    found = _MONITOR.fullmatch(said)
    if found is not None:
        lines = [_ECHO.sub(r"\1", line.strip(), count=1) for line in found[1].splitlines() if line.strip()]
        said = "QEMU: " + "; ".join([line for line in lines if not _WARNING.match(line)] or lines)
    return shorten(" ".join(said.split()), MOST).encode("unicode_escape").decode()
