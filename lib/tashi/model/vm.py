"""A virtual machine's record: what is wanted of it, what was seen of it, and what follows from both.

All facts about one VM are in this one frozen record; a change is a new record. What people see (`state_of`) and what
capacity it holds (`claims`) are derived here and nowhere else.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class VmState(StrEnum):
    """What people see."""

    PENDING = "pending"  # accepted; hosts are still reporting in after the controller's start
    HELD = "held"  # waits for room or for tvm-place, because somebody asked to wait
    STARTING = "starting"
    RUNNING = "running"
    SHUTTING_DOWN = "shutting-down"
    STOPPED = "stopped"
    MIGRATING = "migrating"
    DESTROYING = "destroying"
    UNKNOWN = "unknown"  # its host is silent, or it is as nobody asked it to be
    FAILED = "failed"  # it could not be started; the reason says why


class Desired(StrEnum):
    RUNNING = "running"
    STOPPED = "stopped"
    ABSENT = "absent"


class Waiting(StrEnum):
    """Why a VM that should run has no host yet."""

    NO = ""
    PENDING = "pending"
    HELD = "held"
    UNPLACED = "unplaced"  # held, until somebody names its host; no queue tries it


# Named once, because every look into an enum costs as much as a call.
RUNNING, STOPPED, ABSENT = Desired.RUNNING, Desired.STOPPED, Desired.ABSENT
STARTING, DESTROYING, UNKNOWN = VmState.STARTING, VmState.DESTROYING, VmState.UNKNOWN
IS_RUNNING, IS_STOPPED, SHUTTING_DOWN = VmState.RUNNING, VmState.STOPPED, VmState.SHUTTING_DOWN


class NicRecord(Struct, frozen=True, gc=False):
    network: str
    mac: str


class Wish(Struct, frozen=True, omit_defaults=True):
    """What its owner asks of placement besides room. Groups are the owner's own, by name.

    ``apart`` and ``together`` are kept, ``away`` and ``near`` are kept where it can be; `tashi.sched.demand` says what
    each means. ``versions`` are the least of programs. ``fallback``: the host that it is pinned to is a wish too.
    """

    group: str = ""
    apart: tuple[str, ...] = ()
    together: tuple[str, ...] = ()
    away: tuple[str, ...] = ()
    near: tuple[str, ...] = ()
    spread: str = ""
    skew: int = 1
    labels: dict[str, str] = {}
    features: tuple[str, ...] = ()
    versions: dict[str, str] = {}
    policy: str = ""
    fallback: bool = False


class Observed(Struct, frozen=True, omit_defaults=True, gc=False):
    """What the agent on ``host`` said last. Ordered by (incarnation, seq) of that agent.

    ``generation`` is the one in the domain's metadata; ``row_generation`` and ``outcome`` the row carried out last.
    """

    host: str
    state: str
    generation: int = 0
    row_generation: int = 0
    outcome: str = ""
    reason: str = ""
    boot_id: str = ""
    incarnation: int = 0
    seq: int = 0


class Evidence(StrEnum):
    """What one end of a migration has proven about its copy, for this move's generation."""

    NONE = "none"  # nothing heard yet
    MOVING = "moving"  # the hypervisor is still at it
    RUNNING = "running"  # it runs here and no migration is under way
    PAUSED = "paused"  # it is here, not running, no migration under way
    ENDED = "ended"  # it ran here under this move's generation, and does not any more
    GONE = "gone"  # nothing of it is here
    OFF = "off"  # an administrator's word: nothing runs here; whether it has run here, nobody knows


class Move(Struct, frozen=True, omit_defaults=True):
    """A migration under way; the record's generation is the destination's (g + 1)."""

    source: str
    destination: str
    source_says: Evidence = Evidence.NONE
    destination_says: Evidence = Evidence.NONE
    cancelled: bool = False
    clearing: bool = False  # the destination was told to drop its paused copy
    ask: int = 0  # raised when the source comes to its end; only an answer to it proves that nothing is there
    reason: str = ""
    total_seconds: float | None = None
    downtime_seconds: float | None = None
    bytes: int | None = None


class Moved(Struct, frozen=True, omit_defaults=True, gc=False):
    """Its last migration that arrived: when, from which host, and what was copied how fast; 0 where not known."""

    at_wall: float
    source: str
    bytes: int = 0
    seconds: float = 0.0


