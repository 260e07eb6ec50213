"""What people say about placement: what a VM asks of its host, on what terms hosts are given, and why not there.

The rest of what people say is in `messages`.
"""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from tashi.model.host import Bytes, Text
from tashi.wire.bounds import Cores, Open, Ref, Seconds, Strict, Wall

GroupNames = Annotated[list[Text], Meta(max_length=16)]  # of VMs that mind each other
Labels = Annotated[dict[Text, Text], Meta(max_length=32)]
Ratio = Annotated[float, Meta(ge=0, le=64)]
Memory = Annotated[int, Meta(ge=2**20, le=2**50)]


class Asks(Strict, frozen=True):
    """What a VM asks of its host besides room; `tashi.model.vm.Wish` says what each is. Groups are the owner's.

    ``fallback``: where the host that was named has no room, another will do.
    """

    group: Text = ""
    apart: GroupNames = []
    together: GroupNames = []
    away: GroupNames = []
    near: GroupNames = []
    spread: Text = ""
    skew: Annotated[int, Meta(ge=1, le=10_000)] = 1
    labels: Labels = {}
    features: Annotated[list[Text], Meta(max_length=32)] = []
    versions: Labels = {}
    policy: Literal["pack", "spread"] | None = None
    fallback: bool = False


class VmCreate(Strict, frozen=True):
    """One VM per name; with ``count`` NAME-00, NAME-01... as children of one operation, all placed or none.

    ``partial``: as many as there is room for; the others are not made, and named in the answer.
    """

    name: Text
    image: Ref
    cores: Cores
    memory_bytes: Memory
    disk_bytes: Bytes = 0  # 0: the image's own size
    nics: Annotated[list[Text], Meta(max_length=8)] = []  # names of networks
    hints: Annotated[dict[Text, Text], Meta(max_length=32)] = {}
    count: Annotated[int, Meta(ge=1, le=10_000)] | None = None
    host: Ref | None = None
    asks: Asks = Asks()
    partial: bool = False
    place: bool = True  # False: it waits for vm.place
    hold: bool = False
    hold_seconds: Seconds | None = None
    dry_run: bool = False


class VmPlace(Strict, frozen=True):
    """A host for one that was created with ``place`` false."""

    name: Ref
    host: Ref
    dry_run: bool = False


class Demanded(Strict, frozen=True):
    """A demand to be explained or counted: as in VmCreate, or that of a VM that is there (``vm``).

    explain: ``only`` one host, or at most ``limit`` of those whose number is above ``after``. slots: ``each`` host too.
    """

    vm: Ref | None = None
    cores: Cores = 1
    memory_bytes: Memory = 2**20
    image: Ref | None = None
    disk_bytes: Bytes = 0
    host: Ref | None = None
    asks: Asks = Asks()
    only: Ref | None = None
    after: Annotated[int, Meta(ge=0, le=2**60)] = 0
    limit: Annotated[int, Meta(ge=1, le=1000)] = 500
    each: bool = False


class Judged(Open, frozen=True):
    """One host's verdict: ``chosen`` (where it would go now), ``fits``, ``here`` (where it is) or ``no``.

    ``filter`` is the first that said no, with what it ``wanted`` and what is ``available``; ``reason`` has all that
    speak against the host, ``cure`` what would help against each. ``score`` is in points, ``terms`` each weight's part.
    Where it is, it is judged as if it were to come there.
    """

    host: str
    verdict: str
    filter: str = ""
    wanted: str = ""
    available: str = ""
    reason: str = ""
    cure: str = ""
    score: float | None = None
    terms: dict[str, float] = {}


class Explained(Open, frozen=True):
    """``after``: go on from there for more hosts; 0 when that was all. ``demand``: what was asked, in words."""

    demand: str
    verdicts: list[Judged]
    after: int = 0


class Decided(Open, frozen=True):
    """A decision of placement that was kept. ``verdicts``: the chosen host and the next best, or those nearest to fit.

    ``kept_out``: by filter, how many of the ``hosts`` it was against (of those ``open``, but for state and health);
    unless ``exact`` at least so many. ``without``: hosts that could not be asked. ``before``: the VM's former decision.
    """

    id: str
    at: str
    outcome: str
    name: str
    vm: str
    owner: str
    by: str
    verb: str
    job: str
    host: str
    pin: str
    demand: str
    without: list[str]
    reason: str
    hosts: int
    open: int
    kept_out: dict[str, int]
    exact: bool
    verdicts: list[Judged]
    revision: int
    policy_version: int
    seed: int
    before: str


class Slots(Open, frozen=True):
    """How many more of a demand there is room for: in all, and on each host by itself when that was asked."""

    total: int
    demand: str
    hosts: dict[str, int] = {}


class HostSet(Strict, frozen=True):
    """What is left out stays as it is. A label without a value is taken away; a ratio of 0 is the cluster's own.

    ``users`` and ``groups`` of a reservation replace the former ones; both empty: no reservation. ``until_wall`` 0: no
    end.
    """

    name: Ref
    labels: Labels = {}
    kept_cores: Annotated[int, Meta(ge=0, le=4096)] | None = None
    kept_memory_bytes: Bytes | None = None
    cores_ratio: Ratio | None = None
    memory_ratio: Ratio | None = None
    users: Annotated[list[Text], Meta(max_length=100)] | None = None
    groups: Annotated[list[Text], Meta(max_length=100)] | None = None
    until_wall: Wall | None = None
    dry_run: bool = False
