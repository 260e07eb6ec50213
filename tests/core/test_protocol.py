"""Versions side by side: this one and its predecessor work together; what is further away is refused in words."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tashi.agent import events
from tashi.agent.greeting import why_unfit
from tashi.model.host import Facts
from tashi.wire.agents import AgentMessage, ControllerMessage, Hello, Rejected, Welcome
from tashi.wire.messages import OLDEST, PROTOCOL
from tests.core.world import Hypervisor, World

pytestmark = pytest.mark.fault(49)

# What version 1 did not know, by message; `guests` are those of an inventory.
NEWER = {
    "hello": ("protocol", "oldest"),
    "inventory": ("wall_seconds",),
    "welcome": ("protocol", "cluster"),
    "guests": ("newest", "guest"),
}
agent_message = msgspec.json.Decoder(AgentMessage).decode
controller_message = msgspec.json.Decoder(ControllerMessage).decode


def as_before(message: Any) -> bytes:
    """A message as the former version says it; and with a word that no version knows."""
    said = json.loads(msgspec.json.encode(message))
    for key in NEWER.get(said["say"], ()):
        said.pop(key, None)
    for guest in [*said.get("guests", []), *([said["seen"]] if "seen" in said else [])]:
        for key in NEWER["guests"]:
            guest.pop(key, None)
    return json.dumps(said | {"of-another-version": 1}).encode()


class Older(Hypervisor):
    """A host whose agent speaks as the version before did, both ways."""

    def deliver(self, message: AgentMessage) -> None:
        super().deliver(agent_message(as_before(message)))

    def happen(self, event: events.Event) -> None:
        if isinstance(event, events.Heard):
            event = events.Heard(controller_message(as_before(event.message)))
        super().happen(event)


@pytest.fixture
def world() -> World:
    """h1 and h2 of this version, h3 of the one before, in a cluster with an id."""
    world = World(hosts=2, cluster="c1")
    world.add_host("h3", Older)
    world.run(3)
    return world


@pytest.mark.fault(49)
def test_an_agent_of_the_former_version_works_beside_one_of_this(world: World) -> None:
    new, old = world.host("h1"), world.host("h3")
    assert (new.mind.memory.cluster, old.mind.memory.cluster) == ("c1", "")
    there, here = world.create("a", host="h3"), world.create("b", host="h1")
    world.ok("vm.migrate", name="a", to="h1")
    world.ok("vm.migrate", name="b", to="h3")
    world.run(3)
    assert (world.vm("a")["host"], world.vm("b")["host"]) == ("h1", "h3")
    assert set(new.guests) == {there["id"]} and set(old.guests) == {here["id"]}
    world.ok("vm.destroy", name="b")
    world.run(3)
    assert world.missing("b") and not old.guests


def test_an_agent_of_the_former_version_starts_again_and_is_known(world: World) -> None:
    world.create("a", host="h3")
    world.host("h3").start()
    world.run(3)
    assert world.vm("a")["state"] == "running"


@pytest.mark.fault(49)
@pytest.mark.parametrize(
    ("protocol", "oldest", "word"),
    [(0, 0, "upgrade the agent"), (PROTOCOL + 2, PROTOCOL + 1, "upgrade the controller"), (PROTOCOL + 1, PROTOCOL, "")],
)
def test_what_is_further_away_is_refused_by_the_controller(world: World, protocol: int, oldest: int, word: str) -> None:
    hello = Hello("h1", "uuid-h1", "boot-1", 9, 0, Facts(8, 2**33), protocol, oldest)
    (back,) = world.cluster.agent_said(world.host("h1").id, "another", hello, world.now()).back
    if word:
        assert isinstance(back, Rejected) and word in back.reason and str(PROTOCOL) in back.reason
    else:
        assert isinstance(back, Welcome) and back.protocol == PROTOCOL


@pytest.mark.fault(49)
def test_what_is_further_away_is_refused_by_the_agent() -> None:
    def welcome(protocol: int, cluster: str = "") -> Welcome:
        return Welcome(1, 1.0, 5, protocol, cluster)

    assert not why_unfit(welcome(PROTOCOL), "c1")
    assert not why_unfit(welcome(OLDEST), "c1"), "it says no cluster yet"
    assert "upgrade the agent" in why_unfit(welcome(PROTOCOL + 1), "")
    assert "upgrade the controller" in why_unfit(welcome(OLDEST - 1), "")
    assert "cluster c2" in why_unfit(welcome(PROTOCOL, "c2"), "c1")
