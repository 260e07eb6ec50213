"""A domain: VLANs that belong together, and whose they are. Machines in it reach each other and nobody else."""

from __future__ import annotations

from msgspec import Struct


class Domain(Struct, frozen=True, omit_defaults=True):
    """``vlans``: the first is untagged on the ports of its machines, the others are tagged.

    ``owner`` is a user's name and ``group`` a group's; either may be nothing. ``untold``: no switch was told of its
    VLANs yet.
    """

    id: str
    name: str
    created_at: str
    vlans: tuple[int, ...]
    owner: str = ""
    group: str = ""
    note: str = ""
    untold: bool = False
