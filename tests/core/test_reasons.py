"""The reason given with --reason is in the change log, whatever is asked for."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from tashi.core import verbs
from tashi.wire.messages import Request
from tests.core.hardware import wire_up
from tests.core.test_verbs import BODIES
from tests.core.world import ROOT, World

PLACES: dict[str, dict[str, Any]] = {
    "vm.start": {"name": "off"},
    "vm.place": {"name": "aside", "host": "h2"},
    "job.cancel": {"name": "j-12"},
    "host.remove": {"name": "h3"},
    "image.remove": {"name": "spare"},
    "user.remove": {"name": "bob"},
    "user.set": {"name": "ann"},
    "user.enroll": {"name": "ann"},
    "group.remove": {"name": "lab"},
}


def ready() -> World:
    world = World(3)
    world.create("web", host="h1")
    world.create("off", host="h1")
    world.ok("vm.shutdown", name="off")
    world.create("aside", place=False)
    world.ok("image.add", name="spare", path="images/spare.raw", format="raw")
    world.ok("user.add", name="ann", uid=5, key="a" * 40)
    world.ok("user.add", name="bob", uid=6)
    world.ok("group.set", name="lab")
    world.hardware()
    world.leases("ann")
    world.ok("machine.set", name="m1", parts={"power_paths": ["ipmi:10.0.0.1"]})
    world.ok("machine.set", name="leased-0", parts={"power_paths": ["ipmi:10.0.0.3"], "ports": ["s2:1"]})
    wire_up(world)
    return world


@pytest.mark.parametrize("verb", [name for name, each in verbs.VERBS.items() if each.act and each.role != "enroll"])
def test_why(verb: str) -> None:
    world = ready()
    body = PLACES.get(verb, BODIES[verb])
    if verb == "job.cancel":
        world.host("h1").holding.add("press_power_button")
        body = {"name": world.ok("vm.shutdown", name="web").job}
    if verb == "host.resume":
        world.ok("host.drain", name="h1")
    if verb == "host.confirm-off":
        world.host("h1").up = False
        world.run(7)
    if verb in ("adopt", "forget"):
        world.host("h1").gets_stray("v-99", of="web")
    raw = Request("request-why", verb, msgspec.Raw(json.dumps(body).encode()), why="because")
    decision = world.cluster.request(ROOT, raw, None, world.now())
    assert decision.reply is not None and decision.reply.error is None, decision.reply
    entries = [json.loads(entry.value) for entry in decision.log]
    assert entries
    begun = [entry for entry in entries if entry["verb"] == verb]
    assert begun and {entry["why"] for entry in begun} == {"because"}
