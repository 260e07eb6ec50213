"""The files in which an agent keeps its certificate and key for TLS between hypervisors.

``tls.json`` has all that is in use, private key included; ``tls-asking.json`` the newest key and its request, so that
who asks again asks for the same. Both are for the agent alone.
"""

from __future__ import annotations

import os
from typing import TypeVar

import msgspec

from tashi.agent.credential import Asking, Own, taken
from tashi.run.authority import new_request
from tashi.run.files import write_durably
from tashi.wire.errors import Code, Refused
from tashi.wire.messages import Credential

OWN, ASKING = "tls.json", "tls-asking.json"

Kept = TypeVar("Kept", Own, Asking)


def read_own(state: str) -> Own | None:
    """What this host has. Raises Refused when the file is not what was written."""
    return _read(os.path.join(state, OWN), Own)


def asking(state: str, addresses: tuple[str, ...], answered_too: bool = False) -> Asking:
    """The request to ask with: the one that is not answered yet, or a fresh one.

    ``answered_too``: who enrols again with the same document has to ask the same as before.
    """
    path = os.path.join(state, ASKING)
    known, own = _read(path, Asking), read_own(state)
    if known is not None and known.addresses == addresses and (answered_too or own is None or own.key != known.key):
        return known
    made = Asking(*new_request(), addresses)
    write_durably(path, msgspec.json.encode(made), 0o600)
    return made


def keep(state: str, given: Credential, wall: float) -> Own | None:
    """Keep what the controller gave; None when nobody asked for it."""
    own = taken(read_own(state), _read(os.path.join(state, ASKING), Asking), given, wall)
    if own is not None:
        write_durably(os.path.join(state, OWN), msgspec.json.encode(own), 0o600)
    return own


def _read(path: str, kind: type[Kept]) -> Kept | None:
    try:
        with open(path, "rb") as file:
            return msgspec.json.decode(file.read(), type=kind)
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        hint = "remove it: the agent asks for a new certificate"
        raise Refused(Code.BAD_REQUEST, f"{path}: not what the agent wrote: {error}", hint) from error
