"""Orders that no host has yet proven to have carried out: sent at once, repeated with back-off, dropped when proven.

What is due is derived from the records again each time, so nothing here needs to be stored.
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

from msgspec.structs import replace

from tashi.core.contact import Contact
from tashi.core.jobs import shot_owed
from tashi.core.rows import unsettled
from tashi.core.settings import Settings
from tashi.core.turn import Turn
from tashi.wire.agents import ControllerMessage, Row, Rows, Shot

FIRST_DELAY_SECONDS = 1.0

Key = tuple[str, str]  # (host id, VM id or operation id)


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
    ) -> list[tuple[str, ControllerMessage]]:
        """The orders that follow from what this turn changed."""
        vms = [key for table, key in touched if table == "vm"]
        jobs = [key for table, key in touched if table == "job"]
        if self._back:
            for host in sorted(self._back):
                vms += sorted(turn.state.vms_of_host.get(host, ()))
            jobs += turn.state.jobs
            self._back.clear()
        orders: dict[str, list[Row | Shot]] = {}
        for vm_id in vms:
            vm = turn.state.vms.get(vm_id)
            if vm is not None:
                for host, row in unsettled(turn.state, vm):
                    self._open_order(turn, (host, vm_id), row, _mark(row), contacts, orders)
        for job_id in jobs:
            job = turn.state.jobs.get(job_id)
            owed = shot_owed(turn, job) if job is not None else None
            if owed is not None:
                self._open_order(turn, (owed[0], job_id), owed[1], owed[1].action, contacts, orders)
        return _messages(orders, epoch)

    def due(self, turn: Turn, epoch: int, contacts: dict[str, Contact]) -> list[tuple[str, ControllerMessage]]:
        """The orders whose time to be repeated has come."""
        orders: dict[str, list[Row | Shot]] = {}
        now = turn.now.monotonic
        while self._heap and self._heap[0][0] <= now:
            when, key = heappop(self._heap)
            known = self._open.get(key)
            if known is None or known[2] != when:
                continue  # an order that was since replaced has its own entry
            order = _order_of(turn, key)
            contact = contacts.get(key[0])
            if order is None or contact is None or not contact.ready:
                del self._open[key]
                continue
            delay = min(known[1] * 2, self._max)
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
        order: Row | Shot,
        mark: object,
        contacts: dict[str, Contact],
        orders: dict[str, list[Row | Shot]],
    ) -> None:
        contact = contacts.get(key[0])
        known = self._open.get(key)
        if contact is None or not contact.ready or (known is not None and known[0] == mark):
            return
        due = turn.now.monotonic + FIRST_DELAY_SECONDS
        self._fresh.append((key, known))
        self._open[key] = (mark, FIRST_DELAY_SECONDS, due)
        heappush(self._heap, (due, key))
        orders.setdefault(key[0], []).append(order)


def _mark(row: Row) -> object:
    """What tells one order from the next; the end of a migration's source asks its destination anew."""
    return (row.role, row.generation, row.only_if, row.ask)


def _order_of(turn: Turn, key: Key) -> Row | Shot | None:
    host, what = key
    vm = turn.state.vms.get(what)
    if vm is not None:
        return next((row for at, row in unsettled(turn.state, vm) if at == host), None)
    job = turn.state.jobs.get(what)
    owed = shot_owed(turn, job) if job is not None else None
    return owed[1] if owed is not None and owed[0] == host else None


def _messages(orders: dict[str, list[Row | Shot]], epoch: int) -> list[tuple[str, ControllerMessage]]:
    messages: list[tuple[str, ControllerMessage]] = []
    for host, several in orders.items():
        rows = [order for order in several if type(order) is Row]
        if rows:
            messages.append((host, Rows(epoch, rows)))
        if len(rows) < len(several):
            messages += [(host, replace(order, epoch=epoch)) for order in several if isinstance(order, Shot)]
    return messages
