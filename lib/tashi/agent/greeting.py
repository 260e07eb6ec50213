"""Whether a controller's welcome is one that this agent may follow."""

from __future__ import annotations

from tashi.wire.agents import Welcome
from tashi.wire.messages import OLDEST, PROTOCOL


def why_unfit(welcome: Welcome, cluster: str) -> str:
    """Why not; empty when it may. ``cluster``: whose agent this is, empty when none has said it yet."""
    if not OLDEST <= welcome.protocol <= PROTOCOL:
        which = "controller" if welcome.protocol < OLDEST else "agent"
        return (
            f"the controller speaks protocol {welcome.protocol}, this agent {OLDEST} to {PROTOCOL}: upgrade the {which}"
        )
    if cluster and welcome.cluster and welcome.cluster != cluster:
        way = "to move the agent there, empty its state folder and enrol it anew"
        return f"this agent belongs to cluster {cluster}, the controller is of cluster {welcome.cluster}: {way}"
    return ""
