"""CURVE key files: made here, read here, refused when others could have read them.

A key file is TOML: ``public = "..."`` and ``secret = "..."``, 40 characters of Z85 (ZeroMQ RFC 32) each. Whoever reads
the secret is its owner, as far as anybody can tell; so a file that others may read is no longer a key.
"""

from __future__ import annotations

import os
import stat
import tomllib
from typing import NamedTuple

import zmq

from tashi.run.files import sync_folder
from tashi.wire.errors import Code, Refused

LENGTH = 40


class KeyPair(NamedTuple):
    """Z85 text. Never printed: ``public`` may be, ``secret`` not."""

    public: str
    secret: str

    def __repr__(self) -> str:
        return f"KeyPair(public={self.public!r})"


def new_pair() -> KeyPair:
    """A fresh pair from the system's random numbers."""
    public, secret = zmq.curve_keypair()
    return KeyPair(public.decode(), secret.decode())


def write_pair(path: str, pair: KeyPair) -> None:
    """Write a new key file, mode 0600, durable. Refuses to replace one: that key may be somebody's identity."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError as error:
        raise Refused(Code.CONFLICT, f"{path}: there is a key already", "use it, or move it away first") from error
    with os.fdopen(fd, "w", encoding="ascii") as file:
        file.write(f'public = "{pair.public}"\nsecret = "{pair.secret}"\n')
        file.flush()
        os.fsync(fd)
    sync_folder(path)


def read_pair(path: str) -> KeyPair:
    """The pair in a key file; raises Refused (denied) when others may read it, Refused (bad-request) for nonsense."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(fd, "rb") as file:
        state = os.fstat(fd)
        check_private(path, state)
        if not stat.S_ISREG(state.st_mode) or state.st_size > 4096:
            raise Refused(Code.BAD_REQUEST, f"{path}: not a key file")
        text = file.read(4096)
    try:
        document = tomllib.loads(text.decode("ascii"))
        pair = KeyPair(str(document["public"]), str(document["secret"]))
        if {len(half) for half in pair} != {LENGTH}:
            raise ValueError(f"keys are {LENGTH} characters long")
        derived = zmq.curve_public(pair.secret.encode()).decode()
    except (ValueError, KeyError, zmq.ZMQError) as error:
        raise Refused(Code.BAD_REQUEST, f"{path}: not a key file", "tashi-keygen makes one") from error
    if derived != pair.public:
        raise Refused(Code.BAD_REQUEST, f"{path}: its public and secret halves don't belong together")
    return pair


def read_or_make_pair(path: str) -> KeyPair:
    """The pair in ``path``, made now when there is none."""
    if not os.path.lexists(path):
        write_pair(path, new_pair())
    return read_pair(path)


def check_private(path: str, state: os.stat_result) -> None:
    """Raise Refused (denied) unless only we (and root) may read what ``state`` describes."""
    if state.st_mode & 0o077:
        mode = stat.S_IMODE(state.st_mode)
        want = "700" if stat.S_ISDIR(state.st_mode) else "600"
        raise Refused(Code.DENIED, f"{path}: mode {mode:04o}: others may read it", f"chmod {want} {path}")
    if state.st_uid not in (os.geteuid(), 0):
        raise Refused(Code.DENIED, f"{path}: belongs to uid {state.st_uid}", f"chown it to uid {os.geteuid()}")
