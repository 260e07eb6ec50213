"""What people say: every request with its fields and bounds, and every answer. What agents say is in `agents.py`,
what is about placement in `placing.py`.

A message is a JSON object in one frame. A command asks (`Request`) and gets exactly one answer (`Reply`; a list's rows
are a second frame).

None is ever part of a cycle, so the collector of garbage leaves them alone (gc=False).
Decoding validates: an integer out of bounds, a wrong type or an unknown field is a bad request, and nothing happens.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tashi.model.host import Text
from tashi.wire.bounds import (  # fmt: skip
    Groups,
    Key,
    Limit,
    Long,
    Open,
    Ref,
    RequestId,
    Role,
    Seconds,
    Strict,
    Uid,
    Wall,
)
from tashi.wire.envelope import TOGETHER

PROTOCOL = 2  # what this version speaks
OLDEST = 1  # and what it still understands: its predecessor


# -- commands --------------------------------------------------------------------------------------------------------
class Request(Strict, frozen=True):
    """``id`` is made by the client, repeated on retry; the answer names it."""

    id: RequestId
    verb: Text
    body: msgspec.Raw = msgspec.Raw(b"{}")
    v: int = PROTOCOL
    why: Text = ""  # --reason: kept in the history
    owner: Text = ""  # --owner: an administrator acts for this user; kept in the history too


class Problem(Open, frozen=True):
    code: str
    text: str
    hint: str = ""
    retry: bool = False


class Reply(Open, frozen=True):
    """``ok`` or ``error``. ``revision`` is the change log's when this was answered: watch from there.

    ``instead``: what tashi.toml should say, for who knows the controller by a key that is about to end.
    """

    id: str
    ok: msgspec.Raw = msgspec.Raw(b"null")
    error: Problem | None = None
    revision: int = 0
    instead: str = ""


class Nothing(Strict, frozen=True): ...


class ListBody(Strict, frozen=True):
    """Rows of one noun. ``where`` are filters as typed (``key=value``...), ``names`` pick objects.

    ``fields`` as typed after -o. ``cursor`` is a former reply's. The answer's first frame is ListDone, its second the
    rows, ready to print."""

    noun: Literal[
        "vm", "host", "image", "user", "group", "key", "job", "machine", "pdu", "switch", "domain",
        "reservation", "zoniagent", "difference", "finding",
    ]  # fmt: skip
    where: Annotated[list[Long], Meta(max_length=100)] = []
    names: Annotated[list[Ref], Meta(max_length=10_000)] = []
    format: Literal["table", "tabs", "json", "name"] = "json"
    fields: Text = ""
    cursor: Long = ""
    limit: Annotated[int, Meta(ge=1, le=10_000)] = 1000
    full: bool = False  # every field, as *-show prints


class ListDone(Open, frozen=True):
    """``missing`` are operands that name nothing (with the reason); ``header`` is the table's first line."""

    rows: int
    header: str = ""
    cursor: str = ""  # empty: that was all
    missing: dict[str, Problem] = {}


class SnapshotBody(Strict, frozen=True):
    """The cluster as placement sees it, page by page: the answer is as for a list, each row a line of the text of

    `tashi.sched.plan.text`. ``cursor`` is a former reply's."""

    cursor: Text = ""
    limit: Annotated[int, Meta(ge=1, le=500)] = 300


class ChangesBody(Strict, frozen=True):
    """A long poll on the change log: entries after ``after``, or nothing when ``wait_seconds`` are over.

    An empty match is everything that the caller may see. ``after`` -1: from now on. ``about`` are names and ids as in
    the entries, so what is gone has its own too; ``ids`` must be there.
    """

    after: Annotated[int, Meta(ge=-1, le=2**53)] = -1
    ids: Annotated[list[Ref], Meta(max_length=10_000)] = []
    kinds: Annotated[list[Text], Meta(max_length=20)] = []
    about: Annotated[list[Ref], Meta(max_length=10_000)] = []
    job: Text = ""
    limit: Annotated[int, Meta(ge=1, le=1000)] = 100
    wait_seconds: Annotated[float, Meta(ge=0, le=25)] = 25.0


class Changes(Open, frozen=True):
    """``snapshot``: the reader was behind the log's tail; it must list again and go on from ``revision``.

    Who reads the log for its own sake goes on from ``tail`` - 1: the oldest entry still kept is number ``tail``.
    """

    entries: list[msgspec.Raw]
    revision: int
    snapshot: bool = False
    tail: int = 0


class Change(Open, frozen=True):
    """One entry of the change log: an object as it is after an event, and who caused it. Absent is null.

    ``state`` "gone": the object is no more. Operations have ``parent`` ``target`` ``phase`` too, and once they ended
    ``result``. ``host`` is a name. ``decision``: of placement, made with this change.
    """

    revision: int
    at: str
    kind: str
    id: str
    name: str
    state: str
    owner: str = ""
    reason: str = ""
    by: str = ""
    verb: str = ""
    why: str = ""
    job: str = ""
    host: str = ""
    decision: str = ""
    generation: int = 0
    parent: str = ""
    target: str = ""
    phase: str = ""
    result: dict[str, str | float | int] = {}


class UsageBody(Strict, frozen=True):
    """What was used from one instant to another, both in seconds since 1970: this month until now where not given."""

    by: Literal["user", "group", "host"] = "user"
    from_wall: Wall | None = None
    to_wall: Wall | None = None


class Used(Open, frozen=True):
    """``name`` of the user, group or host; empty for those without one. Disk is the shared pool's: no host has any."""

    name: str
    core_seconds: float
    memory_gib_seconds: float
    disk_gib_seconds: float | None = None


