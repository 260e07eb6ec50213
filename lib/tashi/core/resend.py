"""Orders that no host has yet proven to have carried out: sent at once, repeated with back-off, dropped when proven.

What is due is derived from the records again each time, so nothing here needs to be stored.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

from msgspec.structs import replace

from tashi.core import consoles, metal_rows, port_rows, switch_calls
from tashi.core.contact import Contact
from tashi.core.jobs import shot_owed
from tashi.core.rows import unsettled
from tashi.core.settings import Settings
from tashi.core.turn import Sent, Turn
from tashi.core.zoniagents import agent_of, machines_of
from tashi.model.job import Job
from tashi.wire.agents import Row, Rows, Shot
from tashi.wire.zoni import ConsoleShot, MetalRow, MetalRows, MetalShot, PortRow, PortRows, SwitchShot

FIRST_DELAY_SECONDS = 1.0
MACHINES_A_SECOND = 1000  # for so many open orders a zoni agent has a second more, before it is told all of them again
ROWS_AT_ONCE = 200  # of machines in one message

Key = tuple[str, str]  # (id of a host or a zoni agent, id of a VM, a machine or an operation)
Order = Row | Shot | MetalRow | PortRow | MetalShot | SwitchShot | ConsoleShot
PORTS = "/ports"  # behind the id of a machine: the order to its ports


class Resend:
    """When each open order is repeated."""

    def __init__(self, settings: Settings) -> None:
        self._max = settings.resend_max_seconds
        self._open: dict[Key, tuple[object, float, float]] = {}  # key -> (what was sent, delay, when it is due again)
        self._heap: list[tuple[float, Key]] = []
        self._back: set[str] = set()
        self._fresh: list[tuple[Key, tuple[object, float, float] | None]] = []  # opened since a commit; what was before

    def host_is_back(self, turn: Turn, host: str) -> None:
        """All that this host was told may have been lost: tell it again at the end of this turn."""
        for key in [key for key in self._open if key[0] == host]:
            del self._open[key]
        self._back.add(host)

    def durable(self) -> None:
        """All that was opened has been sent, or is about to be."""
        self._fresh.clear()

    def rollback(self) -> None:
        """Nothing that was opened since the last commit has left."""
        while self._fresh:
            key, before = self._fresh.pop()
            if before is None:
                self._open.pop(key, None)
            else:
                self._open[key] = before

    def after(
        self, turn: Turn, touched: dict[tuple[str, str], Any], epoch: int, contacts: dict[str, Contact]
    ) -> list[tuple[str, Sent]]:
        """The orders that follow from what this turn changed."""
        vms = [key for table, key in touched if table == "vm"]
        jobs = [key for table, key in touched if table == "job"]
        machines = [key for table, key in touched if table == "machine"]
        machines += metal_rows.of_pdus(turn, (key for table, key in touched if table == "pdu"))
        machines += [turn.state.jobs[key].target for key in jobs if _is_look(turn.state.jobs.get(key))]
        if self._back:
            for host in sorted(self._back):
                vms += sorted(turn.state.vms_of_host.get(host, ()))
                if host in turn.state.zoniagents:
                    machines += [machine.id for machine in machines_of(turn.state, host)]
            jobs += turn.state.jobs
            self._back.clear()
        orders: dict[str, list[Order]] = {}
        self._machines(turn, machines, touched, contacts, orders)
        for vm_id in vms:
            vm = turn.state.vms.get(vm_id)
            if vm is not None:
                for host, row in unsettled(turn.state, vm):
                    self._open_order(turn, (host, vm_id), row, _mark(row), contacts, orders)
        for job_id in jobs:
            job = turn.state.jobs.get(job_id)
            owed = _owed(turn, job) if job is not None else None
            if owed is not None:
                self._open_order(turn, (owed[0], job_id), owed[1], owed[1].action, contacts, orders)
        return _messages(orders, epoch)

    def _machines(
        self,
        turn: Turn,
        machines: list[str],
        touched: dict[tuple[str, str], Any],
        contacts: dict[str, Contact],
        orders: dict[str, list[Order]],
    ) -> None:
        """What zoni agents have to be told of these; and who has one no more, once: it asks when it did not hear it."""
        for (table, key), before in touched.items():
            if table == "machine" and before is not None:
                former, now = agent_of(turn.state, before), turn.state.machines.get(key)
                if former in contacts and (now is None or agent_of(turn.state, now) != former):
                    orders.setdefault(former, []).append(metal_rows.gone(before))
        for machine_id in dict.fromkeys(machines):
            machine = turn.state.machines.get(machine_id)
            agent = agent_of(turn.state, machine) if machine is not None else ""
            contact = contacts.get(agent)
            if machine is not None and contact is not None and metal_rows.unsettled(turn, machine, contact):
                order, mark = metal_rows.row_of(turn, machine), metal_rows.order_mark(turn, machine)
                self._open_order(turn, (agent, machine_id), order, mark, contacts, orders)
            ports = port_rows.ordered(machine) if machine is not None and contact is not None else None
            if machine is not None and ports is not None:
                row = port_rows.row_of(turn, machine, ports)
                if row is not None:
                    self._open_order(turn, (agent, machine_id + PORTS), row, ports.generation, contacts, orders)

    def due(self, turn: Turn, epoch: int, contacts: dict[str, Contact]) -> list[tuple[str, Sent]]:
        """The orders whose time to be repeated has come."""
        orders: dict[str, list[Order]] = {}
        now = turn.now.monotonic
        while self._heap and self._heap[0][0] <= now:
            when, key = heappop(self._heap)
            known = self._open.get(key)
            if known is None or known[2] != when:
                continue  # an order that was since replaced has its own entry
            contact = contacts.get(key[0])
            order = _order_of(turn, key, contact) if contact is not None and contact.ready else None
            if order is None:
                del self._open[key]
                continue
            delay = min(max(known[1] * 2, self._first_delay(order)), self._max)
            self._open[key] = (known[0], delay, now + delay)
            heappush(self._heap, (now + delay, key))
            orders.setdefault(key[0], []).append(order)
        return _messages(orders, epoch)

    def next_due(self) -> float | None:
        return self._heap[0][0] if self._heap else None

    def _open_order(
        self,
        turn: Turn,
        key: Key,
        order: Order,
        mark: object,
        contacts: dict[str, Contact],
        orders: dict[str, list[Order]],
    ) -> None:
        contact = contacts.get(key[0])
        known = self._open.get(key)
        if contact is None or not contact.ready or (known is not None and known[0] == mark):
            return
        delay = self._first_delay(order)
        due = turn.now.monotonic + delay
        self._fresh.append((key, known))
        self._open[key] = (mark, delay, due)
        heappush(self._heap, (due, key))
        orders.setdefault(key[0], []).append(order)

    def _first_delay(self, order: Order) -> float:
        """Devices take a while each, and a question about thousands of them is no sooner answered when it is asked
        again."""
        return FIRST_DELAY_SECONDS + (len(self._open) // MACHINES_A_SECOND if type(order) is MetalRow else 0)


def _mark(row: Row) -> object:
    """What tells one order from the next; the end of a migration's source asks its destination anew."""
    return (row.role, row.generation, row.only_if, row.ask)


