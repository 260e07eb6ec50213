"""Placement said the slow and obvious way: ask every filter about every host, add every weight up.

It is the definition. The index has to agree with it on any history, and tests see to that.
"""

from __future__ import annotations

from tashi.sched.demand import Demand
from tashi.sched.filters import Question
from tashi.sched.policy import Policy
from tashi.sched.view import View
from tashi.sched.weights import terms


def choose(view: View, demand: Demand, policy: Policy, wall: float = 0.0) -> str | None:
    """The host with the most points among those that no filter refuses; the first by `turn_of` among equals.

    A host asked for with a fallback is taken whenever it fits.
    """
    question = Question(view, demand, policy, wall)
    fitting = [room for room in view.rooms.values() if question.fits(room)]
    pinned = [room for room in fitting if room.host == demand.pin]
    scored = [
        (-sum(points for _, points in terms(view, room, demand, policy)), room.turn, room.host)
        for room in pinned or fitting
    ]
    return min(scored)[-1] if scored else None
