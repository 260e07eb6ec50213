"""Bugs that were never made: what the programs would be if somebody had forgotten one thing.

Each is one replacement, put in by the test. A simulator that does not find them is worth nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from msgspec.json import encode
from msgspec.structs import replace

from tashi.agent import journal, mind, ports, session
from tashi.core import allocation, cluster, contact, handover, move, observe, state
from tashi.model.allocation import Phase
from tashi.model.vm import Desired, Evidence, claims
from tashi.sched.index import Index
from tashi.wire.agents import Rows, Shot
from tashid.shell import Shell


def agent_forgets_generations(patch: pytest.MonkeyPatch) -> None:
    """An agent does what it is told, however old the order is."""
    patch.setattr(mind, "why_refused", lambda told, row: "")


def agent_forgets_epochs(patch: pytest.MonkeyPatch) -> None:
    """An agent obeys a controller that was replaced."""
    hear = session.Session.hear

    def obey(self: Any, message: Any, now: Any) -> Any:
        if isinstance(message, Rows | Shot):
            message = replace(message, epoch=max(message.epoch, self.memory.epoch))
        return hear(self, message, now)

    patch.setattr(session.Session, "hear", obey)


def one_shots_are_not_written_down(patch: pytest.MonkeyPatch) -> None:
    """A button that was pressed before a crash is pressed again after it."""
    apply = journal.Memory.apply
    patch.setattr(journal.Memory, "apply", lambda self, record: None if record["is"] == "shot" else apply(self, record))


def migration_is_started_again(patch: pytest.MonkeyPatch) -> None:
    """An agent that is told the same migration again calls the hypervisor again instead of looking."""
    row = mind.Mind._row

    def again(self: Any, wanted: Any) -> None:
        told = self.memory.told.get(wanted.vm)
        if wanted.role == "source" and told is not None and told.role == "source" and wanted.vm not in self._busy:
            self.memory.told.pop(wanted.vm)
        row(self, wanted)

    patch.setattr(mind.Mind, "_row", again)


def replies_leave_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    commit = Shell._commit

    def talk_first(self: Any, batch: Any) -> None:
        for connection, reply, rows in batch.replies:
            self._send(connection, [encode(reply)] if rows is None else [encode(reply), rows])
        batch.replies.clear()
        commit(self, batch)

    patch.setattr(Shell, "_commit", talk_first)


def orders_leave_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    commit = Shell._commit

    def order_first(self: Any, batch: Any) -> None:
        self._send_orders(batch)
        batch.orders.clear()
        commit(self, batch)

    patch.setattr(Shell, "_commit", order_first)


def request_ids_are_forgotten(patch: pytest.MonkeyPatch) -> None:
    """A request that is repeated is done again."""
    patch.setattr(Shell, "_found", lambda self, who, request: None)


def claims_are_not_released(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Index, "release", lambda self, host, demand: None)


def destination_is_not_claimed(patch: pytest.MonkeyPatch) -> None:
    """Room at a migration's destination is given to others as well."""
    patch.setattr("tashi.core.state.claims", lambda vm: claims(replace(vm, move=None) if vm.move is not None else vm))


def silence_is_taken_for_death(patch: pytest.MonkeyPatch) -> None:
    """The VMs of a host that is not heard may start elsewhere."""
    silent = contact.silent

    def bury(now: Any, host: Any, *since: Any) -> None:
        silent(now, host, *since)
        for key in sorted(now.state.vms_of_host.get(host.id, ())):
            vm = now.state.vms[key]
            if vm.host == host.id and vm.move is None and vm.desired is Desired.RUNNING:
                vm = observe.stopped(now, vm, "its host is silent")
                now.put(replace(vm, host="", observed=None))

    patch.setattr(contact, "silent", bury)


def source_is_resumed_on_silence(patch: pytest.MonkeyPatch) -> None:
    """A source that is paused in the switch-over goes on although the destination has not been heard."""
    for unheard in (Evidence.NONE, Evidence.MOVING):
        patch.setitem(move.VERDICTS, (Evidence.PAUSED, unheard), move.Verdict.STAYED)


