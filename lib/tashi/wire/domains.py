"""What people say about domains of machines, and about reservations."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tashi.model.host import Text
from tashi.wire.bounds import Long, Ref, Strict, Wall

Number = Annotated[int, Meta(ge=0, le=2**31)]


class DomainCreate(Strict, frozen=True):
    """``vlans``: the first is untagged on the ports of its machines. Nobody said: the caller's."""

    name: Text
    vlans: Annotated[list[Number], Meta(min_length=1, max_length=64)]
    user: Text = ""
    group: Text = ""
    note: Long = ""
    dry_run: bool = False


class Reserve(Strict, frozen=True):
    """``machines`` by name, or ``count`` of those that match every filter of ``where``.

    From now unless ``from_wall`` says when. ``user``: for whom, the caller unless it is said.
    """

    until_wall: Wall
    machines: Annotated[list[Ref], Meta(max_length=1000)] = []
    count: Annotated[int, Meta(ge=1, le=1000)] | None = None
    where: Annotated[list[Long], Meta(max_length=100)] = []
    from_wall: Wall | None = None
    user: Text = ""
    note: Long = ""
    dry_run: bool = False


class Allocate(Strict, frozen=True):
    """``power``: how the machine is to be once it is in the domain."""

    name: Ref
    domain: Ref
    power: Literal["on", "off"] = "on"
    dry_run: bool = False


class Extend(Strict, frozen=True):
    """``name``: of the reservation, or of a machine in it."""

    name: Ref
    until_wall: Wall
    dry_run: bool = False
