"""What must hold after every event, whatever has crashed, was lost or came late.

    I1  nothing acknowledged is lost, no guest ends unasked, and nothing leaves before it is durable
    I2  no VM runs twice on a writable disk, or without its disk
    I3  no physical machine is in two domains: see `metal_invariants.py`
    I4  every operation ends definite: once, and in the end always
    I5  capacity is never over-committed
    I7  a stale controller or agent changes nothing

The truth about guests is taken from the simulated hypervisors, the truth about promises from what left the
controller, the truth about records from the contents of its store. Nothing is taken from the programs' own word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from tashi.agent.events import Steps
from tashi.core.turn import done_key
from tashi.model.choice import Choice
from tashi.model.name import kind_of_id
from tashi.sim.history import History
from tashi.sim.hypervisor import Site
from tashi.sim.metal_invariants import MetalInvariants, knows
from tashi.sim.world import Violation
from tashi.wire.agents import ControllerMessage, Row, Rows, Shot
from tashi.wire.zoni import MetalOrder

Tables = dict[str, dict[str, bytes]]


class Invariants:
    """Holds the truth against what happens. Every method raises Violation."""

    def __init__(self, site: Site, history: History, metal: MetalInvariants) -> None:
        self.site, self.history, self.metal = site, history, metal
        self.tables: Tables = {}  # the contents of the controllers' store
        self._obeyed: dict[str, tuple[int, dict[str, int]]] = {}  # host: highest epoch; highest generation of each VM
        self._last: dict[tuple[str, str], bytes] = {}
        self._shots: set[str] = set()
        self._moves: set[tuple[str, str, int]] = set()

    # -- after each event ----------------------------------------------------------------------------------------------
    def check(self) -> None:
        """I2 and I5, from the hypervisors; what has to be so of machines."""
        self.metal.check()
        runs: dict[str, str] = {}
        for host in self.site.hosts.values():
            cores = memory = 0
            for domain in host.domains.values():
                if domain.state == "stopped":
                    continue
                cores += domain.guest.cores
                memory += domain.guest.memory_bytes
                if domain.state == "running":
                    if domain.vm in runs:
                        raise Violation(f"I2 {domain.vm} runs on {runs[domain.vm]} and on {host.name}")
                    runs[domain.vm] = host.name
                    for disk in domain.guest.disks:
                        if disk.path not in self.site.disks and not self.history.destroy_asked(domain.vm):
                            raise Violation(f"I2 {domain.vm} runs on {host.name} and its disk {disk.path} is deleted")
            if cores > host.cores or memory > host.memory_bytes:
                raise Violation(f"I5 {host.name} has {host.cores} cores, its guests have {cores} ({memory} bytes)")
        while self.site.deleted:
            self._deleted(self.site.deleted.pop())
        while self.site.ended:
            vm = self.site.ended.pop()
            if not self.history.end_asked(vm):
                raise Violation(f"I1 {vm} ran and was ended, nobody asked for it")

    def _deleted(self, path: str) -> None:
        vm = path.rpartition("/")[2].partition(".")[0]
        if kind_of_id(vm) == "vm" and not self.history.destroy_asked(vm):
            raise Violation(f"I1 the disk {path} is deleted, nobody asked for it")

    # -- the controller ------------------------------------------------------------------------------------------------
    def committed(self, puts: list[tuple[str, str, bytes | None]]) -> None:
        """I1 and I4, for a batch that has just become durable."""
        self.metal.committed(puts)
        fresh = {(table, key): value for table, key, value in puts}
        for (table, key), value in fresh.items():
            if table == "job" and value is None:
                self._job_left(key)
            elif table == "vm" and value is None and not self.history.destroy_asked(key):
                raise Violation(f"I1 the record of {key} is gone, nobody asked for it")
            elif table in ("vm", "done", "meta") and value is not None:
                if table == "vm":
                    self._decided(key, value)
                self._follows(table, key, value)

    def _decided(self, key: str, value: bytes) -> None:
        """Each decision that a VM's record names is stored with it, is about it, and names the host that it got."""
        vm = json.loads(value)
        before = json.loads(self._last.get(("vm", key), b"{}"))
        decision = vm.get("decision", "")
        if decision == before.get("decision", ""):
            waited = before.get("waiting", "") in ("held", "pending") and not vm.get("waiting")
            runs = vm.get("desired") == "running"  # who is destroyed while it waits lies where it lay
            if waited and runs and vm.get("host") and vm.get("job"):
                raise Violation(f"I1 {key} waited and has got {vm['host']} by no decision")
            return
        stored = self.tables["decision"].get(done_key(decision))
        if stored is None:
            raise Violation(f"I1 {key} names {decision}, which is not stored")
        choice = msgspec.json.decode(stored, type=Choice)
        where = vm.get("move", {}).get("destination") or vm.get("host", "")
        if choice.outcome == "placed" and (choice.vm, choice.host) != (key, where):
            raise Violation(f"I1 {decision} placed {choice.vm} on {choice.host}, the record of {key} says {where}")
        if choice.outcome != "placed" and not vm.get("waiting") and vm.get("desired") != "stopped":
            raise Violation(f"I1 {decision} is that {key} is {choice.outcome}, and it is not")

    def _job_left(self, job: str) -> None:
        if done_key(job) not in self.tables["done"]:
            raise Violation(f"I4 {job} is no longer open and has no outcome")

    def _follows(self, table: str, key: str, value: bytes) -> None:
        before = self._last.get((table, key))
        self._last[table, key] = value
        if table == "vm" and before is None:
            self.history.names[key] = json.loads(value)["name"]
        if before is None or before == value:
            return
        old, new = json.loads(before), json.loads(value)
        if table == "done":
            raise Violation(f"I4 {new['id']} ended {old['state']}, then {new['state']}")
        if table == "meta" and isinstance(new, int) and new < old:
            raise Violation(f"I7 the counter {key} went from {old} back to {new}")
        before_it, after_it = (record.get("generation", 1) for record in (old, new)) if table == "vm" else (0, 0)
        if after_it < before_it:
            raise Violation(f"I7 {key} went from generation {before_it} back to {after_it}")

    def reply_leaves(self, by: str, reply: dict[str, Any]) -> None:
        """I1: what is promised is durable now, and is what was promised before."""
        self.history.answer(by, reply["id"], reply)
        promised = reply.get("ok") or {}
        job = promised.get("job", "")
        if job and not promised.get("dry_run") and not self.knows(job):
            raise Violation(f"I1 {reply['id']} was promised {job}, which is not stored")

    def knows(self, job: str) -> bool:
        return knows(self.tables, job)

    def order_leaves(self, host: str, message: ControllerMessage | MetalOrder, epoch: int) -> None:
        """I1: no host is told what is not durable; what the deposed say, agents don't heed."""
        self.metal.order_leaves(message, epoch)
        if getattr(message, "epoch", epoch) < epoch:
            return
        if isinstance(message, Rows):
            for row in message.rows:
                self._row_leaves(host, row)
        elif isinstance(message, Shot) and not self.knows(message.job):
            raise Violation(f"I1 {host} is told to do {message.action} for {message.job}, which is not stored")

    def _row_leaves(self, host: str, row: Row) -> None:
        stored = self.tables["vm"].get(row.vm)
        if stored is None and row.role == "absent" and ("vm", row.vm) in self._last:
            return  # told, obeyed and removed in one batch
        if stored is None:
            raise Violation(f"I1 {host} is told of {row.vm}, which is not stored")
        record = json.loads(stored)
        if row.generation > record.get("generation", 1):
            raise Violation(
                f"I1 {host} is told generation {row.generation} of {row.vm}, stored is {record.get('generation', 1)}"
            )

    def restarted(self) -> None:
        """I1, after each start of a controller: every promise is still there."""
        for job, asked in self.history.jobs.items():
            if not self.knows(job):
                raise Violation(f"I1 {job} ({asked.verb}) was promised and is not known any more")
        for vm in self.history.created:
            if vm not in self.tables["vm"] and not self.history.destroy_asked(vm):
                raise Violation(f"I1 {vm} was promised and is not known any more")

    # -- the agents ----------------------------------------------------------------------------------------------------
    def stale(self, host: str, message: ControllerMessage) -> set[str] | None:
        """I7: the VMs (None: all) of which this message must change nothing on this host; call before it is heard."""
        epoch, generations = self._obeyed.setdefault(host, (0, {}))
        told = getattr(message, "epoch", epoch)
        if told < epoch:
            return None
        self._obeyed[host] = (told, generations)
        if not isinstance(message, Rows):
            return set()
        old = {row.vm for row in message.rows if row.generation < generations.get(row.vm, 0)}
        for row in message.rows:
            generations[row.vm] = max(row.generation, generations.get(row.vm, 0))
        return old

    def called(self, host: str, verb: str, args: Mapping[str, Any]) -> None:
        """I7: an agent carries a generation out once; a migration is the one call where twice is not the same."""
        if verb == "migrate":
            move = (host, args["guest"]["id"], args["generation"])
            if move in self._moves:
                raise Violation(f"I7 {host} migrates {move[1]} by generation {move[2]} a second time")
            self._moves.add(move)

    def obeyed(self, host: str, message: ControllerMessage, stale: set[str] | None, steps: Steps) -> None:
        """I7: what an agent made of a message, given what `stale` said; and that a one-shot is one."""
        if stale is None and steps.journal:
            raise Violation(f"I7 {host} takes note of a stale message: {message}")
        if isinstance(message, Shot) and steps.calls:
            if message.job in self._shots:
                raise Violation(f"I7 {host} does {message.action} for {message.job} a second time")
            self._shots.add(message.job)
        for call in steps.calls:
            guest = call.args.get("guest")
            vm = call.args.get("vm") or (guest or {}).get("id", "")
            if call.verb in CHANGING and (stale is None or vm in stale):
                raise Violation(f"I7 {host} does {call.verb} {vm} because of a stale message: {message}")


CHANGING = ("start", "stop", "remove", "stamp", "press_power_button", "migrate", "abort_move")