def destination_is_believed_too_early(patch: pytest.MonkeyPatch) -> None:
    """What the destination said before the source came to its end is taken for what is there now."""
    says = move._destination_says

    def optimist(seen: Any, carried: bool, generation: int, ask: int) -> Evidence:
        return Evidence.RUNNING if seen.state == "paused" else says(seen, carried, generation, ask)

    patch.setattr(move, "_destination_says", optimist)


def counters_are_not_stored(patch: pytest.MonkeyPatch) -> None:
    """Ids are given a second time after a restart."""
    puts = state.State.puts_since
    patch.setattr(state.State, "puts_since", lambda self, mark: [put for put in puts(self, mark) if put[0] != "meta"])


def outcomes_are_not_stored(patch: pytest.MonkeyPatch) -> None:
    """An operation that has ended is simply not there any more."""
    puts = state.State.puts_since
    patch.setattr(state.State, "puts_since", lambda self, mark: [put for put in puts(self, mark) if put[0] != "done"])


def failed_commits_are_not_undone(patch: pytest.MonkeyPatch) -> None:
    """Memory goes on from what the store refused."""
    patch.setattr(cluster.Cluster, "rollback", lambda self, mark: self.durable())


def ports_are_opened_by_any_order(patch: pytest.MonkeyPatch) -> None:
    """A zoni agent changes ports as it is told, however old the order is."""
    patch.setattr(ports, "why_stale", lambda told, generation, role: "")


def a_domain_is_left_too_early(patch: pytest.MonkeyPatch) -> None:
    """When ports are told to close, not when they have."""
    enter = allocation._enter

    def early(now: Any, transfer: Any, phase: Any) -> Any:
        after = enter(now, transfer, phase)
        return replace(after, domain="") if allocation.WORK[phase].wants == "closed" else after

    patch.setattr(allocation, "_enter", early)


def ports_are_not_closed_in_between(patch: pytest.MonkeyPatch) -> None:
    """From one domain straight into the other: the claim of the new one is taken while they are in the old one."""
    patch.setitem(allocation.TABLE[Phase.OFF], allocation.Event.DONE, Phase.OPEN)


def a_quarantine_is_not_tried_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(handover, "late", lambda turn, job: None)


class Bug(NamedTuple):
    """``breaks``: what the violation begins with. ``climates``: in which runs its conditions are not rare."""

    put: Callable[[pytest.MonkeyPatch], None]
    breaks: tuple[str, ...]
    climates: tuple[int, ...] = ()


BUGS = (
    Bug(agent_forgets_generations, ("I7",)),
    Bug(agent_forgets_epochs, ("I7",), (7,)),
    Bug(one_shots_are_not_written_down, ("I7",)),
    Bug(migration_is_started_again, ("I7",)),
    Bug(replies_leave_before_the_commit, ("I1",)),
    Bug(orders_leave_before_the_commit, ("I1",)),
    Bug(request_ids_are_forgotten, ("I1",), (1, 3, 8)),
    Bug(claims_are_not_released, ("I5",)),
    Bug(destination_is_not_claimed, ("I5",)),
    Bug(silence_is_taken_for_death, ("I2", "I4", "I5"), (5, 6)),
    Bug(source_is_resumed_on_silence, ("I2",), (6,)),
    Bug(destination_is_believed_too_early, ("I2", "I4"), (6,)),
    Bug(counters_are_not_stored, ("I1", "I2", "I4", "I7")),
    Bug(outcomes_are_not_stored, ("I4",)),
    Bug(ports_are_opened_by_any_order, ("I3", "I7")),
    Bug(a_domain_is_left_too_early, ("I3",)),
    Bug(ports_are_not_closed_in_between, ("I3",)),
    Bug(a_quarantine_is_not_tried_again, ("I4",)),
    Bug(failed_commits_are_not_undone, ("I1", "I4"), (2,)),
)
