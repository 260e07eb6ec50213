"""The agent of a hardware network: whoever speaks to the BMCs, PDUs and switches there."""

from __future__ import annotations

from msgspec import Struct


class ZoniAgent(Struct, frozen=True, omit_defaults=True):
    """``key`` is its CURVE public key; ``token`` the hash of an unused enrolment token. ``degraded``: why it is not
    well, ``silent``: that it is not heard, and since when. ``server_key``: the controller's key that it came with last.
    """

    id: str
    name: str
    created_at: str
    key: str = ""
    token: str = ""
    token_until_wall: float = 0.0
    uuid: str = ""
    boot_id: str = ""
    degraded: str = ""
    silent: str = ""
    server_key: str = ""
