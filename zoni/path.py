"""What all ways to a device have in common: where it is, and who we are to it."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from zoni.access import Access

Address = Annotated[str, Meta(min_length=1, max_length=255, pattern=r"^[A-Za-z0-9:][A-Za-z0-9.:%-]*$")]


class Path(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="driver"):
    """A frozen record, JSON on the way to a worker. What is secret is in its `Access` alone; the rest may be shown."""

    @property
    def where(self) -> str:
        """In a few words, for errors."""
        raise AssertionError(type(self))

    @property
    def device(self) -> str:
        """What answers there, and does one thing at a time: all that is at one address is one."""
        return self.where

    def accesses(self) -> list[Access]:
        """All that has secrets."""
        return [each for name in self.__struct_fields__ if isinstance(each := getattr(self, name), Access)]
