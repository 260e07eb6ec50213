"""Life cycles: every pair that the tables do not name is refused, by object, state and event."""

from __future__ import annotations

import itertools
import re

import pytest

from tashi.core import life
from tashi.model.host import HostState
from tashi.model.job import JobState
from tashi.model.vm import VmState
from tashi.wire.errors import Code, Refused

STATES = {"vm": list(VmState), "host": list(HostState), "job": list(JobState)}
PAIRS = [
    (kind, state, event)
    for kind in life.TABLES
    for state, event in itertools.product(life.TABLES[kind], life.events(kind))
]


@pytest.mark.parametrize(
    ("kind", "state", "event"), [pair for pair in PAIRS if pair[2] not in life.TABLES[pair[0]][pair[1]]]
)
def test_an_illegal_pair_is_refused_and_says_why(kind: str, state: str, event: str) -> None:
    with pytest.raises(Refused) as refused:
        life.step(kind, state, event, "web")
    assert refused.value.code is Code.WRONG_STATE
    for word in ("web", state, event):
        assert word in refused.value.text


@pytest.mark.parametrize("kind", list(life.TABLES))
def test_the_tables_name_every_state_and_lead_only_to_states(kind: str) -> None:
    assert set(life.TABLES[kind]) == {state.value for state in STATES[kind]}
    for row in life.TABLES[kind].values():
        assert set(row.values()) <= set(life.TABLES[kind]) | {"gone"}


@pytest.mark.parametrize("kind", list(life.TABLES))
def test_the_drawing_shows_every_transition_and_fits_a_terminal(kind: str) -> None:
    text = life.draw(kind)
    assert max(map(len, text.splitlines())) <= 76
    paragraphs = re.split(r"\n(?=\S)", text)
    for paragraph, (state, row) in zip(paragraphs, life.TABLES[kind].items(), strict=True):
        words = " ".join(paragraph.split())
        assert words == f"{state} " + (", ".join(f"{event} -> {after}" for event, after in row.items()) or "(the end)")


def test_an_operation_that_ended_has_no_way_on() -> None:
    for state in ("done", "failed", "cancelled"):
        assert not life.TABLES["job"][state]
