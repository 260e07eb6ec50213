"""What an agent's heartbeat says of its own health: of several troubles the one that stops the most."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tashi.run import agent
from tashi.run.enroll import Enrolled, Place
from tashi.run.keys import new_pair
from tashi.run.log import Log
from tashi.run.outbox import Outbox
from tashi.wire.zoni import MetalBeat

PLACE = Place("agent", "zoni-agents add", "zoni-agent", "zoniagent.enroll", "agent")


class Quiet:
    """A loop that nothing happens in, and a link that keeps what is sent."""

    def __init__(self, *_: Any) -> None:
        self.sent: list[bytes] = []
        self.send = self.sent.append
        self.stop = lambda: None

    def on_signal(self, number: int, call: Callable[[], None]) -> None:
        pass


@pytest.mark.parametrize(
    ("journal", "mind", "main", "told"),
    [
        ("", "", "", ""),
        ("", "", "2 workers hang", "2 workers hang"),
        ("disk full", "", "2 workers hang", "journal: disk full"),
        ("disk full", "hypervisor: gone", "2 workers hang", "hypervisor: gone"),
    ],
)
def test_one_trouble_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, journal: str, mind: str, main: str, told: str
) -> None:
    monkeypatch.setattr(agent, "Link", Quiet)
    own = agent.Own(json.loads, lambda call: None, lambda: main)
    me = Enrolled("net1", (), new_pair())
    outbox = Outbox(str(tmp_path / "journal"))
    made = agent.Agent(Quiet(), Log("test"), outbox, str(tmp_path), PLACE, me, own)  # type: ignore[arg-type]
    made._journal_trouble = journal
    made.send(MetalBeat(mind))
    outbox.close()
    (sent,) = made._link.sent  # type: ignore[attr-defined]
    assert json.loads(sent).get("degraded", "") == told
