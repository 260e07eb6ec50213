"""Which machine this is, which of its boots, and which start of the agent: how the controller orders what it hears.

A laboratory runs several hosts on one kernel and names other files for the two ids, $TASHI_MACHINE_ID_FILE and
$TASHI_BOOT_ID_FILE.
"""

from __future__ import annotations

import fcntl
import os
from typing import NamedTuple

from tashi.run.files import write_durably
from tashi.wire.errors import Code, Fault, Refused, Unavailable

MACHINE_ID_FILE = "/etc/machine-id"
BOOT_ID_FILE = "/proc/sys/kernel/random/boot_id"


class Machine(NamedTuple):
    """The machine's own id, the id of its boot, and the number of this start of its agent."""

    uuid: str
    boot_id: str
    incarnation: int


def identity(state: str) -> Machine:
    """Who this agent is, with a new incarnation. Raises TashiError when the machine can't say who it is."""
    return Machine(
        _id_in(os.environ.get("TASHI_MACHINE_ID_FILE") or MACHINE_ID_FILE),
        _id_in(os.environ.get("TASHI_BOOT_ID_FILE") or BOOT_ID_FILE),
        _next_incarnation(os.path.join(state, "incarnation")),
    )


def lock_state(state: str) -> int:
    """A descriptor that keeps other agents out of this state as long as it is open. Raises Unavailable."""
    fd = os.open(os.path.join(state, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(fd)
        raise Unavailable(f"{state}: another agent is using it", "one agent for each host") from error
    return fd


def _id_in(path: str) -> str:
    try:
        with open(path, encoding="ascii") as file:
            text = file.read(200).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(Code.IMPOSSIBLE, f"{path}: {error}", "systemd-machine-id-setup makes /etc/machine-id") from error
    if not text:
        raise Refused(Code.IMPOSSIBLE, f"{path}: empty", "systemd-machine-id-setup makes /etc/machine-id")
    return text


def _next_incarnation(path: str) -> int:
    """One more than ever before, written down before it is used."""
    try:
        with open(path, encoding="ascii") as file:
            last = int(file.read(30))
    except FileNotFoundError:
        last = 0
    except ValueError as error:
        raise Fault(f"{path}: not a number", "write the number of starts into it, or a higher one") from error
    write_durably(path, b"%d\n" % (last + 1), 0o600)
    return last + 1
