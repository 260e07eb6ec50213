"""One event being handled: the state it may change, who caused it, and what is to be sent once it is durable.

Handlers take a turn and a message. They look things up here (`find` knows who may see what), change records by `put`,
and say by `send` what an agent should hear. Operations begin and end here too, because everything else hangs on them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from tashi.core.doubts import differs, not_compared
from tashi.core.settings import Settings
from tashi.core.state import State
from tashi.model.clock import Now
from tashi.model.job import Job, JobState
from tashi.model.machine import Machine
from tashi.model.name import ID_LETTER, kind_of_id, make_id, number_of
from tashi.model.units import stamp
from tashi.model.vm import ABSENT, UNKNOWN, Vm, VmState, copies_of, state_of
from tashi.wire.agents import ControllerMessage
from tashi.wire.errors import Code, NotFound, Refused
from tashi.wire.messages import Accepted
from tashi.wire.zoni import MetalOrder

if TYPE_CHECKING:
    from tashi.core.certificates import Authority
    from tashi.core.choices import Weighed
    from tashi.core.contact import Contact
    from tashi.core.secrets import Vault


class Principal(Struct, frozen=True, gc=False):
    """Who asks. ``role`` is the most that the socket allows; an agent's ``host`` is its own host's id.

    ``owns``: it can open the store itself, so no record makes it less; ``doubt`` says why it is not certain any more
    who it is.
    """

    name: str
    role: str
    host: str = ""
    owns: bool = False
    doubt: str = ""


Sent = ControllerMessage | MetalOrder  # to the agent of a host, or of a hardware network
CONTROLLER = Principal("controller", "admin")
RANK = {"": 0, "enroll": 0, "agent": 0, "user": 1, "operator": 2, "admin": 3}
JOB_KEY_DIGITS = 18
HELD = "held"  # where an operation keeps the ids of what it is at work on, besides its object
OWNED = ("vm", "job")
PLACING = ("vm.create", "vm.start", "vm.place", "vm.migrate")  # verbs that give a VM a host
SAID = {"zoniagent": "zoni agent"}  # kinds that people call otherwise
PRIVATE: dict[str, Callable[[Any, str], bool]] = {  # kinds of which a user sees some only
    "vm": lambda vm, name: bool(vm.owner == name),
    "job": lambda job, name: bool(job.owner == name),
    "key": lambda key, name: bool(key.owner == name),
    "user": lambda user, name: bool(user.name == name),
    "pdu": lambda pdu, name: False,
    "switch": lambda switch, name: False,
    "zoniagent": lambda agent, name: False,
}


class Turn:
    """What one handler sees and does."""

    def __init__(
        self, state: State, settings: Settings, now: Now, who: Principal = CONTROLLER, why: str = "", request: str = ""
    ) -> None:
        self.state, self.settings, self.now, self.who, self.why = state, settings, now, who, why
        self.acting = ""  # for whom, with --owner
        self.request = request  # key of the request, remembered by the operation that it makes
        self.verb = ""
        self.job = ""  # the newest operation begun or ended in this turn
        self.effects: list[tuple[str, Sent]] = []
        self.wake: set[str] = set()
        self.urgent = False
        self.started: list[Job] = []  # operations whose budget begins now
        self.ended: list[Job] = []
        self.weighed: Weighed | None = None  # what placement has found last, until it is noted as a decision
        self.chosen: dict[str, str] = {}  # VM -> its newest decision of this turn
        self.revision = 0  # of the change log, before this turn
        self.mentions: list[str] = []  # ids of VMs whose shown state changed with their host's
        self._at = ""
        self.epoch_above = 0  # an epoch higher than this is to be taken
        self.secret = b""  # chance of the shell's, for one-time tokens
        self.authority: Authority | None = None  # who signs certificates
        self.vault: Vault | None = None  # what seals passwords
        self.account: Callable[[int], str] = lambda uid: ""  # what a uid is called where it has no user
        self.server = ""  # the key of the controller's with which this came; empty: it did not come with any
        self.contacts: Mapping[str, Contact] = {}  # the agents' connections, for requests

    @property
    def owner(self) -> str:
        """Whose VMs are meant, and who owns what is made."""
        return self.acting or self.who.name

    # -- looking ----------------------------------------------------------------------------------------------------
    def sees_all(self) -> bool:
        return RANK[self.who.role] >= RANK["operator"]

    def visible(self, kind: str, record: Any) -> bool:
        """Whether the caller may know of a record: users see what is their own, everybody sees hosts and images."""
        if self.acting and kind in OWNED:
            return bool(record.owner == self.acting)
        if kind == "group":
            return self.sees_all() or self.who.name in self.state.members.get(record.name, ())
        return self.sees_all() or kind not in PRIVATE or PRIVATE[kind](record, self.who.name)

    def find(self, kind: str, ref: str) -> Any:
        """The record with this name or id. Raises NotFound, also for what the caller may not see."""
        table, said = self.state.tables[kind], SAID.get(kind, kind)
        if kind_of_id(ref) == kind:
            found = table.get(ref) or (self.state.done.get(done_key(ref)) if kind == "job" else None)
            if found is not None and self.visible(kind, found):
                return found
            raise NotFound(f"{ref}: no such {said}")
        ids = [key for key in self.state.names.get(kind, {}).get(ref, ()) if self.visible(kind, table[key])]
        if not ids:
            raise NotFound(f"{ref}: no such {said}")
        if len(ids) > 1:
            raise Refused(Code.CONFLICT, f"{ref}: ambiguous, it may be {', '.join(ids)}", "give the id")
        return table[ids[0]]

    def machines_on(self, tie: str) -> list[Machine]:
        """The machines that hang on a PDU, a switch or a domain, in the order of their ids."""
        return [self.state.machines[each] for each in sorted(self.state.machines_on.get(tie, ()), key=number_of)]

    def host_name(self, host: str) -> str:
        """The name of a host id; the id itself when the host was removed, nothing for nothing."""
        record = self.state.hosts.get(host)
        return record.name if record is not None else host

    def host_unknown(self, host: str) -> str:
        """Why this host can't be judged now; empty when it can, or when there is none."""
        return self.state.unknown_hosts.get(host, "") if host else ""

    def why_off(self, host: str) -> str:
        """On whose word this host is known to run nothing; empty without one."""
        record = self.state.hosts.get(host)
        return f"{record.name} was confirmed to be off by {record.off}" if record is not None and record.off else ""

    def shown(self, vm: Vm) -> tuple[VmState, str]:
        """What people see of a VM, and why. Of one that its hosts describe otherwise nothing is known for sure."""
        why = differs(self.state, vm) if vm.desired is not ABSENT else ""
        if why:
            return UNKNOWN, why
        state, reason = state_of(vm, self.host_unknown(vm.host))
        copy = self.why_twice(vm)
        return state, (f"{reason}; {copy}" if reason and copy not in reason else copy) if copy else reason

    def why_twice(self, vm: Vm) -> str:
        """Where a copy runs that the record does not have there; empty when none does."""
        copies = copies_of(vm) if vm.leftovers else []
        return f"a copy of it runs on {', '.join(map(self.host_name, copies))}" if copies else ""

    def budget_left(self, job: Job) -> float:
        """Seconds that an operation still may take; an hour when it has no end."""
        end = self.state.deadlines.get(job.id)
        return 3600.0 if end is None else max(0.0, end - self.now.monotonic)

    # -- changing ---------------------------------------------------------------------------------------------------
    def put(self, record: Any) -> Any:
        """Replace a record of any kind; its id says which."""
        self.state.put(KIND_OF_LETTER[record.id[0]], record.id, record)
        return record

    def remove(self, record: Any) -> None:
        self.state.put(KIND_OF_LETTER[record.id[0]], record.id, None)

    def new_id(self, kind: str) -> str:
        return make_id(kind, self.state.next_number(kind))

    def send(self, host: str, message: Sent) -> None:
        self.effects.append((host, message))

    def at(self) -> str:
        """When this happens, as records tell it."""
        if not self._at:
            self._at = stamp(self.now.wall)
        return self._at

    # -- operations -------------------------------------------------------------------------------------------------
    def begin(
        self,
        verb: str,
        kind: str,
        target: str,
        name: str,
        *,
        owner: str = "",
        parent: str = "",
        budget_seconds: float = 0.0,
        phase: str = "",
        children: int = 0,
    ) -> Job:
        """A new operation, running. Without a budget it may take for ever."""
        job = Job(
            id=self.new_id("job"),
            verb=verb,
            by=self.who.name,
            kind=kind,
            target=target,
            name=name,
            created_at=self.at(),
            owner=owner or self.owner,
            parent=parent,
            phase=phase,
            why=self.why,
            budget_seconds=budget_seconds,
            request="" if parent else self.request,
            children=children,
            open_children=children,
        )
        self.state.put("job", job.id, job)
        self.started.append(job)
        self.job = job.id
        return job

    def phase(self, job_id: str, phase: str, reason: str = "") -> None:
        """Tell how far an operation is; no change, no record."""
        job = self.state.jobs.get(job_id)
        if job is not None and (job.phase != phase or job.reason != reason):
            self.put(replace(job, phase=phase, reason=reason))

    def begin_budget(self, job_id: str) -> None:
        """Let the time that an operation may take begin now: until now it waited for something."""
        job = self.state.jobs.get(job_id)
        if job is not None:
            self.started.append(job)

    def end(
        self, job_id: str, state: JobState, reason: str = "", result: dict[str, str | float | int] | None = None
    ) -> None:
        """End an operation; what hangs on it (its lock, its parent, who cancels it) follows."""
        job = self.state.jobs.get(job_id)
        if job is None:
            return
        under_way = len(self.state.children.get(job.id, ()))
        ended = replace(
            job,
            state=state,
            reason=reason,
            phase="",
            ended_at=self.at(),
            result=result if result else job.result,
            decision=self.decision_of(job),
            children=job.children - job.open_children + under_way,  # what has not begun by now is no part of it
            open_children=under_way,
        )
        self.state.put("job", job.id, None)
        if job.id in self.state.passed:
            self.state.put("passed", job.id, None)
        self.state.put("done", done_key(job.id), ended)
        self.job = job.id
        self.ended.append(ended)
        if job.kind == "vm":
            vm = self.state.vms.get(job.target)
            if vm is not None and vm.job == job.id:
                self.put(replace(vm, job="", doing=""))
        elif job.kind in ("host", "image", "machine"):
            record = self.state.tables[job.kind].get(job.target)
            if record is not None and record.job == job.id:
                self.put(replace(record, job=""))
        for ident in str(job.result.get(HELD, "")).split():
            record = self.state.tables[KIND_OF_LETTER[ident[0]]].get(ident)
            if record is not None and record.job == job.id:
                self.put(replace(record, job=""))
        if job.cancelling:
            if state is JobState.CANCELLED:
                self.end(job.cancelling, JobState.DONE)
            else:
                self.end(job.cancelling, JobState.FAILED, f"too late: {job.id} is {state.value}")
        if job.parent:
            self._part_ended(job.parent, state)

    def _part_ended(self, parent_id: str, state: JobState) -> None:
        parent = self.state.jobs.get(parent_id)
        if parent is None:
            return
        parent = replace(
            parent,
            open_children=parent.open_children - 1,
            failed_children=parent.failed_children + (state is not JobState.DONE),
        )
        self.put(parent)
        ends_by_itself = parent.verb == "host.drain" or parent.kind in ("switch", "domain")
        if parent.open_children == 0 and not ends_by_itself:
            bad = parent.failed_children
            if parent.cancelling:
                self.end(parent.id, JobState.CANCELLED, f"by {parent.cancelling}")
                return
            reason = f"{bad} of {parent.children} failed" if bad else ""
            self.end(parent.id, JobState.FAILED if bad else JobState.DONE, reason)

    def decision_of(self, job: Job) -> str:
        """The newest decision of placement that an operation led to: its VM's, while it is at work on that."""
        vm = self.state.vms.get(job.target) if job.verb in PLACING else None
        return vm.decision if vm is not None and vm.job == job.id else job.decision

    def lock(self, vm: Vm, take_over: bool = False) -> None:
        """Refuse unless nothing is at work on this VM and nothing speaks against its record.

        With ``take_over`` end what is at work on it.
        """
        if why := differs(self.state, vm):
            raise Refused(Code.WRONG_STATE, f"{vm.name}: {why}", f"tashi-adopt {vm.id}, or tashi-forget {vm.id}")
        if why := not_compared(self.state, vm):
            raise Refused(Code.LOCKED, f"{vm.name}: {why}", "tashi-divergence lists what is missing")
        if not vm.job:
            return
        if not take_over:
            hint = f"tjob-wait {vm.job}" + (f", or tjob-cancel {vm.job}" if vm.waiting else "")
            raise Refused(Code.LOCKED, f"{vm.name}: locked by {vm.job} ({vm.doing})", hint)
        self.end(vm.job, JobState.CANCELLED, f"taken over by {self.verb}")


def done(turn: Turn, verb: str, kind: str, record: Any, dry_run: bool) -> Accepted:
    """The answer to a change that is over at once."""
    job = turn.begin(verb, kind, record.id, record.name)
    turn.end(job.id, JobState.DONE)
    return Accepted(job=job.id, kind=kind, objects={record.id: record.name}, done=True, dry_run=dry_run)


def done_key(job_id: str) -> str:
    """The key of an ended operation in the store: in order of its number."""
    return job_id.rpartition("-")[2].zfill(JOB_KEY_DIGITS)


KIND_OF_LETTER = {letter: kind for kind, letter in ID_LETTER.items()}
