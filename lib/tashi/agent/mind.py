"""The mind of a VM host's agent: what the controller says and the hypervisor shows, turned into calls and reports.

It does no I/O. Each step returns journal records, calls and messages; the shell makes the records durable first, then
starts the calls, then sends the messages. One call at a time for each VM; a row that comes meanwhile waits its turn,
the newest alone. A migration whose caller was lost is followed by looking, never started again. Nothing is done because
the controller is silent, and nothing is done to a guest that no row names.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tashi.agent.desk import Doing, Tongue
from tashi.agent.events import (
    Called,
    Connected,
    Disconnected,
    DriverEvent,
    DriverUp,
    Event,
    Heard,
    Identity,
    Now,
    Steps,
    Tick,
)
from tashi.agent.guest_shots import GuestShots
from tashi.agent.journal import Told, outcome_record
from tashi.agent.plan import LOOK_SECONDS, call_of, is_over, migrating, obeyed, seen_by, why_refused
from tashi.agent.progress import Progress
from tashi.agent.rhythm import ALL_AGAIN_SECONDS, INVENTORY_RETRY_SECONDS
from tashi.agent.session import Session
from tashi.model.host import Facts
from tashi.model.shorten import shorten
from tashi.wire.agents import (
    Beat,
    ControllerMessage,
    Hello,
    Inventory,
    Row,
    Rows,
    Seen,
    Shot,
    Tell,
)
from tashi.wire.messages import OLDEST, PROTOCOL


class Mind:
    """One agent. ``journal`` is what was written by former steps, of former incarnations too."""

    def __init__(self, journal: list[dict[str, Any]], identity: Identity, facts: Facts) -> None:
        self.identity, self.facts = identity, facts
        self._session = Session("vm", journal, identity, Tongue(Tell, Inventory), marked=True)
        self.memory, self._desk = self._session.memory, self._session.desk
        self._rhythm = self._session.rhythm
        self._busy: dict[str, int] = {}  # vm -> call under way on it
        self._next: dict[str, Row] = {}  # vm -> row that waits for that call
        self._rows: dict[str, Row] = {}  # vm -> row that holds, as it was sent
        self._look_again: set[str] = set()
        self._newer: set[str] = set()  # VMs that a call was made for since the inventory under way was begun
        self._states: dict[str, Seen] = {}  # vm -> as the hypervisor showed it last
        self._ending: dict[str, str] = {}  # vm -> why its hypervisor said that it ends
        self._progress = Progress(self._desk)
        self._shots = GuestShots(self._desk, self._session.shots)
        self._degraded = ""
        self._inventory_call = 0

    def step(self, event: Event, now: Now) -> Steps:
        """Take one event in."""
        steps = self._desk.clear()
        match event:
            case Connected():
                self._hello()
            case Disconnected():
                self._session.hang_up()
            case Heard(message):
                self._heard(self._session.hear(message, now))
            case Called():
                self._called(event, now)
            case DriverEvent(vm, _, why):
                if why:
                    self._ending[vm] = why
                self._look(vm)
            case DriverUp(up, why_not):
                self._degraded = "" if up else f"hypervisor: {why_not}"
                if up:
                    self._rhythm.look_at(now.monotonic)
            case Tick():
                pass
        self._on_time(now)
        return steps

    @property
    def welcomed(self) -> bool:
        """Whether the controller has greeted us on this connection."""
        return self._session.listening

    def next_tick(self) -> float:
        """When a `Tick` is due, in monotonic seconds."""
        return self._session.next_due(bool(self._inventory_call))

    def deaf(self, now: Now) -> bool:
        """Whether the controller should have been heard by now: time to build the socket anew."""
        return self._session.deaf(now)

    # -- hearing ----------------------------------------------------------------------------------------------------
    def _hello(self) -> None:
        self._session.hang_up()
        who = self.identity
        about = (who.name, who.uuid, who.boot_id, who.incarnation, self.memory.epoch, self.facts)
        self._desk.send(Hello(*about, protocol=PROTOCOL, oldest=OLDEST))

    def _heard(self, message: ControllerMessage | None) -> None:
        match message:
            case Rows(rows=rows):
                for row in rows:
                    self._row(row)
            case Shot():
                self._shots.take(message)

    # -- rows -------------------------------------------------------------------------------------------------------
    def _row(self, row: Row) -> None:
        told = self.memory.told.get(row.vm)
        why_refused_ = why_refused(told, row)
        if why_refused_:
            seen = self._states.get(row.vm) or Seen(row.vm, "absent")
            newest = told.generation if told is not None else 0
            refused = msgspec.structs.replace(seen, outcome="refused", reason=why_refused_, row_generation=0)
            self._desk.tell(msgspec.structs.replace(refused, newest=newest))
            return
        again = told is not None and told.generation == row.generation and told.role == row.role
        if not again:
            self._desk.note({"is": "row", "vm": row.vm, "generation": row.generation, "role": row.role})
        self._rows[row.vm] = row
        if not again and told is not None and told.generation == row.generation and row.role == "run":
            # It came here running, by a migration. Should it have ended since, that is told, not mended.
            self._outcome(row, "done", "")
            self._look(row.vm)
        elif row.vm in self._busy:
            self._row_while_busy(row, again)
        elif again and told is not None and is_over(told, row, self._states.get(row.vm)):
            self._look(row.vm)
        elif again and row.role == "source":
            self._look(row.vm)  # its caller was lost: follow it, never start it twice
        else:
            self._carry_out(row)

    def _row_while_busy(self, row: Row, again: bool) -> None:
        doing = self._desk.doing[self._busy[row.vm]]
        if again:
            if row.ask > doing.ask:
                self._look_again.add(row.vm)
            return  # it is being done
        self._next[row.vm] = row
        under_way = doing.row is not None and doing.row.role == "source"
        if under_way and doing.row is not None and row.generation > doing.row.generation:
            self._desk.call("abort_move", {"vm": row.vm}, LOOK_SECONDS, Doing("abort_move"))

    def _carry_out(self, row: Row) -> None:
        verb, args, seconds = call_of(row)
        self._ending.pop(row.vm, None)
        self._busy[row.vm] = self._desk.call(verb, args, seconds, Doing(verb, row.vm, row, ask=row.ask))

    def _carried_out(self, called: Called, doing: Doing) -> None:
        """A row's call is over: note how it went, tell it, go on with what waits."""
        row = doing.row
        assert row is not None
        told = self.memory.told.get(row.vm)
        if called.outcome == "ok" and doing.verb == "migrate":
            stats = {key: float(value) for key, value in (called.value or {}).items()}
            self._outcome(row, "done", "", stats)
            self._states[row.vm] = Seen(row.vm, "absent")
            self._tell_state(row.vm)
        elif called.outcome == "ok":
            seen = seen_by(called, doing)
            self._states[row.vm] = seen
            ok = obeyed(row, seen.state)
            if told is not None and told.generation == row.generation:
                self._outcome(row, "done" if ok else "unknown", "" if ok else seen.reason)
            self._tell_state(row.vm)
        else:
            self._outcome(row, called.outcome, called.text)
            self._look_again.add(row.vm)
        if row.role == "absent" and called.outcome == "ok" and self._states[row.vm].state == "absent":
            del self._states[row.vm]
            self._rows.pop(row.vm, None)

    def _outcome(self, row: Row, outcome: str, reason: str, stats: dict[str, float] | None = None) -> None:
        told = Told(row.generation, row.role, outcome, shorten(reason, 200), stats or {})
        self._desk.note(outcome_record("vm", row.vm, told))

    # -- looking ----------------------------------------------------------------------------------------------------
    def _look(self, vm: str) -> None:
        if vm in self._busy:
            self._look_again.add(vm)
        else:
            row = self._rows.get(vm)
            doing = Doing("look", vm, ask=row.ask if row is not None else 0)
            self._busy[vm] = self._desk.call("look", {"vm": vm}, LOOK_SECONDS, doing)

    def _looked(self, called: Called, doing: Doing) -> None:
        if called.outcome != "ok":
            return  # asked again by the controller, or by the next inventory
        self._saw(seen_by(called, doing), asked=True)

    def _saw(self, seen: Seen, asked: bool) -> None:
        """How a guest is now. Told when it differs from what was told last, or when somebody asked."""
        before = self._states.get(seen.vm)
        self._states[seen.vm] = seen
        self._follow_move(seen)
        changed = before is None or (before.state, before.generation, before.moving) != (
            seen.state,
            seen.generation,
            seen.moving,
        )
        if changed or asked:
            exited = before is not None and before.state == "running" and seen.state in ("stopped", "absent")
            self._tell_state(seen.vm, exited=exited and self._wants_running(seen.vm))

    def _wants_running(self, vm: str) -> bool:
        told = self.memory.told.get(vm)
        return told is not None and told.role == "run" and told.outcome == "done"

    def _follow_move(self, seen: Seen) -> None:
        """A migration whose caller was lost comes to its end under our eyes."""
        told = self.memory.told.get(seen.vm)
        if told is None or told.role != "source" or seen.moving or told.outcome in ("done", "failed"):
            return
        if seen.vm in self._next:
            return  # its turn has not come: what was never begun was not interrupted
        if seen.vm in self._busy and self._desk.doing[self._busy[seen.vm]].verb == "migrate":
            return
        row = Row(seen.vm, "source", told.generation)
        if seen.state == "absent":
            self._outcome(row, "done", "")
        elif seen.state == "running":
            self._outcome(row, "failed", told.reason or "the migration was interrupted; it runs on at the source")
        else:
            self._outcome(row, "unknown", told.reason or "the migration was interrupted")

    def _look_beside(self, vm: str) -> None:
        """A migration was called back. The call that carries it out may hang all the same, at a destination that hangs:
        what became of the guest here is looked at beside it."""
        under_way = migrating(self._desk, vm)
        if under_way is not None:
            self._desk.call("look", {"vm": vm}, LOOK_SECONDS, Doing("look-beside", vm, under_way.row))

    def _looked_beside(self, called: Called, doing: Doing) -> None:
        """A guest that runs here and does not move can't be started over there any more by what was called back."""
        seen = seen_by(called, doing) if called.outcome == "ok" else None
        if seen is not None and doing.row is not None and seen.state == "running" and not seen.moving:
            self._states[seen.vm] = seen
            self._outcome(doing.row, "failed", "called back")
            self._tell_state(seen.vm)

    def _inventory(self, called: Called, now: Now) -> None:
        self._inventory_call = 0
        if called.outcome != "ok":
            self._degraded = shorten(f"hypervisor: {called.text}", 200)
            self._rhythm.look_at(now.monotonic + INVENTORY_RETRY_SECONDS)
            return
        if self._degraded.startswith("hypervisor: "):
            self._degraded = ""
        guests = [msgspec.convert(each, Seen) for each in called.value]
        made_of = {seen.vm: seen.guest for seen in guests if not seen.foreign}
        guests = [msgspec.structs.replace(seen, guest=None) if seen.guest else seen for seen in guests]
        ours = {seen.vm: seen for seen in guests if not seen.foreign}
        for record in self.memory.prune():
            self._desk.note(record)
        for vm, told in self.memory.told.items():
            if not (told.role == "absent" and told.outcome == "done"):
                ours.setdefault(vm, Seen(vm, "absent"))
        for seen in ours.values():
            if seen.vm not in self._busy and seen.vm not in self._newer:
                self._states[seen.vm] = seen
                self._follow_move(seen)
        if self._desk.listening:
            dressed = [self._dressed(self._states.get(vm, seen)) for vm, seen in ours.items()]
            whole = [msgspec.structs.replace(seen, guest=made_of.get(seen.vm)) for seen in dressed]
            self._rhythm.look_at(now.monotonic + ALL_AGAIN_SECONDS)
            self._desk.tell_all(whole + [seen for seen in guests if seen.foreign], now.wall)

    # -- telling ----------------------------------------------------------------------------------------------------
    def _dressed(self, seen: Seen) -> Seen:
        """What the driver saw, with the row that was carried out last."""
        if seen.state == "stopped" and not seen.reason and seen.vm in self._ending:
            seen = msgspec.structs.replace(seen, reason=self._ending[seen.vm])
        told = self.memory.told.get(seen.vm)
        if told is None:
            return seen
        return msgspec.structs.replace(
            seen,
            row_generation=told.generation,
            outcome=told.outcome,
            reason=told.reason or seen.reason,
            stats=told.stats,
        )

    def _tell_state(self, vm: str, exited: bool = False) -> None:
        seen = self._dressed(self._states[vm])
        self._desk.tell(msgspec.structs.replace(seen, exited=True) if exited else seen)

    # -- time -------------------------------------------------------------------------------------------------------
    def _on_time(self, now: Now) -> None:
        if not self._inventory_call and self._rhythm.looks(now.monotonic):
            self._newer.clear()
            self._inventory_call = self._desk.call("inventory", {}, LOOK_SECONDS, Doing("inventory"))
        if self._session.beats(now):
            self._desk.send(Beat(self._degraded, self._progress.all()))
            self._progress.ask()
            self._shots.try_early()
        self._session.tell_again(now)

    # -- calls ------------------------------------------------------------------------------------------------------
    def _called(self, called: Called, now: Now) -> None:
        doing = self._desk.doing.pop(called.id, None)
        if doing is None:
            return
        self._newer.add(doing.of)
        if self._busy.get(doing.of) == called.id:
            del self._busy[doing.of]
        if doing.verb == "inventory":
            self._inventory(called, now)
        elif doing.verb == "moving":
            self._progress.take(called, doing)
        elif doing.job:
            self._shots.called(called, doing)
            if doing.verb == "abort_move" and called.value is True:
                self._look_beside(doing.of)
        elif doing.verb == "look-beside":
            self._looked_beside(called, doing)
        elif doing.row is not None:
            self._carried_out(called, doing)
            if doing.verb == "migrate":
                self._progress.forget(doing.of)
        elif doing.verb == "look":
            self._looked(called, doing)
        if doing.of and doing.of not in self._busy:
            self._go_on(doing.of)

    def _go_on(self, vm: str) -> None:
        row = self._next.pop(vm, None)
        if row is not None:
            self._look_again.discard(vm)
            self._carry_out(row)
        elif vm in self._look_again:
            self._look_again.discard(vm)
            self._look(vm)
