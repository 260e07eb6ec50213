"""What a client and an agent say to each other on the agent's stream port: for bytes that don't pass the controller.

The controller gives the agent a ticket: the key of one client, and what for. The client comes with that key (CURVE),
says `use` once, and bytes go both ways by credit: each side sends only as many as the other has asked for. One JSON
object in a frame, with `data` the bytes in a second one. Either side ends it, or falls silent and is left.
"""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from tashi.model.host import Text
from tashi.wire.bounds import Open
from tashi.wire.talk import CREDIT_MAX

Bytes = Annotated[int, Meta(ge=0, le=CREDIT_MAX)]


# -- clients to agents -----------------------------------------------------------------------------------------------
class Use(Open, frozen=True, tag="use", tag_field="say"):
    """The first word of a client. ``credit``: bytes that it takes by now."""

    ticket: Annotated[str, Meta(max_length=80)]
    credit: Bytes


class Data(Open, frozen=True, tag="data", tag_field="say"):
    """The second frame has the bytes; to a client: after ``lost`` others that it had no credit for."""

    lost: int = 0


class Credit(Open, frozen=True, tag="credit", tag_field="say"):
    """So many bytes more may be sent."""

    bytes: Bytes


class Break(Open, frozen=True, tag="break", tag_field="say"):
    """Have a break on the line."""


class Beat(Open, frozen=True, tag="beat", tag_field="say"):
    """I am here; said by both."""


class End(Open, frozen=True, tag="end", tag_field="say"):
    """Nothing more comes. To a client with the reason, where there is one to complain of."""

    code: str = ""
    text: str = ""
    hint: str = ""


FromClient = Use | Data | Credit | Break | Beat | End


# -- agents to clients -----------------------------------------------------------------------------------------------
class Begun(Open, frozen=True, tag="open", tag_field="say"):
    """It is open. ``credit``: bytes that may be sent by now, none to one that may only look."""

    credit: Bytes
    note: Text = ""


FromAgent = Begun | Data | Credit | Beat | End
