"""How an order for a machine's power goes along its paths: which call on which path comes next, and when it is over.

Paths are tried in the machine's order, until a change was read back. Outlets go together, because a machine with two
is off only when both are. An outlet that is on proves nothing of a machine that has another path: only that one could
say so. One-shots stop where something may have happened: they are done at most once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any, NamedTuple

from tashi.agent.events import Called
from tashi.wire.zoni import MetalRow, MetalShot

# one-shot -> driver call; those after it tell nothing of the power
ACTIONS = {
    "cycle": "cycle", "reset": "reset", "boot": "set_boot", "identify": "set_light", "booting": "boot",
    "sensors": "sensors", "log": "log",
}  # fmt: skip
OF_POWER = ("cycle", "reset")
QUESTIONS = ("booting", "sensors", "log")
FED = "its outlet is on, which does not say that the machine is"


class Go(NamedTuple):
    """One call: ``at`` is the number of the path."""

    at: int
    verb: str
    seconds: float


class Errand:
    """One row or one-shot under way. ``outlets`` says of each path whether it is one; ``fed``: what those say."""

    def __init__(self, order: MetalRow | MetalShot, outlets: Sequence[bool], fed: Sequence[str] = ()) -> None:
        self.order = order
        self.outcome = ""  # done, failed or unknown once it is over
        self.proven_by = -1  # the path whose word it is
        self.value: Any = None  # what it answered
        self._own = [at for at, outlet in enumerate(outlets) if not outlet]
        self._outlets = [at for at, outlet in enumerate(outlets) if outlet]
        self._groups: deque[list[Go]] = deque(self._plan(set(fed)))
        self._open: dict[int, str] = {}  # path -> verb under way
        self._group_failed = False
        self._unproven = False
        self._reasons: list[str] = []

    @property
    def of_power(self) -> bool:
        """Whether it changes the power, or its calls tell of it."""
        return not isinstance(self.order, MetalShot) or self.order.action in OF_POWER

    @property
    def reason(self) -> str:
        """Why it did not go well."""
        return "; ".join(self._reasons) or ("" if self.outcome == "done" else "there is no way to its power")

    def seconds_of(self, verb: str) -> float:
        """The time of one call."""
        order = self.order
        return order.soft_seconds if verb == "soft" and isinstance(order, MetalRow) else order.seconds

    def next(self) -> list[Go]:
        """The calls to begin now; none while some are under way, or when it is over (`outcome` says how)."""
        if self._open or self.outcome:
            return []
        if not self._groups:
            self.outcome = "unknown" if self._unproven else "failed"
            return []
        group = self._groups.popleft()
        self._open = {go.at: go.verb for go in group}
        self._group_failed = False
        return group

    def called(self, at: int, called: Called) -> None:
        """One of its calls is over."""
        verb = self._open.pop(at)
        if called.outcome != "ok":
            self._group_failed = True
            self._reasons += [] if called.text in self._reasons else [called.text]  # it may be asked twice
            self._unproven = self._unproven or called.outcome == "unknown"
        elif verb == "cycle" and at in self._outlets and self._own:
            self._group_failed = self._unproven = True
            self._reasons.append(FED)
        if self._open:
            return
        if not self._group_failed:
            if verb != "feed":
                self.outcome, self.proven_by, self.value = "done", at, called.value
                self._reasons.clear()
            return
        if self._unproven and isinstance(self.order, MetalShot):
            self.outcome = "unknown"
        elif verb == "soft" and called.outcome == "unknown":
            # It was asked, and goes on running: now its power is cut.
            self._groups = deque(self._switch("off"))
            self._unproven = False

    def _plan(self, fed: set[str]) -> list[list[Go]]:
        order = self.order
        if isinstance(order, MetalShot):
            alone = self._outlets if len(self._outlets) == 1 and order.action == "cycle" else []
            return [[self._go(at, ACTIONS[order.action])] for at in (*self._own, *alone)]
        if order.power == "off" and order.soft_seconds:
            return [[self._go(at, "soft")] for at in self._own]
        groups = self._switch(order.power)
        if order.power == "on" and self._own:
            # A BMC behind an outlet that is off does not hear anybody.
            own, feed = groups[: len(self._own)], [self._go(at, "feed") for at in self._outlets]
            return [feed, *own] if "off" in fed else own if fed <= {"on"} else [*own, feed, *own]
        return groups

    def _switch(self, verb: str) -> list[list[Go]]:
        together = [[self._go(at, verb) for at in self._outlets]] if self._outlets else []
        return [[self._go(at, verb)] for at in self._own] + together

    def _go(self, at: int, verb: str) -> Go:
        return Go(at, verb, self.seconds_of(verb))
