"""The consoles of machines, in a zoni agent's mind: tickets from the controller, and what became of each.

A ticket is a one-shot: it is written down before its client is let in, so that none is used twice, not after a crash
either. Bytes don't come here. What is open ends when the controller is not heard for long: whoever uses it may have
lost the right to, and nobody would say so.
"""

from __future__ import annotations

from math import inf

from msgspec import Struct

from tashi.agent.desk import Desk, Doing
from tashi.agent.events import Called, Opened
from tashi.agent.machine import Known, Path
from tashi.agent.shots import OUTCOMES, Shots
from tashi.model.shorten import shorten
from tashi.wire.agents import ShotDone
from tashi.wire.errors import Code
from tashi.wire.zoni import ConsoleSaid, ConsoleShot

CONSOLE = "console"  # the verb of the call that lasts as long as a console
CUT = "cut"
DRIVERS = ("ipmi", "fake")  # that have one
ALONE_SECONDS = 30.0  # without the controller


class _Open(Struct):
    call: int
    machine: str
    used: bool = False
    cutting: bool = False


class Consoles:
    def __init__(self, desk: Desk, shots: Shots) -> None:
        self._desk, self._shots = desk, shots
        self._open: dict[str, _Open] = {}  # operation -> its call
        self._heard_at = 0.0

    def shot(self, shot: ConsoleShot, known: Known | None) -> None:
        """A ticket, or the end of one."""
        if shot.action == CUT:
            self._cut(shot)
            return
        if shot.job in self._open:
            self._tell(shot.job)
            return
        path = _way(known) if known is not None else None
        if shot.job not in self._desk.memory.shots and (known is None or (path and _unjudged(path))):
            return  # it comes again: until then its row has come, or its way was judged
        if not self._shots.begins(shot.job, "", 0) or known is None:
            return
        why = "none of its ways has a console" if path is None else "" if path.trusted else path.trouble
        if path is None or why:
            self._over(shot.job, "failed", f"{known.row.name}: {why}")
            return
        args = {
            "path": path.spec, "name": known.row.name, "machine": shot.machine, "job": shot.job, "key": shot.key,
            "ticket_seconds": shot.seconds, "read_only": shot.read_only, "force": shot.force,
        }  # fmt: skip
        call = self._desk.call(CONSOLE, args, shot.seconds, Doing(CONSOLE, shot.machine, job=shot.job))
        self._open[shot.job] = _Open(call, shot.machine)
        self._tell(shot.job)

    def opened(self, opened: Opened) -> None:
        """Its client is there, and the machine's line."""
        job = next((job for job, each in self._open.items() if each.call == opened.id), "")
        if job:
            self._open[job].used = True
            self._tell(job)

    def called(self, job: str, called: Called) -> None:
        """It is closed."""
        self._open.pop(job, None)
        self._over(job, OUTCOMES[called.outcome], called.text)

    def welcome(self) -> None:
        """What is open is said to each controller: one that does not know it has it ended."""
        for job in self._open:
            self._tell(job)

    def heard(self, now: float) -> None:
        """The controller is there, and is no former one, nor one that will not have us."""
        self._heard_at = now

    def on_time(self, now: float) -> None:
        if now >= self.due():
            for job, each in self._open.items():
                self._order_cut(job, each, Code.UNAVAILABLE, "the controller, who knows whether you may, is not heard")

    def due(self) -> float:
        """When something is to be done, in monotonic seconds."""
        return self._heard_at + ALONE_SECONDS if any(not each.cutting for each in self._open.values()) else inf

    def _cut(self, shot: ConsoleShot) -> None:
        there = self._open.get(shot.job)
        if there is not None:
            self._order_cut(shot.job, there, shot.code, shot.reason)
        elif self._shots.begins(shot.job, "", 0):
            self._over(shot.job, "failed", "it was ended before it began")

    def _order_cut(self, job: str, there: _Open, code: str, reason: str) -> None:
        if not there.cutting:
            there.cutting = True
            self._desk.call(CUT, {"console": there.call, "code": code, "reason": reason}, 0.0, Doing(CUT, job=job))

    def _over(self, job: str, outcome: str, reason: str) -> None:
        self._shots.over(ShotDone(job, outcome, shorten(reason, 200)))  # type: ignore[arg-type]

    def _tell(self, job: str) -> None:
        there = self._open[job]
        self._desk.tell(console=ConsoleSaid(job, there.machine, "open" if there.used else "waits"))


def _way(known: Known) -> Path | None:
    return next((path for path in known.paths if path.spec.get("driver") in DRIVERS), None)


def _unjudged(path: Path) -> bool:
    """Whether nobody knows yet if it may be used."""
    return not path.trusted and not path.trouble
