"""The working set: the records, and all that follows from them, which no record says itself.

Who is where, what capacity is claimed, who waits, which names and keys are whose. Each change of a record brings this
up to date, and a change that is taken back does so too; nothing else changes an index.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from functools import partial
from typing import Any

from tashi.core.demands import UNHEARD, Ratios, claim_of, supply_of
from tashi.core.doubts import Doubts
from tashi.core.policy import KEY as POLICY
from tashi.core.policy import policy_of
from tashi.core.records import Records
from tashi.core.troubles import Troubles
from tashi.core.uses import Uses
from tashi.model.domain import Domain
from tashi.model.host import Host
from tashi.model.job import Job
from tashi.model.machine import Machine, marks, ties_of
from tashi.model.quota import Amount, amount_of
from tashi.model.reservation import Reservation, due_at
from tashi.model.user import Key, User
from tashi.model.vm import Vm, claims, hosts_of
from tashi.model.zoniagent import ZoniAgent
from tashi.sched.index import Index
from tashi.sched.policy import Policy
from tashi.sched.survey import Surveyor
from tashi.wire.agents import MoveProgress

NOWHERE: list[str] = []
NOTHING = Amount()


class State(Records):
    """The records with their indexes, and what is known of hosts beside the records."""

    def __init__(self, steady_seconds: float = 60.0) -> None:
        super().__init__()
        self.vms_of_host: dict[str, set[str]] = {}
        self.children: dict[str, set[str]] = {}
        self.copying: dict[str, Job] = {}  # operations on the store itself
        self.clearing: dict[str, Job] = {}  # operations that take a domain's VLANs off the switches
        self.waiting: dict[str, None] = {}  # ids of VMs without a place
        self.kept: dict[str, str] = {}  # host id -> VM that waits, for which nothing else is placed there
        self.reserved: dict[str, float] = {}  # host id -> wall-clock end of its reservation, 0 without end
        self.freed = False  # what kept some of those that wait out is no more: they may be tried again
        self.host_of_key: dict[str, str] = {}
        self.user_of_key: dict[str, str] = {}
        self.user_of_uid: dict[int, str] = {}
        self.zoniagent_of_key: dict[str, str] = {}
        self.looked: dict[str, float] = {}  # machine -> wall-clock instant of the newest look at it; not stored
        self.off_since: dict[str, float] = {}  # machine -> monotonic instant since when it is read off; not stored
        self.looking: dict[str, set[str]] = {}  # machine -> operations that wait for a look at it
        self.machine_of: dict[tuple[str, str], str] = {}  # what at most one machine has -> its id
        self.machines_on: dict[str, dict[str, None]] = {}  # PDU, switch or domain -> machines that hang on it
        self.domain_of_vlan: dict[int, str] = {}
        self.reservations_of: dict[str, tuple[Reservation, ...]] = {}  # of a machine
        self.reservations_due: list[tuple[float, str]] = []  # (when the clock makes something of it, id), in order
        self.members: dict[str, dict[str, None]] = {}  # name of a group -> names of its users
        self.held: dict[str, Amount] = {}  # owner -> what its VMs count for
        self.index = Index()
        self.surveyor = Surveyor(self.index)
        self.pool = self.index.pool
        self.ratios = Ratios()
        self.reachable: dict[str, str] = {}  # host id -> why it may not be given work now; not stored
        self.unknown_hosts: dict[str, str] = {}  # host id -> why what runs there is not known now; not stored
        self.told_unknown: dict[str, set[str]] = {}  # host id -> VMs whose last entry in the log has that for a reason
        self.progress: dict[str, MoveProgress] = {}  # vm -> how far its migration is; never stored
        self.uses = Uses()  # of users' keys
        self.deadlines: dict[str, float] = {}  # operation id -> monotonic end of its budget
        self.troubles = Troubles(steady_seconds)  # what hosts did wrong lately; not stored
        self.doubts = Doubts()  # what hosts say against the records; not stored
        self.settings_refused = ""  # what was wrong with tashi.toml when it was read again; not stored
        self.grace_until = 0.0  # monotonic: until then hosts may still be reporting in
        self._unstored = (Policy(), self.ratios)
        self._derive |= {
            "meta": self._apply_meta,
            "vm": self._apply_vm,
            "host": self._apply_host,
            "user": self._apply_user,
            "key": self._apply_key,
            "job": self._apply_job,
            "machine": self._apply_machine,
            "domain": self._apply_domain,
            "reservation": self._apply_reservation,
            "zoniagent": self._apply_zoniagent,
            **{table: partial(self._apply_name, table) for table in ("image", "group", "pdu", "switch")},
        }

    def promise(self, policy: Policy, ratios: Ratios) -> None:
        """Decide by these while no policy is stored."""
        self._unstored = (policy, ratios)
        self._decide_by(policy, ratios)

    def gathering(self, monotonic: float) -> bool:
        """Whether hosts are still reporting in after a start: until then nobody is refused for want of room."""
        if monotonic >= self.grace_until:
            return False
        enrolled = [host.id for host in self.hosts.values() if host.key]
        return not enrolled or any(host in self.unknown_hosts for host in enrolled)

    # -- hosts ------------------------------------------------------------------------------------------------------
    def set_reachable(self, host: str, why_not: str) -> None:
        """What the contact with a host says of it now: empty when it may be given work."""
        self.reachable[host] = why_not
        self.weigh(host)

    def weigh(self, host: str) -> None:
        """What the host did lately has changed: placement is to know."""
        record = self.hosts.get(host)
        if record is not None:
            self._index_host(record)

    # -- indexes ----------------------------------------------------------------------------------------------------
    def _apply_meta(self, key: str, old: Any, new: Any) -> None:
        if key == POLICY:
            self._decide_by(*(policy_of(new) if new is not None else self._unstored))

    def _decide_by(self, policy: Policy, ratios: Ratios) -> None:
        self.index.set_policy(policy)
        if ratios != self.ratios:
            self.ratios = ratios
            for host in self.hosts.values():
                self._index_host(host)

    def _apply_vm(self, key: str, old: Vm | None, new: Vm | None) -> None:
        self._apply_name("vm", key, old, new)
        held_before = held_after = on_before = on_after = NOWHERE
        waits = False
        counted_before = counted_after = None
        if old is not None:
            self.pool.used_bytes -= old.disk_bytes
            counted_before = (old.owner, amount_of(old))
            held_before, on_before = claims(old), hosts_of(old)
        if new is not None:
            self.pool.used_bytes += new.disk_bytes
            counted_after = (new.owner, amount_of(new))
            held_after, on_after = claims(new), hosts_of(new)
            waits = bool(new.waiting)
        if counted_before != counted_after:
            if counted_before is not None:
                self._count(*counted_before, -1)
            if counted_after is not None:
                self._count(*counted_after, 1)
        if held_before != held_after:
            for host in held_before:
                if host not in held_after and old is not None:
                    self.freed = True
                    self.index.release(host, claim_of(old))
            for host in held_after:
                if host not in held_before and new is not None:
                    self.index.claim(host, claim_of(new))
        if on_before != on_after:
            for host in on_before:
                if host not in on_after:
                    self.vms_of_host[host].discard(key)
            for host in on_after:
                if host in self.vms_of_host:
                    self.vms_of_host[host].add(key)
                else:
                    self.vms_of_host[host] = {key}
        if waits:
            self.waiting[key] = None
        elif key in self.waiting:
            del self.waiting[key]
            self.freed = True  # it may have held others of its owner back
        kept_before, kept_after = old.kept if old is not None else "", new.kept if new is not None else ""
        if kept_before != kept_after:
            if self.kept.get(kept_before) == key:
                del self.kept[kept_before]
                self.freed = True
            if kept_after:
                self.kept[kept_after] = key
        if old is not None and new is not None and waits and len(new.leftovers) < len(old.leftovers):
            self.freed = True

    def _loaded(self, table: str, records: dict[str, Any]) -> None:
        if table == "vm":
            self._apply_new_vms(records)
        else:
            super()._loaded(table, records)

    def _apply_new_vms(self, vms: dict[str, Vm]) -> None:
        """What `_apply_vm` does for each of these, in half the time: a start has a hundred thousand."""
        names, there = self.names["vm"], self.vms_of_host
        alike: dict[tuple[str, Amount], int] = {}  # how many count for their owner as much
        for key, vm in vms.items():
            names[vm.name] = (*names[vm.name], key) if vm.name in names else (key,)
            for host in claims(vm):
                self.index.claim(host, claim_of(vm))
            for host in hosts_of(vm):
                if host in there:
                    there[host].add(key)
                else:
                    there[host] = {key}
            if vm.waiting:
                self.waiting[key] = None
            if vm.kept:
                self.kept[vm.kept] = key
            counts = (vm.owner, amount_of(vm))
            alike[counts] = alike.get(counts, 0) + 1
        for (owner, amount), number in alike.items():
            self.pool.used_bytes += number * amount.disk_bytes
            self._count(owner, amount, number)

    def _count(self, owner: str, amount: Amount, times: int) -> None:
        held = self.held.get(owner, NOTHING).plus(amount, times)
        if held.vms:
            self.held[owner] = held
        else:
            del self.held[owner]

    def _apply_host(self, key: str, old: Host | None, new: Host | None) -> None:
        self._apply_name("host", key, old, new)
        if old is not None and old.key and self.host_of_key.get(old.key) == key:
            del self.host_of_key[old.key]
        if new is not None and (new.terms.users or new.terms.groups):
            self.reserved[key] = new.terms.until_wall
        else:
            self.reserved.pop(key, None)
        if new is None:
            self.index.drop_host(key)
            return
        if new.key:
            self.host_of_key[new.key] = key
        self._index_host(new)

    def _index_host(self, host: Host) -> None:
        troubles = self.troubles
        why_not = self.reachable.get(host.id, UNHEARD) or troubles.unsteady(host.id)
        supply = supply_of(host, why_not, self.ratios, troubles.failures(host.id))
        self.index.set_host(supply)
        self.freed = self.freed or not (supply.closed or supply.unwell) or host.id in self.kept

    def _apply_user(self, key: str, old: User | None, new: User | None) -> None:
        self._apply_name("user", key, old, new)
        if old is not None:
            self.user_of_uid.pop(old.uid, None)
            for group in old.groups:
                del self.members[group][old.name]
        if new is not None:
            if new.uid >= 0:
                self.user_of_uid[new.uid] = new.id
            for group in new.groups:
                self.members.setdefault(group, {})[new.name] = None

    def _apply_key(self, key: str, old: Key | None, new: Key | None) -> None:
        self._apply_name("key", key, old, new)
        if old is not None:
            self.user_of_key.pop(old.public, None)
        if new is not None:
            self.user_of_key[new.public] = new.owner

    def _apply_zoniagent(self, key: str, old: ZoniAgent | None, new: ZoniAgent | None) -> None:
        self._apply_name("zoniagent", key, old, new)
        if old is not None:
            self.zoniagent_of_key.pop(old.key, None)
        if new is not None and new.key:
            self.zoniagent_of_key[new.key] = key

    def _apply_machine(self, key: str, old: Machine | None, new: Machine | None) -> None:
        self._apply_name("machine", key, old, new)
        for mark in marks(old) if old is not None else ():
            self.machine_of.pop(mark, None)
        for tie in ties_of(old) if old is not None else ():
            self.machines_on[tie].pop(key, None)
        if new is not None:
            self.machine_of.update(dict.fromkeys(marks(new), key))
            for tie in ties_of(new):
                self.machines_on.setdefault(tie, {})[key] = None

    def _apply_domain(self, key: str, old: Domain | None, new: Domain | None) -> None:
        self._apply_name("domain", key, old, new)
        for vlan in old.vlans if old is not None else ():
            del self.domain_of_vlan[vlan]
        if new is not None:
            self.domain_of_vlan |= dict.fromkeys(new.vlans, key)

    def _apply_reservation(self, key: str, old: Reservation | None, new: Reservation | None) -> None:
        self._apply_name("reservation", key, old, new)
        of = self.reservations_of
        for machine in old.machines if old is not None else ():
            rest = tuple(each for each in of[machine] if each.id != key)
            if rest:
                of[machine] = rest
            else:
                del of[machine]
        for machine in new.machines if new is not None else ():
            of[machine] = (*of.get(machine, ()), new)  # type: ignore[arg-type]
        due = self.reservations_due
        if old is not None:
            del due[bisect_left(due, (due_at(old), key))]
        if new is not None:
            insort(due, (due_at(new), key))

    def _apply_job(self, key: str, old: Job | None, new: Job | None) -> None:
        record = new if new is not None else old
        if record is not None and record.kind == "store":
            if new is None:
                self.copying.pop(key, None)
            else:
                self.copying[key] = new
        elif record is not None and record.kind == "domain":
            if new is None:
                self.clearing.pop(key, None)
            else:
                self.clearing[key] = new
        elif record is not None and record.verb == "machine.look":
            looks = self.looking.setdefault(record.target, set())
            looks.add(key) if new is not None else looks.discard(key)
            if not looks:
                del self.looking[record.target]
        parent = record.parent if record is not None else ""
        if not parent:
            return
        if new is None:
            self.children.get(parent, set()).discard(key)
            if not self.children.get(parent):
                self.children.pop(parent, None)
        else:
            self.children.setdefault(parent, set()).add(key)
