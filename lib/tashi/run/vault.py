"""The key that passwords of BMCs and devices are kept with: ``secrets.key`` beside the store, mode 0600.

Sealing is ChaCha20-Poly1305 (RFC 8439), by the library that the certificates are made with: as well kept and as widely
looked at as there is. The name of what is sealed is authenticated with it.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Protocol

from tashi.run.files import write_durably
from tashi.run.keys import check_private
from tashi.wire.errors import Code, Refused

NAME = "secrets.key"
KEY_BYTES, NONCE_BYTES = 32, 12
_FORM = re.compile(r'key = "([0-9a-f]{64})"\n')
_WAY_OUT = "every backup has it; tashi-controller --forget-passwords goes on without, once"


class Sealed(Protocol):
    @property
    def sealed(self) -> str: ...


class FileVault:
    """Seals and opens with one key."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, name: str, plain: bytes, nonce: bytes) -> str:
        """Text in base 64: the nonce, and what was sealed."""
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        return b64encode(nonce + ChaCha20Poly1305(self._key).encrypt(nonce, plain, name.encode())).decode()

    def open(self, name: str, sealed: str) -> bytes:
        """What `seal` was given. Raises Refused for what this key did not seal under this name."""
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        try:
            whole = b64decode(sealed, validate=True)
            return ChaCha20Poly1305(self._key).decrypt(whole[:NONCE_BYTES], whole[NONCE_BYTES:], name.encode())
        except (InvalidTag, ValueError) as error:
            raise Refused(Code.DENIED, f"the password {name} was not sealed with this key, or is damaged") from error

    def digest(self, plain: bytes) -> str:
        """32 hexadecimal digits, of another key than the one that seals."""
        return hashlib.blake2b(plain, key=self._key, person=b"tashi requests", digest_size=16).hexdigest()


def open_vault(state: str, secrets: Mapping[str, Sealed]) -> FileVault:
    """The vault of the controller whose folder is ``state``; its key is made now if nothing was ever sealed.

    Raises Refused when the key is missing, others may read it, or it is not the one that ``secrets`` were sealed with.
    """
    path = os.path.join(state, NAME)
    if not os.path.lexists(path):
        if secrets:
            text = f"{path}: it is missing, and the store has {len(secrets)} passwords sealed with it"
            raise Refused(Code.IMPOSSIBLE, text, _WAY_OUT)
        write_durably(path, f'key = "{os.urandom(KEY_BYTES).hex()}"\n'.encode(), 0o600)
    vault = FileVault(_read(path))
    for name, each in secrets.items():
        try:
            vault.open(name, each.sealed)
        except Refused as error:
            text = f"{path}: it is not the key that the store's {len(secrets)} passwords were sealed with"
            raise Refused(Code.DENIED, f"{text}: {error.text}", _WAY_OUT) from error
    return vault


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(fd, "rb") as file:
        state = os.fstat(fd)
        check_private(path, state)
        text = file.read(4096).decode("ascii", "replace") if stat.S_ISREG(state.st_mode) else ""
    found = _FORM.fullmatch(text)
    if found is None:
        raise Refused(Code.BAD_REQUEST, f"{path}: not a key file for passwords", _WAY_OUT)
    return bytes.fromhex(found[1])
