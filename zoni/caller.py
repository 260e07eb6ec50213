"""Calls to devices, put through: the queue decides when, a worker does it, and how it ended teaches the queue.

A device is whatever answers at an address: all outlets of a PDU are one, a BMC with IPMI and Redfish is one, because it
is the device that has few sessions and does one thing at a time. Paths, with their secrets, are kept by who asks and
come with each call.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import count
from typing import Any

import msgspec

from tashi.run.loop import Loop, Timer
from tashi.run.workers import Outcome, Pool
from tashi.wire.errors import Code
from zoni.calls import SECONDS, Verb
from zoni.path import Path
from zoni.queue import Call, End, Limits, Queue, Refusal

STARTS = ("on", "cycle")

Done = Callable[[Outcome], None]


@dataclass(frozen=True)
class _Asked:
    device: str
    where: str
    verb: str
    args: dict[str, Any]
    done: Done


class Caller:
    """All power paths, or all switches, of one hardware network. ``argv`` starts a worker, which has the ``calls``."""

    def __init__(self, loop: Loop, argv: list[str], calls: Mapping[str, Verb], limits: Limits | None = None) -> None:
        self.queue = Queue(limits)
        self._loop, self._calls, self._numbers = loop, calls, count(1)
        workers = self.queue.limits.in_flight + self.queue.limits.late
        self._pool = Pool(loop, argv, workers)
        self._asked: dict[str, _Asked] = {}
        self._timer: Timer | None = None

    def ask(self, device: str, verb: str, path: Path, done: Done, /, *, urgent: bool = False, **args: Any) -> None:
        """Have a verb of the table done on a path of ``device``; ``done`` is called once, always from the loop.

        Raises KeyError for a device that was not added to the queue, or a verb that is not in the table.
        """
        changes, seconds = self._calls[verb].changes, float(args.get("seconds", SECONDS))
        call = Call(f"{next(self._numbers)}", device, changes, verb in STARTS, urgent, seconds)
        self._asked[call.id] = _Asked(device, path.where, verb, {"path": msgspec.to_builtins(path)} | args, done)
        refusal = self.queue.ask(call, self._loop.now())
        self._refuse([refusal] if refusal is not None else [])
        self._begin()

    @property
    def stuck(self) -> int:
        """Workers that were killed and are still there."""
        return self._pool.stuck

    def remove(self, device: str) -> None:
        """Ask it nothing more; what waits is refused."""
        self._refuse(self.queue.remove(device))
        self._begin()

    def close(self) -> None:
        """Kill all workers; nobody is told."""
        if self._timer is not None:
            self._timer.cancel()
        self._pool.close()

    def _begin(self) -> None:
        now = self._loop.now()
        for start in self.queue.due(now):
            asked = self._asked[start.id]
            self._pool.call(asked.verb, asked.args, start.seconds, partial(self._ended, start.id))
        if self._timer is not None:
            self._timer.cancel()
        wake = self.queue.wake(now)
        self._timer = None if wake is None else self._loop.at(wake, self._begin)

    def _ended(self, id: str, outcome: Outcome) -> None:
        asked, how = self._asked.pop(id), judge(outcome)
        if how is End.KILLED:  # its worker would have named the device
            outcome = outcome._replace(text=f"{asked.where}: {outcome.text}")
        self._refuse(self.queue.ended(id, how, outcome.text, self._loop.now()))
        asked.done(outcome)
        self._begin()

    def _refuse(self, refusals: list[Refusal]) -> None:
        for refusal in refusals:
            outcome = Outcome("failed", text=refusal.text, code=refusal.code)
            self._loop.after(0, partial(self._asked.pop(refusal.id).done, outcome))


def judge(outcome: Outcome) -> End:
    """What the end of a call says of its device. Without a code the worker had no say: it was killed, or there was
    none."""
    if not outcome.code and outcome.outcome != "ok":
        return End.KILLED if outcome.outcome == "unknown" else End.UNTRIED
    if outcome.code == Code.DENIED:
        return End.DENIED
    return End.SILENT if (outcome.outcome, outcome.code) == ("failed", Code.UNAVAILABLE) else End.ANSWERED
