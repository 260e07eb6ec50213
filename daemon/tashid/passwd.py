"""One account of this machine by its uid: out of the local file, or from wherever the system has its users.

Run as a program (``python -m tashid.passwd``) it is the controller's child that does the latter.
"""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Any

from tashi.run.child import serve, take_channel

FILE = "/etc/passwd"
ENTRY_MAX = 2**20  # bytes
# getpwuid_r(3): all of these are "not found".
NOT_FOUND = (0, errno.ENOENT, errno.ESRCH, errno.EBADF, errno.EPERM)


class _Entry(ctypes.Structure):
    """``struct passwd`` of pwd.h, in glibc."""

    _fields_ = (
        ("name", ctypes.c_char_p), ("password", ctypes.c_char_p), ("uid", ctypes.c_uint32), ("gid", ctypes.c_uint32),
        ("gecos", ctypes.c_char_p), ("home", ctypes.c_char_p), ("shell", ctypes.c_char_p),
    )  # fmt: skip


def in_file(uid: int) -> str:
    """The name of a uid in /etc/passwd (passwd(5)); empty when it is not there."""
    try:
        with open(FILE, "rb") as file:
            for line in file:
                entry = line.split(b":", 3)
                if len(entry) == 4 and entry[2] == b"%d" % uid:
                    return _text(entry[0])
    except OSError:
        return ""  # then the directory is asked, which reads the file too
    return ""


def look_up(uid: int) -> str | None:
    """Ask the system's directory, nsswitch.conf(5), for as long as it takes; None: no such account. Raises OSError.

    Not by the module pwd, for which a directory that fails and an account that does not exist are the same.
    """
    entry, found, room = _Entry(), ctypes.POINTER(_Entry)(), ctypes.create_string_buffer(ENTRY_MAX)
    status = ctypes.CDLL(None).getpwuid_r(uid, ctypes.byref(entry), room, len(room), ctypes.byref(found))
    if found:
        return _text(entry.name)
    if status in NOT_FOUND:
        return None
    raise OSError(status, os.strerror(status))


def _text(name: bytes) -> str:
    return name.decode("utf-8", "backslashreplace")


def _verb(args: dict[str, Any]) -> str | None:
    return look_up(int(args["uid"]))


if __name__ == "__main__":
    serve(take_channel(), {"name": _verb}, (OSError,))
