"""What agents and the controller say to each other: every message, its fields, its bounds.

An agent tells (`AgentMessage`: hello, beat, inventory, tell), and every `tell` is answered by an `acked`; the
controller orders (`ControllerMessage`: welcome, rows, shot), fenced by epoch and generation. `certify` is the one
question that an agent asks. One JSON object in one frame.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tashi.model.guest import Guest
from tashi.model.host import Bytes, Count, Facts, Text
from tashi.wire.bounds import Alive, Long, Open
from tashi.wire.messages import Credential, ServerKey

Generation = Annotated[int, Meta(ge=0, le=2**53)]

# -- what both sides say about guests --------------------------------------------------------------------------------
Role = Literal["run", "stop", "source", "incoming", "absent"]
GuestState = Literal["running", "paused", "stopped", "absent"]
OnlyIf = Literal["", "paused", "never-ran"]


class Row(Open, frozen=True):
    """What is wanted of one VM on one host. A guest ends only by a row.

    ``guest`` with run and incoming; ``peer`` is the destination's migration address with source;
    ``only_if`` with absent spares a guest that is anything else, ``keep_disk`` its disk.
    ``ask`` numbers a question: what was seen before it was heard is no answer to it.
    """

    vm: str
    role: Role
    generation: Generation
    guest: Guest | None = None
    peer: str = ""
    only_if: OnlyIf = ""
    keep_disk: bool = False
    ask: Count = 0


class Seen(Open, frozen=True):
    """What an agent says of one guest. ``generation`` is the one in the domain's own metadata.

    ``row_generation``/``outcome``/``reason``: the row carried out last, and how that went: done; failed (nothing
    changed); refused (stale or illegal); unknown (look again).
    """

    vm: str
    state: GuestState
    generation: Generation = 0
    row_generation: Generation = 0
    outcome: Literal["", "done", "failed", "refused", "unknown"] = ""
    reason: Text = ""
    foreign: bool = False
    name: Text = ""
    cores: Count = 0
    memory_bytes: Bytes = 0
    never_ran: bool = False  # incoming, and no instruction executed yet
    moving: bool = False  # a migration of it is under way here
    answer: Count = 0  # the newest row's `ask` when the call began that saw this
    exited: bool = False  # it stopped without being asked
    stats: dict[str, float] = {}  # a migration's: total_seconds downtime_seconds bytes
    newest: Generation = 0  # with `refused`: the generation that was obeyed and is newer than the row
    guest: Guest | None = None  # in an inventory: what the domain's own metadata says it was made of


class ShotDone(Open, frozen=True):
    """The outcome of a one-shot. Interrupted means unknown; it is never tried twice."""

    job: str
    outcome: Literal["done", "failed", "unknown"]
    reason: Text = ""
    result: dict[str, str] = {}


class MoveProgress(Open, frozen=True):
    """How far a migration is; never stored."""

    vm: str
    generation: Generation
    done_bytes: Bytes = 0
    total_bytes: Bytes = 0
    bytes_per_second: Bytes = 0


# -- agents to controller --------------------------------------------------------------------------------------------
class Hello(Open, frozen=True, tag="hello", tag_field="say"):
    """``protocol`` is the newest that the agent speaks, ``oldest`` the oldest; the first version named neither."""

    host: Text
    uuid: Text
    boot_id: Text
    incarnation: Count
    epoch: Count  # the highest ever seen
    facts: Facts
    protocol: Count = 1
    oldest: Count = 1


class Beat(Alive, frozen=True, tag="beat", tag_field="say"):
    """I am alive.

    ``certificate`` and ``revocation``: the numbers of the certificate and of the list of revocations in use.
    """

    moves: list[MoveProgress] = []
    certificate: Count = 0
    revocation: Count = 0


class Inventory(Open, frozen=True, tag="inventory", tag_field="say"):
    """Every guest on the host, ours and foreign; ``stray`` is the controller's to find out."""

    incarnation: Count
    seq: Count
    boot_id: Text
    guests: list[Seen]
    wall_seconds: float = 0.0  # the host's clock, for people to compare; 0: not told


class Tell(Open, frozen=True, tag="tell", tag_field="say"):
    """One observation or outcome, kept in the agent's outbox until acked."""

    incarnation: Count
    seq: Count
    boot_id: Text
    seen: Seen | None = None
    shot: ShotDone | None = None


class Certify(Open, frozen=True, tag="certify", tag_field="say"):
    """Give me a certificate for the key in ``request`` (PKCS #10 as PEM); without one, only the newest revocations."""

    request: Long = ""
    addresses: Annotated[list[Text], Meta(max_length=8)] = []


AgentMessage = Hello | Beat | Inventory | Tell | Certify


# -- controller to agents --------------------------------------------------------------------------------------------
class Welcome(Open, frozen=True, tag="welcome", tag_field="say"):
    """``protocol`` is what is spoken from here on; ``cluster`` marks the guests that are ours.

    ``keys``: the controller's keys that are good now, the newest first.
    """

    epoch: Count
    heartbeat_seconds: float
    missed: int
    protocol: Count = 1
    cluster: Text = ""
    keys: Annotated[list[ServerKey], Meta(max_length=8)] = []


class Pulse(Open, frozen=True, tag="pulse", tag_field="say"):
    """The answer to a beat; its absence tells the agent to rebuild its socket.

    ``revocation`` is the number of the newest list of revocations; ``renew``: ask for a new certificate.
    """

    epoch: Count
    revocation: Count = 0
    renew: bool = False


class Rows(Open, frozen=True, tag="rows", tag_field="say"):
    epoch: Count
    rows: list[Row]


class Shot(Open, frozen=True, tag="shot", tag_field="say"):
    """A one-shot: at most once, journalled before it is done.

    Actions: power-button (vm), abort-move (vm), inspect-image (args: path, format, kernel, initrd).
    """

    epoch: Count
    job: str
    action: Literal["power-button", "abort-move", "inspect-image"]
    vm: str = ""
    generation: Generation = 0
    args: dict[str, str] = {}
    seconds: float = 30.0  # left for it


class Certified(Open, frozen=True, tag="certified", tag_field="say"):
    """The answer to ``certify``: a credential, or the reason why there is none."""

    epoch: Count
    credential: Credential | None = None
    reason: Text = ""


class Acked(Open, frozen=True, tag="acked", tag_field="say"):
    """Tells and inventories with these numbers are durable here; drop them."""

    incarnation: Count
    seqs: list[int]


class Rejected(Open, frozen=True, tag="rejected", tag_field="say"):
    """The hello was not accepted; the agent says why in its log and tries again later."""

    reason: str


ControllerMessage = Welcome | Pulse | Rows | Shot | Certified | Acked | Rejected
