"""The mind of a zoni agent: what the controller says and what devices answer, turned into calls and reports.

It does no I/O, as the mind of a VM host's agent, and stands on the same session, desk and journal. Passwords are in
rows, rows are in memory only: after a restart the controller sends them again, and an order whose outcome is not
written down is carried out again. All that is asked for is idempotent but for one-shots, which are done at most once.

A machine is looked at over all its paths, in its turn and after each change. A path is judged before it is used: that
it leads to this machine and keeps strangers out. What paths say against each other is looked at twice before it is
believed. Nothing is done because the controller is silent, nor because a machine is not as it was asked to be.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from tashi.agent.consoles import CONSOLE, CUT, Consoles
from tashi.agent.desk import Doing, Tongue
from tashi.agent.errand import QUESTIONS, Errand, Go
from tashi.agent.events import Called, Connected, Disconnected, Event, Heard, Identity, Now, Opened, Steps
from tashi.agent.journal import Told, outcome_record, why_stale
from tashi.agent.machine import Known, Path
from tashi.agent.ports import PORTS, Ports, is_of_ports
from tashi.agent.rhythm import ALL_AGAIN_SECONDS
from tashi.agent.session import Session
from tashi.agent.switches import SWITCH, Switches
from tashi.agent.watch import Watch
from tashi.model.shorten import shorten
from tashi.wire.agents import ShotDone, Welcome
from tashi.wire.messages import OLDEST, PROTOCOL
from tashi.wire.zoni import (
    ConsoleShot,
    MetalBeat,
    MetalHello,
    MetalInventory,
    MetalOrder,
    MetalRow,
    MetalRows,
    MetalSeen,
    MetalShot,
    MetalTell,
    PortRows,
    SwitchShot,
)

LOOK_SECONDS = 30.0
LOOK = "look"


class _For(NamedTuple):
    """What a call on a path is for: ``errand`` or a look, if that is None. ``judges``: whether it may be used."""

    path: Path
    at: int
    errand: Errand | None
    judges: bool


class Metal:
    """One zoni agent. ``where`` names a path in words, without passwords; ``stream`` is where clients reach it."""

    def __init__(
        self,
        journal: list[dict[str, Any]],
        identity: Identity,
        where: Callable[[dict[str, Any]], str],
        stream: str = "",
    ) -> None:
        self.identity, self._where, self._stream = identity, where, stream
        self._session = Session("machine", journal, identity, Tongue(MetalTell, MetalInventory))
        self.memory, self._desk = self._session.memory, self._session.desk
        self._shots = self._session.shots
        self._ports = Ports(self._desk)
        self._switches = Switches(self._desk, self._shots)
        self._consoles = Consoles(self._desk, self._shots)
        self._machines: dict[str, Known] = {}
        self._watch = Watch()
        self._looked: dict[str, None] = {}  # as they were told before, since the last heartbeat
        self._now = 0.0

    def step(self, event: Event, now: Now) -> Steps:
        """Take one event in."""
        steps = self._desk.clear()
        self._now = now.monotonic
        match event:
            case Connected():
                self._hello()
            case Disconnected():
                self._session.hang_up()
            case Heard(message):
                self._heard(self._session.hear(message, now))
            case Called():
                self._called(event)
            case Opened():
                self._consoles.opened(event)
        self._on_time(now)
        return steps

    @property
    def welcomed(self) -> bool:
        """Whether the controller has greeted us on this connection."""
        return self._session.listening

    def next_tick(self) -> float:
        """When a `Tick` is due, in monotonic seconds."""
        session = self._session.next_due(looking=False) if self.welcomed else inf
        return min(session, self._watch.due(self._now), self._consoles.due())

    def deaf(self, now: Now) -> bool:
        """Whether the controller should have been heard by now: time to build the socket anew."""
        return self._session.deaf(now)

    # -- hearing ----------------------------------------------------------------------------------------------------
    def _hello(self) -> None:
        self._session.hang_up()
        who = self.identity
        about = (who.name, who.uuid, who.boot_id, who.incarnation, self.memory.epoch)
        self._desk.send(MetalHello(*about, protocol=PROTOCOL, oldest=OLDEST, stream=self._stream))

    def _heard(self, message: MetalOrder | None) -> None:
        if message is not None:
            self._consoles.heard(self._now)
        match message:
            case MetalRows(rows=rows):
                for row in rows:
                    self._row(row)
            case PortRows(rows=rows):
                for each in rows:
                    self._ports.row(each)
            case MetalShot():
                self._shot(message)
            case SwitchShot():
                self._switches.shot(message)
            case ConsoleShot():
                self._consoles.shot(message, self._machines.get(message.machine))
            case Welcome():
                self._consoles.welcome()

    # -- rows -------------------------------------------------------------------------------------------------------
    def _row(self, row: MetalRow) -> None:
        if row.gone:
            self._forget(row)
            return
        role = row.power or LOOK
        told = self.memory.told.get(row.machine)
        if why := why_stale(told, row.generation, role):
            newest = told.generation if told is not None else 0
            seen = MetalSeen(row.machine, row_generation=row.generation, newest=newest, mark=row.mark)
            self._desk.tell(replace(seen, outcome="refused", reason=why))
            return
        again = told is not None and told.generation == row.generation
        if not again:
            self._desk.note({"is": "row", "machine": row.machine, "generation": row.generation, "role": role})
        known = self._know(row)
        anew = not again or row.ask > known.ask
        if row.ask > known.ask:
            known.ask, known.asked_at = row.ask, self._now
            self._watch.asked(row.machine)
        told = self.memory.told[row.machine]
        if told.outcome or not row.power:
            if not told.outcome:
                self._outcome(row, "done", "")
            if anew or not known.looks():  # one that was only sent again is being seen to
                self._look(row.machine)
        elif known.errand is None:
            self._carry_out(row.machine, Errand(row, *known.outlets()))
        elif not again:
            known.waiting = row

    def _know(self, row: MetalRow) -> Known:
        known = self._machines.setdefault(row.machine, Known(row, other_paths=True))
        known.other_paths = known.other_paths or known.row.mark != row.mark
        known.row = row
        if known.other_paths and known.errand is None:
            known.take_paths(self._where)
        self._watch.add(row.machine, self._now)
        return known

    def _forget(self, row: MetalRow) -> None:
        """What is under way on it goes on, and nobody is told."""
        self._machines.pop(row.machine, None)
        self._watch.drop(row.machine)
        if row.machine in self.memory.told:
            self._desk.note({"is": "forget", "machine": row.machine})
        self._ports.forget(row.machine)

    def _outcome(self, row: MetalRow, outcome: str, reason: str) -> None:
        told = Told(row.generation, row.power or LOOK, outcome, shorten(reason, 200))
        self._desk.note(outcome_record("machine", row.machine, told))

    # -- one-shots --------------------------------------------------------------------------------------------------
    def _shot(self, shot: MetalShot) -> None:
        known = self._machines.get(shot.machine)
        if shot.job not in self.memory.shots and (known is None or known.errand is not None):
            return  # it comes again: until then its row has come, or what is under way is over
        begins = shot.action in QUESTIONS or self._shots.begins(shot.job, shot.machine, shot.generation)
        if begins and known is not None:
            self._carry_out(shot.machine, Errand(shot, *known.outlets()))

    # -- changing ---------------------------------------------------------------------------------------------------
    def _carry_out(self, machine: str, errand: Errand) -> None:
        known = self._machines[machine]
        known.errand = errand
        self._go_on(machine, known, errand)

    def _go_on(self, machine: str, known: Known, errand: Errand) -> None:
        """Its next calls; a path that is not to be used has failed already."""
        while group := errand.next():
            for go in group:
                path = known.paths[go.at]
                if path.refused_until > self._now:
                    errand.called(go.at, Called(0, "failed", None, path.trouble, path.code))
                else:
                    self._begin_change(machine, known, errand, path, go)
        if errand.outcome:
            self._over(machine, known, errand)

    def _begin_change(self, machine: str, known: Known, errand: Errand, path: Path, go: Go) -> None:
        row = known.row
        args = {"path": path.spec, "rack": row.rack, "fresh": path.fresh}
        path.fresh = False
        doing = self._for(machine, path, go, errand)
        if path.trusted:
            own = errand.order.args if isinstance(errand.order, MetalShot) else {}
            verb = "on" if go.verb == "feed" else go.verb
            self._desk.call(verb, own | args | {"seconds": go.seconds}, go.seconds, doing)
        else:
            # First it is judged; what it is wanted for follows.
            whose = {"uuid": row.uuid, "serial": row.serial, "seconds": LOOK_SECONDS}
            self._desk.call("enroll", args | whose, LOOK_SECONDS, doing)

    def _for(self, machine: str, path: Path, go: Go, errand: Errand | None) -> Doing:
        return Doing(go.verb, machine, _For(path, go.at, errand, not path.trusted))

    def _over(self, machine: str, known: Known, errand: Errand) -> None:
        """An order is carried out, or can't be."""
        known.errand = None
        if not errand.of_power:
            self._answered(machine, known, errand)
            return
        for at, path in enumerate(known.paths):
            path.began, path.asked = -1.0, False
            if at != errand.proven_by:
                path.reading = ""  # of before
        if known.other_paths:
            known.take_paths(self._where)
        order = errand.order
        if isinstance(order, MetalShot):
            self._tell(machine, known)  # before its end, or who waits for that is shown how it was before
            outcome = "done" if errand.outcome == "done" else "failed" if errand.outcome == "failed" else "unknown"
            self._shots.over(ShotDone(order.job, outcome, shorten(errand.reason, 200)))  # type: ignore[arg-type]
        else:
            told = self.memory.told.get(machine)
            if told is not None and told.generation == order.generation:
                self._outcome(order, errand.outcome, errand.reason)
            self._tell(machine, known)
        self._next(machine, known)

    def _answered(self, machine: str, known: Known, errand: Errand) -> None:
        """A one-shot is over that was not about the power."""
        shot = errand.order
        assert isinstance(shot, MetalShot)
        result = {"answer": msgspec.json.encode(errand.value).decode()} if errand.outcome == "done" else {}
        done = ShotDone(shot.job, errand.outcome, shorten(errand.reason, 200), result)  # type: ignore[arg-type]
        if shot.action in QUESTIONS:
            self._desk.tell(shot=done)
        else:
            self._shots.over(done)
        if known.other_paths:
            known.take_paths(self._where)
        self._next(machine, known)

    def _next(self, machine: str, known: Known) -> None:
        """What waits for its turn; if nothing does, a look."""
        if known.waiting is not None:
            row, known.waiting = known.waiting, None
            self._carry_out(machine, Errand(row, *known.outlets()))
        else:
            self._look(machine)

    # -- looking ----------------------------------------------------------------------------------------------------
    def _look(self, machine: str) -> None:
        """Ask all its paths; those under way once more, when they are over."""
        known = self._machines[machine]
        if known.errand is not None:
            return  # all are asked when it is over
        known.again = known.looks()
        for at, path in enumerate(known.paths):
            if path.looks:
                continue
            path.began = self._now
            path.asked = path.asked or path.refused_until > self._now
            if path.refused_until > self._now:
                continue
            path.looks = True
            row = known.row
            args = {"path": path.spec, "rack": row.rack, "fresh": path.fresh, "seconds": LOOK_SECONDS}
            verb = "power" if path.trusted else "enroll"
            judged = {} if path.trusted else {"uuid": row.uuid, "serial": row.serial}
            path.fresh = False
            self._desk.call(
                verb, args | judged, LOOK_SECONDS, Doing(verb, machine, _For(path, at, None, not path.trusted))
            )
        if not known.looks():
            self._saw(machine, known)

    def _saw(self, machine: str, known: Known) -> None:
        """A path has had its say. Told when it makes a difference, or when somebody asked."""
        verdict = known.verdict()
        if verdict.contradiction and not known.doubted:
            if not known.looks():
                known.doubted = True
                self._look(machine)  # they may have been asked while it changed
            return
        known.doubted = known.doubted and bool(verdict.contradiction)
        if known.answered():
            known.answer = known.ask
            self._watch.answered(machine)
            self._tell(machine, known)
        elif not known.looks() and known.sight() != known.told:
            self._tell(machine, known)
        elif not known.looks():
            self._looked[machine] = None
        if not known.looks():
            self._watch.looked(machine, self._now)
            if known.again:
                self._look(machine)

    # -- telling ----------------------------------------------------------------------------------------------------
    def _seen(self, machine: str, known: Known) -> MetalSeen:
        return known.seen(self.memory.told.get(machine), self._now)

    def _tell(self, machine: str, known: Known) -> None:
        known.told = known.sight()
        self._looked.pop(machine, None)
        self._desk.tell(self._seen(machine, known))

    def _tell_all(self, now: Now) -> None:
        every = [self._seen(machine, known) for machine, known in self._machines.items()]
        for machine, told in self.memory.told.items():
            if machine not in self._machines and not is_of_ports(machine):
                outcome: Any = told.outcome
                every.append(MetalSeen(machine, row_generation=told.generation, outcome=outcome, reason=told.reason))
        for record in self.memory.prune():
            self._desk.note(record)
        self._session.rhythm.look_at(now.monotonic + ALL_AGAIN_SECONDS)
        self._desk.tell_all(every, now.wall)

    # -- time -------------------------------------------------------------------------------------------------------
    def _on_time(self, now: Now) -> None:
        while machine := self._watch.next(now.monotonic):
            known = self._machines[machine]
            if known.errand is None and not known.looks():
                self._look(machine)
        if self.welcomed and self._session.rhythm.looks(now.monotonic):
            self._tell_all(now)
        if self._session.beats(now):
            unheard = self.memory.unheard()  # of which the controller knows something older
            self._desk.send(MetalBeat(looked=[each for each in self._looked if each not in unheard]))
            self._looked.clear()
        self._session.tell_again(now)
        self._consoles.on_time(now.monotonic)

    # -- calls ------------------------------------------------------------------------------------------------------
    def _called(self, called: Called) -> None:
        doing = self._desk.doing.pop(called.id, None)
        if doing is not None and doing.verb == PORTS:
            self._ports.called(doing.of, called)
            return
        if doing is not None and doing.verb == SWITCH:
            self._switches.called(doing.job, called)
            return
        if doing is not None and doing.verb in (CONSOLE, CUT):
            if doing.verb == CONSOLE:
                self._consoles.called(doing.job, called)
            return
        known = self._machines.get(doing.of) if doing is not None else None
        if doing is None or known is None:
            return
        path, at, errand, judges = doing.row
        if not any(path is each for each in known.paths) or (errand is not None and errand is not known.errand):
            return  # of a way that it has no more
        if judges or errand is None or errand.of_power:
            known.read(path, called, judges, self._now)
        if errand is None:
            path.looks, path.asked = False, path.asked or path.began >= 0.0
            self._saw(doing.of, known)
        elif judges and called.outcome == "ok":
            go = Go(at, doing.verb, errand.seconds_of(doing.verb))
            self._begin_change(doing.of, known, errand, path, go)
        else:
            errand.called(at, called)
            self._go_on(doing.of, known, errand)
