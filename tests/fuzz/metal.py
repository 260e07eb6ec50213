"""What is fuzzed of the conversation between a controller and its zoni agents: each reads what the other wrote, and
what the other says may come from a device that lies."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from typing import Any

import msgspec

from tashi.agent import events
from tashi.agent.consoles import CONSOLE, CUT
from tashi.agent.metal import Metal
from tashi.wire import zoni
from tashi.wire.errors import Code
from tests.core.hardware import Network, wire_up
from tests.core.world import World
from zoni.agent import where
from zoni.calls import read_args
from zoni.outcome import DeviceError
from zoni.power import calls as power
from zoni.power.paths import read_path
from zoni.switch import calls as switch
from zoni.switch.paths import read_path as read_switch

HELLO = zoni.MetalHello("net1", "uuid-net1", "boot-1", 7, 1, 2, 1)
LYING = "x" * 300 + "\x1b[31m\ud7ff"  # of a device that says more of itself than anybody asked
KINDS = ("machine", "job", "zoniagent", "reservation", "domain")
ANSWERS: tuple[tuple[str, Any, str], ...] = (
    ("ok", {"power": "on", "identity": {"uuid": LYING, "serial": LYING}, "changed": True}, ""),
    ("unknown", None, ""),
    ("failed", None, Code.UNAVAILABLE),
    ("ok", {"power": "off", "identity": {}, "changed": False}, ""),
    ("failed", None, Code.CONFLICT),
)


@cache
def hall() -> World:
    """Two machines: m1 is on its way into a domain, its port being opened, m2 is asked how it is and what it reads."""
    made = World(0)
    made.run(3)
    made.ok("user.add", name="anna", uid=1000)
    made.ok("switch.add", name="s1", driver="ovs", address="s1")
    made.ok("pdu.add", name="p1", address="10.0.1.1", model="apc-rpdu", snmp={"version": "v2c", "community": "one"})
    for number in (1, 2):
        ways = [f"ipmi:10.0.0.{number}", f"pdu:p1:{number}"]
        parts = {"power_paths": ways, "user": "ADMIN", "password": "hush", "ports": [f"s1:{number}"]}
        made.ok("machine.add", name=f"m{number}", parts=parts)
    network: Network = wire_up(made)
    made.ok("domain.create", name="red", vlans=[100], user="anna")
    made.ok("machine.reserve", machines=["m1"], user="anna", until_wall=made.now().wall + 1e6)
    network.holding |= {"change", "power", "sensors"}
    made.ok("machine.allocate", name="m1", domain="red")
    made.ok("machine.power", name="m2", action="look")
    made.ok("machine.sensors", name="m2")
    made.run(1)
    assert len(made.cluster.state.jobs) == 3, made.cluster.state.jobs
    made.cluster.durable()
    return made


def metal_report(data: bytes) -> None:
    """What a zoni agent says after its hello, a message a line: what the controller then says can be said."""
    cluster, now = hall().cluster, hall().now()
    agent = next(iter(cluster.state.zoniagents))
    mark = cluster.mark()
    for line in [msgspec.json.encode(HELLO), *data.split(b"\n")]:
        try:
            said = msgspec.json.decode(line, type=zoni.MetalMessage)
        except (ValueError, RecursionError):
            continue
        decision = cluster.agent_said(agent, "here", said, now)
        assert not decision.fault, decision.fault
        for entry in decision.log:
            assert json.loads(entry.value)["kind"] in KINDS, entry
        for message in (*decision.back, *(message for _, message in decision.effects)):
            msgspec.json.decode(msgspec.json.encode(message), type=zoni.MetalOrder)
    cluster.rollback(mark)


def metal_order(data: bytes) -> None:
    """What a controller tells a zoni agent, a message a line: what the agent then asks devices is asked of a driver or
    refused, and what it writes and says can be written and said."""
    who, now = events.Identity("net1", "uuid-net1", "boot-1", 1), hall().now()
    mind = Metal([], who, where)
    journal: list[dict[str, Any]] = []
    coming: list[events.Event] = [events.Connected()]
    for line in data.split(b"\n"):
        with suppress(ValueError, RecursionError):
            coming.append(events.Heard(msgspec.json.decode(line, type=zoni.MetalOrder)))
    while coming:
        steps = mind.step(coming.pop(0), now)
        journal += steps.journal
        for message in steps.messages:
            msgspec.json.decode(msgspec.json.encode(message), type=zoni.MetalMessage)
        coming += [called(call) for call in steps.calls]
        assert len(coming) < 2000, "an agent that never comes to rest"
    Metal(json.loads(json.dumps(journal)), who, where)


def called(call: events.Call) -> events.Called:
    """A call, taken as the agent and its worker take it, up to where a driver is opened; how it ends goes by turns."""
    args = json.loads(json.dumps(call.args))
    assert isinstance(args["seconds"], float)
    try:
        if call.verb == CUT:
            return events.Called(args["console"], "failed", None, args["reason"], args["code"])
        if call.verb == CONSOLE:
            assert read_path(args["path"]).device
            return events.Called(call.id, "ok")
        if "switch" in args:
            path: Any = read_switch(args.pop("switch"))
            table = switch.CALLS
        else:
            assert isinstance(args.pop("rack"), str) and isinstance(args.pop("fresh"), bool)
            path = read_path(args.pop("path"))
            table = power.CALLS
        assert path.device and path.where
        read_args(table, call.verb, {"path": msgspec.to_builtins(path)} | args)
    except (ValueError, DeviceError) as error:
        return events.Called(call.id, "failed", None, str(error), Code.BAD_REQUEST)
    outcome, value, code = ANSWERS[call.id % len(ANSWERS)]
    if call.verb == "power" and value is not None:
        value = value["power"]
    return events.Called(call.id, outcome, value, LYING if outcome != "ok" else "", code)
