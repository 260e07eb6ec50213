"""Which agents are silent, of hosts and of hardware networks: not heard for as long as makes one unknown.

Silence is told once, until the agent is back.
"""

from __future__ import annotations

from collections.abc import Mapping

from tashi.core import contact as agents
from tashi.core import metal
from tashi.core.contact import Contact
from tashi.core.state import State
from tashi.core.turn import Turn
from tashi.model.clock import Now


class Silence:
    """``contacts`` are those of the agents that have said hello, by host or zoni agent."""

    def __init__(self, state: State, contacts: Mapping[str, Contact]) -> None:
        self._state, self._contacts = state, contacts
        self._silent: set[str] = set()  # judged so, until their inventory is in
        self._began = 0.0

    def begin(self, now: Now) -> None:
        """The controller has started: nobody was heard before."""
        self._began = now.monotonic

    def heard(self, host: str) -> float:
        """When a host was heard last, in monotonic seconds; not before the controller's start."""
        known = self._contacts.get(host)
        return known.heard if known is not None else self._began

    def is_back(self, host: str) -> None:
        self._silent.discard(host)

    def forget(self) -> None:
        """What was judged is not stored: all are judged again."""
        self._silent.clear()

    def judge(self, turn: Turn) -> None:
        """Say what follows for each enrolled agent that has become silent."""
        for host in list(self._state.hosts.values()):
            seconds = self._seconds(turn, host.id) if host.key else 0.0
            if seconds:
                known = self._contacts.get(host.id)
                if known is not None:
                    known.ready, known.silent = False, True
                agents.silent(turn, host, seconds, known is not None)
        for agent in list(self._state.zoniagents.values()):
            seconds = self._seconds(turn, agent.id) if agent.key else 0.0
            if seconds:
                metal.silent(turn, agent, seconds, agent.id in self._contacts)

    def _seconds(self, turn: Turn, agent: str) -> float:
        """For how long it has been silent, if that is too long and was not judged yet; else 0."""
        seconds = turn.now.monotonic - self.heard(agent)
        if agent in self._silent or seconds <= turn.settings.silence_seconds:
            return 0.0
        self._silent.add(agent)
        return seconds
