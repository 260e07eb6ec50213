"""What is asked of switches alone, in a zoni agent's mind: questions, and changes that are done at most once.

A question that was lost with the agent is asked again. A change is written down before it is begun; an interrupted one
may have been done, and nobody does it again.
"""

from __future__ import annotations

import msgspec

from tashi.agent.desk import Desk, Doing
from tashi.agent.events import Called
from tashi.agent.shots import OUTCOMES, Shots
from tashi.model.shorten import shorten
from tashi.wire.agents import ShotDone
from tashi.wire.zoni import SwitchShot

SWITCH = "switch"  # the verb of all its calls, as the desk has it
QUESTIONS = ("look", "macs", "neighbours", "probe", "plan")


class Switches:
    def __init__(self, desk: Desk, shots: Shots) -> None:
        self._desk, self._shots = desk, shots
        self._asked: set[str] = set()  # questions under way

    def shot(self, shot: SwitchShot) -> None:
        """Begin it, unless it was begun before."""
        if shot.action in QUESTIONS:
            if shot.job in self._asked or self._desk.memory.is_telling(shot.job):
                return
            self._asked.add(shot.job)
        elif not self._shots.begins(shot.job, "", 0):
            return
        args = shot.args | {"switch": shot.path, "seconds": shot.seconds}
        self._desk.call(shot.action, args, shot.seconds, Doing(SWITCH, job=shot.job))

    def called(self, job: str, called: Called) -> None:
        """Its call is over."""
        result = {"answer": msgspec.json.encode(called.value).decode()} if called.outcome == "ok" else {}
        done = ShotDone(job, OUTCOMES[called.outcome], shorten(called.text, 200), result)
        if job in self._asked:
            self._asked.discard(job)
            self._desk.tell(shot=done)
        else:
            self._shots.over(done)
