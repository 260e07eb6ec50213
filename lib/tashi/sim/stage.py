"""Plays a scene: everything at its second, the invariants after every event, and peace at the end.

A scene has no seed: it is the same each time, because chance is steady in it. When its time is over whatever is still
broken is mended, nothing more is asked, and the cluster has to come to rest; that part is not in the log.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

from tashi.sim.cast import Cast, heal
from tashi.sim.chronicle import Chronicle
from tashi.sim.deed import Unmet
from tashi.sim.scene import Act, Done, Scene, Typed
from tashi.sim.steady import Steady
from tashi.sim.world import Violation, World
from tashi.wire.envelope import Ask

PEACE_SECONDS = 3600.0


class Played(NamedTuple):
    """``violation`` is the invariant that did not hold, empty when all did; ``unmet`` what was expected and not so."""

    log: list[str]
    violation: str
    unmet: list[str]


def play(scene: Scene) -> Played:
    """One scene from its beginning to its rest. Never raises for what happens in it."""
    stage = _Stage(scene)
    violation = ""
    try:
        stage.play()
    except Violation as broken:
        violation = str(broken)
        stage.chronicle.note("VIOLATION", violation)
    return Played(stage.chronicle.lines, violation, stage.unmet)


class _Stage:
    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.world = World(0, chance=Steady(0))
        there = scene.hosts, scene.people, scene.settings
        self.cast = Cast(self.world, *there, plugs=scene.plugs, domains=scene.domains)
        self.chronicle = Chronicle(self.world, self.cast.site, self.cast.devices)
        self.unmet: list[str] = []
        self._cues: list[Act] = []
        self._last: dict[str, str] = {}  # person: id of the last request
        self.world.on_tell = self.chronicle.note
        self.cast.controller.on_commit = self.chronicle.committed
        self.cast.after_event = self._after_event
        self.chronicle.on_line = self._heard

    def play(self) -> None:
        self.cast.set_up()
        self.chronicle.begin()
        for act in self.scene.acts:
            self.world.after(act.at, partial(self._await if act.cue else self._do, act))
        self.cast.until(self.world.seconds + self.scene.seconds)
        self.unmet += [f"{self._where(act)}: no line of the log says that" for act in self._cues]
        self.chronicle.end()
        if not self.scene.unmended:
            heal(self.cast)
            self.cast.come_to_rest(PEACE_SECONDS)

    def _after_event(self) -> None:
        self.chronicle.look()
        self.cast.invariants.check()

    def _await(self, act: Act) -> None:
        self._cues.append(act)

    def _heard(self, line: str) -> None:
        """The log has another line: what waited for it happens."""
        due = [act for act in self._cues if act.cue in line]
        self._cues = [act for act in self._cues if act not in due]
        for act in due:
            self.world.after(act.later, partial(self._do, act))

    def _do(self, act: Act) -> None:
        if isinstance(act.what, Typed):
            self._type(act.what)
            return
        self._act(act, act.what)

    def _act(self, act: Act, what: Done) -> None:
        try:
            what.deed.act(self.cast, self.chronicle, *what.values)
        except Unmet as unmet:
            self.unmet.append(f"{self._where(act)}: {unmet}")
            self.chronicle.note("EXPECTED", f"line {act.line}: {unmet}")

    def _where(self, act: Act) -> str:
        return f"{self.scene.name}:{act.line}: {act.text}"

    # -- people --------------------------------------------------------------------------------------------------------
    def _type(self, typed: Typed) -> None:
        person = self.cast.root if typed.by == "root" else self.cast.people[typed.by]
        self.chronicle.note(f"{typed.by}$", f"{typed.line}{' (again, with the same id)' if typed.again else ''}")
        for ask in typed.asks:
            again = self._last.get(typed.by, "") if typed.again else ""
            then = partial(self._answered, typed, ask)
            self._last[typed.by] = person.ask(ask.verb, ask.body, then, again=again)

    def _answered(self, typed: Typed, ask: Ask, reply: dict[str, Any]) -> None:
        name = str(ask.body.get("name", ""))
        error, ok = reply.get("error"), reply.get("ok") or {}
        if error:
            text = f"{name}: {error['code']}: {error['text'].removeprefix(f'{name}: ')}"
        elif ok.get("dry_run"):
            text = f"{name}: it would be so: {ok.get('placement') or ok.get('note') or 'yes'}"
        else:
            text = f"{name}: accepted as {ok.get('job', '')}{', ' + ok['note'] if ok.get('note') else ''}"
        self.chronicle.note(typed.by, f"is told {text}")
