"""What every message is made of: bounds on numbers and texts, and how strictly a type is read."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta, Struct

from tashi.model.host import Text

Long = Annotated[str, Meta(max_length=4096)]
Ref = Annotated[str, Meta(min_length=1, max_length=80)]  # a name or an id
Cores = Annotated[int, Meta(ge=1, le=4096)]
Seconds = Annotated[float, Meta(ge=0, le=31_536_000)]
Wall = Annotated[float, Meta(ge=0, le=10**11)]  # seconds since 1970
RequestId = Annotated[str, Meta(min_length=8, max_length=64, pattern=r"\A[A-Za-z0-9-]+\Z")]
Key = Annotated[str, Meta(min_length=40, max_length=40)]  # a CURVE public key, Z85
Uid = Annotated[int, Meta(ge=0, le=2**32 - 2)]
Limit = Annotated[int, Meta(ge=-2, le=2**60)]
Role = Literal["user", "operator", "admin"]
Groups = Annotated[list[Text], Meta(max_length=16)]


class Strict(Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """What people send: a field we don't know is a mistake worth telling."""


class Open(Struct, frozen=True, omit_defaults=True, gc=False):
    """What programs of another version send: fields we don't know are ignored."""


class Alive(Open, frozen=True):
    """What the heartbeat of every agent says: ``degraded`` is why it is not well, empty when it is."""

    degraded: Text = ""
