"""The ports of machines, in a zoni agent's mind: one order at a time for a machine, one switch after the other.

What a switch is changed to is proven and saved by its worker. Here is decided what that means for the machine: done
when all its switches are, failed when nothing was changed on any, unknown else. An order that was begun before the
agent started anew is carried out again, and is never said to have changed nothing. A newer order waits for the call
that is under way, no longer.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct, field

from tashi.agent.desk import Desk, Doing
from tashi.agent.events import Called
from tashi.agent.journal import Told, outcome_record, why_stale
from tashi.model.shorten import shorten
from tashi.model.vlan import vlan_name
from tashi.wire.zoni import PortRow, PortSeen

PORTS = "ports"  # the verb of all its calls, as the desk has it
_MARK = "/ports"  # tells a machine's ports from its power in the journal


class _Work(Struct):
    """``at``: the switch that is being changed. ``changed``: the machine's ports on one of those before it were, or may

    have been. ``base_macs``: which switch each was.
    """

    row: PortRow
    at: int = 0
    changed: bool = False
    base_macs: dict[str, str] = field(default_factory=dict)
    waiting: PortRow | None = None


class Ports:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._work: dict[str, _Work] = {}  # machine -> what is being done

    def row(self, row: PortRow) -> None:
        """Obey it, unless something newer was heard; what it led to already is told again."""
        key, role = row.machine + _MARK, "open" if row.vlans else "closed"
        told, work = self._desk.memory.told.get(key), self._work.get(row.machine)
        if why := why_stale(told, row.generation, role):
            newest = told.generation if told is not None else 0
            self._desk.tell(ports=PortSeen(row.machine, row.generation, "refused", why, newest))
            return
        again = told is not None and told.generation == row.generation
        if not again:
            self._desk.note({"is": "row", "machine": key, "generation": row.generation, "role": role})
        elif told is not None and told.outcome:
            self._tell(row.machine, told)
            return
        if work is None:
            self._begin(row, again)
        elif work.row.generation < row.generation:
            work.waiting = row

    def called(self, machine: str, called: Called) -> None:
        """A call on one of its switches is over."""
        work = self._work[machine]
        if work.waiting is not None:
            self._begin(work.waiting, again=False)
            return
        switch = work.row.switches[work.at]
        if called.outcome == "ok":
            work.changed = work.changed or (bool(switch.ports) and called.value["changed"])
            if mac := called.value.get("base_mac"):
                work.base_macs[switch.switch] = mac
            work.at += 1
            self._go_on(work)
        else:
            # What is only on the way was changed or not: it takes nobody anywhere.
            definite = (called.outcome == "failed" or not switch.ports) and not work.changed
            self._over(work, "failed" if definite else "unknown", called.text)

    def forget(self, machine: str) -> None:
        """It is no machine of ours any more; what is under way ends unheard."""
        key = machine + _MARK
        if key in self._desk.memory.told:
            self._desk.note({"is": "forget", "machine": key})

    def _begin(self, row: PortRow, again: bool) -> None:
        work = self._work[row.machine] = _Work(row, changed=again)
        self._go_on(work)

    def _go_on(self, work: _Work) -> None:
        row = work.row
        if work.at == len(row.switches):
            self._over(work, "done", "")
            return
        switch = row.switches[work.at]
        want = {"native": row.vlans[0] if row.vlans else 0, "tagged": row.vlans[1:], "on": bool(row.vlans)}
        vlans, name = {str(vlan): vlan_name(row.name) for vlan in row.vlans}, vlan_name(row.name)
        trunks = {uplink: {"join": row.vlans} for uplink in switch.uplinks} if row.vlans else {}
        goal = {"vlans": vlans, "ports": trunks | dict.fromkeys(switch.ports, want)}
        rules = {"domain": name, "domains": row.domains, "uplinks": switch.uplinks}
        rules |= {"members": switch.members} if row.vlans else {}
        which = {} if switch.base_mac is None else {"base_mac": switch.base_mac}
        args = {"switch": switch.path, "seconds": row.seconds, "goal": goal, "rules": rules} | which
        self._desk.call("change", args, row.seconds, Doing(PORTS, row.machine))

    def _over(self, work: _Work, outcome: str, reason: str) -> None:
        row = work.row
        del self._work[row.machine]
        told = Told(row.generation, "open" if row.vlans else "closed", outcome, shorten(reason, 200))
        key = row.machine + _MARK
        if key in self._desk.memory.told:
            self._desk.note(outcome_record("machine", key, told))
            self._tell(row.machine, told, work.base_macs)

    def _tell(self, machine: str, told: Told, base_macs: dict[str, str] | None = None) -> None:
        outcome: Any = told.outcome
        self._desk.tell(ports=PortSeen(machine, told.generation, outcome, told.reason, base_macs=base_macs or {}))


def is_of_ports(key: str) -> bool:
    """Whether the journal means a machine's ports by this."""
    return key.endswith(_MARK)
