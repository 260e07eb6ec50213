"""This host's certificate for TLS between hypervisors: when its agent asks for another, and what is wrong with it."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

from tashi.model.units import stamp
from tashi.wire.agents import Pulse
from tashi.wire.messages import Credential

RENEW_LEFT = 1 / 3  # of its time
Wanted = Literal["", "list", "certificate"]


class Own(Struct, frozen=True):
    """What the host has: its private key (PEM), since when, for which addresses, and what the controller gave."""

    key: str
    since_wall: float
    addresses: tuple[str, ...]
    credential: Credential


class Asking(Struct, frozen=True):
    """A fresh private key and the request for a certificate of it, until that is answered."""

    key: str
    request: str
    addresses: tuple[str, ...]


def taken(own: Own | None, asking: Asking | None, given: Credential, wall: float) -> Own | None:
    """What the host has after an answer; None when it is the answer to nothing that was asked."""
    if given.certificate:
        return None if asking is None else Own(asking.key, wall, asking.addresses, given)
    if own is None:
        return None
    mine = own.credential
    merged = Credential(
        given.authority, given.revocation, given.revoked, mine.certificate, mine.number, mine.until_wall
    )
    return Own(own.key, own.since_wall, own.addresses, merged)


def to_ask(own: Own | None, addresses: tuple[str, ...], pulse: Pulse, wall: float) -> Wanted:
    """What to ask the controller for now, by its newest pulse."""
    if own is None or pulse.renew or own.addresses != addresses:
        return "certificate"
    left, whole = own.credential.until_wall - wall, own.credential.until_wall - own.since_wall
    if left < whole * RENEW_LEFT:
        return "certificate"
    return "list" if pulse.revocation != own.credential.revocation else ""


def until(own: Own) -> str:
    """Its end, as people read it."""
    return stamp(own.credential.until_wall)