def _is_look(job: Job | None) -> bool:
    return job is not None and job.verb == metal_rows.LOOK


def _owed(turn: Turn, job: Job) -> tuple[str, Shot | MetalShot | SwitchShot | ConsoleShot] | None:
    """The one-shot that an operation waits for, and whose it is to do."""
    if job.kind == "switch":
        return switch_calls.shot_owed(turn, job)
    if job.verb == consoles.CONSOLE:
        return consoles.shot_owed(turn, job)
    return metal_rows.shot_owed(turn, job) if job.kind == "machine" else shot_owed(turn, job)


def _order_of(turn: Turn, key: Key, contact: Contact) -> Order | None:
    host, what = key
    if what.endswith(PORTS):
        machine = turn.state.machines.get(what.removesuffix(PORTS))
        ports = port_rows.ordered(machine) if machine is not None and agent_of(turn.state, machine) == host else None
        return port_rows.row_of(turn, machine, ports) if machine is not None and ports is not None else None
    machine = turn.state.machines.get(what)
    if machine is not None:
        due = agent_of(turn.state, machine) == host and metal_rows.unsettled(turn, machine, contact)
        return metal_rows.row_of(turn, machine) if due else None
    vm = turn.state.vms.get(what)
    if vm is not None:
        return next((row for at, row in unsettled(turn.state, vm) if at == host), None)
    job = turn.state.jobs.get(what)
    owed = _owed(turn, job) if job is not None else None
    return owed[1] if owed is not None and owed[0] == host else None


def _messages(orders: dict[str, list[Order]], epoch: int) -> list[tuple[str, Sent]]:
    messages: list[tuple[str, Sent]] = []
    for host, several in orders.items():
        rows = [order for order in several if type(order) is Row]
        if rows:
            messages.append((host, Rows(epoch, rows)))
        metal = [order for order in several if type(order) is MetalRow]
        pieces = [metal[at : at + ROWS_AT_ONCE] for at in range(0, len(metal), ROWS_AT_ONCE)]
        messages += [(host, MetalRows(epoch, piece)) for piece in pieces]
        ports = [order for order in several if type(order) is PortRow]
        messages += [(host, PortRows(epoch, ports))] if ports else []
        if len(rows) + len(metal) + len(ports) < len(several):
            shots = [each for each in several if isinstance(each, Shot | MetalShot | SwitchShot | ConsoleShot)]
            messages += [(host, replace(each, epoch=epoch)) for each in shots]
    return messages