class Usage(Open, frozen=True):
    """``since``: the first day of which there is any account."""

    from_at: str
    to_at: str
    since: str
    rows: list[Used]


class Sample(Open, frozen=True):
    """One value of a metric of `tashi.model.metrics`; ``labels`` are values in the order of the table."""

    name: str
    value: float | int
    labels: list[str] = []


class Metrics(Open, frozen=True):
    """What metrics is answered with: in the first frame of the records, in the second of the controller's process."""

    samples: list[Sample]


class VmVerb(Strict, frozen=True):
    """start, shutdown, destroy: ``name`` is a name or an id."""

    name: Ref
    host: Ref | None = None  # start only: pin
    hold: bool = False  # start only
    hold_seconds: Seconds | None = None  # start only
    timeout_seconds: Seconds | None = None  # shutdown only: how long the guest may take
    force: bool = False  # shutdown only: cut its power
    dry_run: bool = False


class Named(Strict, frozen=True):
    """A verb that needs nothing but the object: resume, cancel, and every remove."""

    name: Ref
    dry_run: bool = False


class HostDrain(Strict, frozen=True):
    """``together``: hosts that are drained at the same time, each by its own request: no VM goes to any of them."""

    name: Ref
    together: Annotated[list[Ref], Meta(max_length=TOGETHER)] = []
    dry_run: bool = False


class Backup(Strict, frozen=True):
    """``path``: an absolute name on the controller's machine, of a file that is not there yet."""

    path: Annotated[str, Meta(min_length=2, max_length=1000)]
    dry_run: bool = False


class VmMigrate(Strict, frozen=True):
    """``if_generation``: only if its record is still of this generation."""

    name: Ref
    to: Ref | None = None
    abort: bool = False
    if_generation: Annotated[int, Meta(ge=0, le=2**53)] | None = None
    dry_run: bool = False


class HostAdd(Strict, frozen=True):
    """Answer: the host's record and the enrolment document's fields (token once, never again)."""

    name: Text
    dry_run: bool = False


class ImageAdd(Strict, frozen=True):
    """``path`` is below the shared pool. The header is checked by an agent; the format is never guessed."""

    name: Text
    path: Long
    format: Literal["raw", "qcow2"]
    kernel: Long = ""
    initrd: Long = ""
    kernel_args: Long = ""
    dry_run: bool = False


class Limits(Strict, frozen=True):
    """A quota's numbers: -1 what is set for everybody, -2 no limit; what is left out stays as it is."""

    vms: Limit | None = None
    cores: Limit | None = None
    memory_bytes: Limit | None = None
    disk_bytes: Limit | None = None


class UserAdd(Strict, frozen=True):
    """Known by the name that the accounts of the controller's machine have, by ``uid`` instead, and by ``key``."""

    name: Text
    role: Role = "user"
    uid: Uid | None = None
    key: Key | None = None
    groups: Groups = []
    limits: Limits = Limits()
    dry_run: bool = False


class UserSet(Strict, frozen=True):
    """What is left out stays as it is; ``uid`` -1 takes the uid away."""

    name: Ref
    role: Role | None = None
    uid: Annotated[int, Meta(ge=-1, le=2**32 - 2)] | None = None
    groups: Groups | None = None
    limits: Limits = Limits()
    dry_run: bool = False


class GroupSet(Strict, frozen=True):
    """Makes the group where there is none of this name."""

    name: Text
    limits: Limits = Limits()
    dry_run: bool = False


class Register(Strict, frozen=True):
    """On the enrolment port: a token of user.enroll lets the key that this connection has proven in, as this user."""

    token: Annotated[str, Meta(min_length=16, max_length=64)]
    user: Text


class Enroll(Strict, frozen=True):
    """On the enrolment port: a token buys one host's key its place.

    ``request`` asks for a certificate (PKCS #10 as PEM), ``addresses`` are those where the other hosts reach it.
    """

    token: Annotated[str, Meta(min_length=16, max_length=64)]
    host: Text
    key: Key
    request: Long = ""
    addresses: Annotated[list[Text], Meta(max_length=8)] = []


class ZoniAgentAdd(Strict, frozen=True):
    """Answer: the agent's record and the enrolment document's fields (token once, never again)."""

    name: Text
    dry_run: bool = False


class EnrollZoni(Strict, frozen=True):
    """On the enrolment port: a token of zoniagent.add buys one zoni agent's key its place."""

    token: Annotated[str, Meta(min_length=16, max_length=64)]
    agent: Text
    key: Key


class ServerKey(Open, frozen=True):
    """One of the controller's public keys, and where its port for agents is."""

    public: Key
    port: Annotated[int, Meta(ge=1, le=65535)]


class Credential(Open, frozen=True):
    """What a host needs for TLS, as PEM: the authority's certificate, the list of those that are ``revoked`` (number

    ``revocation``), and, when it asked for one, its own ``certificate`` (``number``, valid to ``until_wall``).
    """

    authority: str
    revocation: int
    revoked: str
    certificate: str = ""
    number: int = 0
    until_wall: float = 0.0


class Accepted(Open, frozen=True):
    """Every changing verb's answer: the operation, and the records it changed as they are now.

    ``objects``: id -> name of what will change. ``placement``: object name -> host, also in a dry run.
    """

    job: str = ""
    kind: str = ""  # noun of the objects
    objects: dict[str, str] = {}
    placement: dict[str, str] = {}
    held: bool = False
    dry_run: bool = False
    done: bool = False  # nothing to wait for
    note: str = ""
    warning: str = ""  # what the caller may not have meant
    missing: dict[str, str] = {}  # vm.create, partial: names of those not made, and why
    extra: dict[str, str] = {}  # host.add, user.enroll: the enrolment document
    credential: Credential | None = None  # enroll
