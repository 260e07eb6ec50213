"""Passwords of BMCs and devices: sealed as soon as they come, opened only for the agent that needs them.

A sealed one is a record of its own, of which nothing is listed or told in the change log. What opens it is the vault's
key, which is no record: it lies in a file beside the store. The core does not know how sealing is done.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Protocol

import msgspec

from tashi.core.records import Records
from tashi.core.turn import Turn
from tashi.model.device import Secret
from tashi.wire.errors import Unavailable
from tashi.wire.messages import Request
from tashi.wire.metal import WITH_PASSWORDS

NONCE_BYTES = 12
_encode, _decode = msgspec.json.Encoder().encode, msgspec.json.Decoder(dict[str, str]).decode


class Vault(Protocol):
    """What seals. A nonce is never used twice; ``name`` is sealed in, so that one can't stand in another's place."""

    def seal(self, name: str, plain: bytes, nonce: bytes) -> str: ...

    def open(self, name: str, sealed: str) -> bytes:
        """Raises Refused for what this key did not seal."""

    def digest(self, plain: bytes) -> str:
        """Something that tells texts apart, and tells nobody without the key what they are."""


def keep(turn: Turn, of: str, words: Mapping[str, str], former: str = "") -> str:
    """Seal the ``words`` of what has the id ``of`` (name -> password), in place of a former secret; the new one's id.

    Nothing is kept of no words: the id is empty then.
    """
    drop(turn, [former])
    words = {name: word for name, word in words.items() if word}
    if not words:
        return ""
    ident = turn.new_id("secret")
    nonce = hashlib.blake2b(turn.secret + ident.encode(), digest_size=NONCE_BYTES).digest()
    turn.put(Secret(ident, of, vault_of(turn).seal(ident, _encode(words), nonce)))
    return ident


def reveal(state: Records, vault: Vault, ident: str) -> dict[str, str]:
    """The words of a secret, for the agent alone; none when there is no such secret."""
    secret = state.secrets.get(ident)
    return _decode(vault.open(ident, secret.sealed)) if secret is not None else {}


def drop(turn: Turn, idents: Iterable[str]) -> None:
    """Forget these."""
    for ident in idents:
        if ident in turn.state.secrets:
            turn.state.put("secret", ident, None)


def digest_of(raw: Request, vault: Vault | None) -> str:
    """What a repeated request is known by. Nobody finds a password out with it that was in the request."""
    plain = raw.verb.encode() + b"\0" + bytes(raw.body) + raw.owner.encode()
    if raw.verb in WITH_PASSWORDS and vault is not None:
        return vault.digest(plain)
    return hashlib.blake2b(plain, digest_size=16).hexdigest()


def vault_of(turn: Turn) -> Vault:
    """What this controller seals with. Raises Unavailable where there is none."""
    if turn.vault is None:
        raise Unavailable("this controller has no key to keep passwords with")
    return turn.vault