class Leftover(Struct, frozen=True, omit_defaults=True):
    """Something of this VM may still be on a host; the host is told `absent` until it proves it."""

    generation: int
    only_if: str = ""
    claim: bool = False  # it may still use memory there
    runs: bool = False  # the host says that it goes on running there, against this record


class Vm(Struct, frozen=True, omit_defaults=True, gc=False):
    """``host`` is where its definition is and, while it may run, where its capacity is claimed."""

    id: str
    name: str
    owner: str
    image: str
    cores: int
    memory_bytes: int
    created_at: str
    disk_bytes: int = 0
    disk: str = ""
    disk_made: bool = False  # it has had a host, which may have made it
    disk_proven: bool = False  # it was seen to be made: from then on it is there, or is missing
    nics: tuple[NicRecord, ...] = ()
    hints: dict[str, str] = {}
    generation: int = 1
    desired: Desired = Desired.RUNNING
    waiting: Waiting = Waiting.NO
    host: str = ""
    pin: str = ""
    wish: Wish | None = None
    move: Move | None = None
    moved: Moved | None = None
    leftovers: dict[str, Leftover] = {}
    observed: Observed | None = None
    job: str = ""  # the operation that locks it
    doing: str = ""  # that operation's verb
    failure: str = ""
    reason: str = ""
    hold_until_wall: float = 0.0  # 0: no end
    decision: str = ""  # the newest decision of placement about it
    kept: str = ""  # the host that is kept for it, because it was passed too often while it waited


def settled(vm: Vm) -> bool:
    """Whether the row that ``vm.host`` was last sent is known to be carried out."""
    seen = vm.observed
    return seen is not None and seen.host == vm.host and seen.row_generation == vm.generation and seen.outcome == "done"


def at_rest(vm: Vm) -> bool:
    """Nothing of it runs or may run anywhere: wanted stopped, and proven so."""
    if vm.desired is not STOPPED or vm.move is not None:
        return False
    seen = vm.observed
    if not vm.host or seen is None:
        return not vm.host
    # A start may still be under way there until the row after the last one that could run it is known to be done with.
    over = seen.outcome in ("done", "failed") and seen.row_generation >= vm.generation - 1
    return over and seen.state in ("stopped", "absent")


def claims(vm: Vm) -> list[str]:
    """Ids of the hosts whose cores and memory this VM holds: both ends of a migration, every doubt included."""
    hosts = [] if not vm.host or vm.waiting or at_rest(vm) else [vm.host]
    if not vm.leftovers and vm.move is None:
        return hosts
    if vm.move is not None and vm.move.destination not in hosts:
        hosts.append(vm.move.destination)
    hosts += [host for host, left in vm.leftovers.items() if left.claim and host not in hosts]
    return hosts


def copies_of(vm: Vm) -> list[str]:
    """Ids of the hosts that say that a copy runs there which this record has elsewhere, or nowhere."""
    return [host for host, left in vm.leftovers.items() if left.runs]


def hosts_of(vm: Vm) -> list[str]:
    """Ids of all hosts that have a row for this VM."""
    hosts = [vm.host] if vm.host else []
    if not vm.leftovers and vm.move is None:
        return hosts
    if vm.move is not None:
        hosts.append(vm.move.destination)
    hosts += [host for host in vm.leftovers if host not in hosts]
    return hosts


def state_of(vm: Vm, host_unknown: str) -> tuple[VmState, str]:
    """What people see, and why. ``host_unknown``: why its host can't be judged now, empty when it can.

    The order of the lines is the table: the first that applies is true.
    """
    if vm.desired is ABSENT:
        return DESTROYING, (f"waits: {host_unknown}" if host_unknown else vm.reason)
    if vm.waiting:
        return (VmState.PENDING if vm.waiting is Waiting.PENDING else VmState.HELD), vm.reason
    if vm.move is not None:
        return VmState.MIGRATING, vm.move.reason or host_unknown or vm.reason
    if at_rest(vm):
        return (VmState.FAILED, vm.failure) if vm.failure else (IS_STOPPED, vm.reason)
    if host_unknown:
        return UNKNOWN, host_unknown
    if vm.desired is STOPPED:
        return SHUTTING_DOWN, vm.reason
    state = vm.observed.state if vm.observed is not None and vm.observed.host == vm.host else ""
    if state == "running":
        return (SHUTTING_DOWN, vm.reason) if vm.doing == "vm.shutdown" else (IS_RUNNING, vm.reason)
    if state == "paused":
        return UNKNOWN, "paused on its host, not by us"
    return STARTING, vm.reason
