"""The other host of a migration: which addresses are accepted, and what follows from them.

Hosts that may migrate to each other trust each other as root, so the way there has to be encrypted and certified: TLS,
for the orders and for the guest's memory alike. Plain tcp is for a laboratory whose network nobody else sees. An
address carries nothing but its host and its port: a query could switch off the certificate's check, or name a program.
"""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

from tashid.driver.interface import DriverError

# What libvirt says when TLS did not come about: part of its words -> what it means.
_WHY = "ended, revoked, of another cluster"
_MEANINGS = {
    "read TLS confirmation": f"the destination does not believe this host's certificate ({_WHY})",
    "server verification": f"the destination does not believe this host's certificate ({_WHY})",
    "verify peer's certificate": f"the destination's certificate is not to be believed ({_WHY}, for another address)",
    "Our own certificate": "this host's certificate is not to be believed",
}


class Peer(NamedTuple):
    """``address`` is the host as it stands in the URI (IPv6 in brackets), where the memory goes too."""

    uri: str
    address: str
    encrypted: bool


def check_peer(uri: str, lab: bool) -> Peer:
    """Judge a destination's migration URI, like ``qemu+tls://10.0.0.2/system``. Raises DriverError."""
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise DriverError(f"migration address {uri[:200]!r}: {error}") from error
    if parts.scheme == "qemu+tcp" and not lab:
        raise DriverError(f"migration address {uri[:200]!r}: plain tcp is for a laboratory only; use qemu+tls")
    wanted = f"{parts.scheme}://{parts.netloc}/system"
    if parts.scheme not in ("qemu+tcp", "qemu+tls") or not host or "@" in parts.netloc or uri != wanted:
        raise DriverError(f"migration address {uri[:200]!r} is not like qemu+tls://HOST/system")
    bare = parts.netloc.removesuffix(f":{port}") if port is not None else parts.netloc
    return Peer(uri, bare, encrypted=parts.scheme == "qemu+tls")


def explain(words: str) -> str:
    """What libvirt says of a migration that did not begin, with the plain meaning first where we know it."""
    meaning = next((meaning for part, meaning in _MEANINGS.items() if part in words), "")
    return f"{meaning}: {words}" if meaning else words
