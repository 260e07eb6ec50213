"""tashi-check finds what is broken on purpose, one thing at a time, and says what helps."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from tashi.core.cluster import Principal
from tashi.model.vm import Leftover
from tashi.sched.demand import Demand
from tashi.wire.agents import Beat
from tashi.wire.messages import ServerKey
from tashi.wire.zoni import MetalBeat
from tests.core.hardware import Network, wire_up
from tests.core.test_divergence import status
from tests.core.test_protocol import Older
from tests.core.world import World


def found(world: World) -> list[tuple[str, str, str, str]]:
    return [(row["kind"], row["name"], row["what"], row["help"]) for row in world.rows("finding")]


def vm(world: World, **changes: Any) -> None:
    state = world.cluster.state
    record = state.vms[world.vm("web")["id"]]
    state.put("vm", record.id, replace(record, **changes))


def silent(world: World) -> None:
    world.host("h2").up = False
    world.run(10)


def degraded(world: World) -> None:
    host = world.host("h2")
    host.deliver(Beat("its disk is full"))


def old(world: World) -> None:
    world.add_host("h9", Older)
    world.run(3)


def unpaid(world: World) -> None:
    world.cluster.state.index.claim(world.host("h2").id, Demand(3, 0))


def clock(world: World) -> None:
    world.cluster.contacts[world.host("h2").id].clock_ahead = -90.0


def stray(world: World) -> None:
    world.host("h1").gets_stray("v-9", of="web")


def job(world: World) -> None:
    world.host("h1").holding.add("press_power_button")
    world.decide("vm.shutdown", name="web")
    world.cluster.state.put("vm", world.vm("web")["id"], None)


BROKEN: dict[str, tuple[Callable[[World], object], tuple[str, str, str, str]]] = {
    "silent": (silent, ("host", "h2", "silent since", "systemctl status tashi-agent")),
    "degraded": (degraded, ("host", "h2", "its disk is full", "mend that on h2")),
    "not enrolled": (lambda world: world.decide("host.add", name="h9"), ("host", "h9", "not enrolled", "--enroll")),
    "old agent": (old, ("host", "h9", "protocol 1", "upgrade tashi-agent on h9")),
    "clock": (clock, ("host", "h2", "1m30s behind", "set-ntp")),
    "index": (unpaid, ("host", "h2", "3 cores", "report")),
    "no host": (lambda world: vm(world, leftovers={"h-77": Leftover(1)}), ("vm", "web", "h-77 has no", "report")),
    "no image": (lambda world: vm(world, image="i-77"), ("vm", "web", "i-77 has no record", "report")),
    "no job": (lambda world: vm(world, job="j-77"), ("vm", "web", "locked by j-77", "report")),
    "job of nothing": (job, ("job", "web", "is gone", "tjob-cancel")),
    "pool": (lambda world: vm(world, disk_bytes=2**50), ("pool", "pool", "promised of", "larger")),
    "stray": (stray, ("vm", "stray-v-9", "stray", "tashi-adopt")),
}


@pytest.fixture
def world() -> World:
    world = World()
    world.create("web", host="h1")
    return world


def test_a_healthy_cluster_has_nothing_wrong(world: World) -> None:
    world.run(70)
    assert found(world) == []


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_is_found(world: World, what: str) -> None:
    break_it, expected = BROKEN[what]
    break_it(world)
    told = found(world)
    assert any(all(word in said for word, said in zip(expected, line, strict=True)) for line in told), told


# -- physical machines ------------------------------------------------------------------------------------------------
DAY = 86_400.0


class Metal(World):
    """m1, on a port of a switch, and a zoni agent."""

    def __init__(self) -> None:
        super().__init__(0)
        self.ok("switch.add", name="s1", driver="ovs", address="s1")
        parts = {"power_paths": ["ipmi:10.0.0.1"], "ports": ["s1:1"], "user": "ADMIN", "password": "hush"}
        self.ok("machine.add", name="m1", parts=parts)
        self.network: Network = wire_up(self)
        self.ok("domain.create", name="red", vlans=[100])
        self.ok("machine.reserve", machines=["m1"], until_wall=self.now().wall + DAY)
        self.run(30)


def unheard(world: Metal) -> None:
    world.network.up = False
    world.run(10)


def quarantined(world: Metal) -> None:
    world.network.faults["change s1"] = ("unknown", "unavailable")
    world.ok("machine.allocate", name="m1", domain="red")


def drifted(world: Metal) -> None:
    world.ok("machine.power", name="m1", action="on")
    world.network.power["10.0.0.1"] = "off"
    world.run(60)


def mute(world: Metal) -> None:
    world.network.faults["10.0.0.1"] = ("failed", "unavailable")
    world.run(60)


def lost_key(world: Metal) -> None:
    ident, secret = next(iter(world.cluster.state.secrets.items()))
    world.cluster.state.secrets[ident] = replace(secret, sealed=secret.sealed[:-8] + "AAAAAAAA")


BROKEN_METAL: dict[str, tuple[Callable[[Metal], object], tuple[str, str, str, str]]] = {
    "silent": (unheard, ("zoniagent", "net1", "silent since", "systemctl status zoni-agent")),
    "degraded": (
        lambda world: world.network.deliver(MetalBeat(degraded="2 workers hang")),  # type: ignore[arg-type]
        ("zoniagent", "net1", "degraded: 2 workers hang", "mend that"),
    ),
    "not enrolled": (
        lambda world: world.ok("zoniagent.add", name="net2"),
        ("zoniagent", "net2", "not enrolled", "zoni-agents add net2"),
    ),
    "nobody's": (
        lambda world: world.ok("zoniagent.add", name="net2"),
        ("machine", "m1", "no zoni agent is named for it", "zoni-set m1 --agent"),
    ),
    "without an agent": (
        lambda world: world.ok("zoniagent.remove", name="net1"),
        ("machine", "m1", "there is no zoni agent for it", "zoni-agents add NAME"),
    ),
    "quarantine": (quarantined, ("machine", "m1", "in quarantine: ", "zoni-why m1")),
    "drift": (drifted, ("machine", "m1", "on was asked for", "zoni-power on m1")),
    "mute": (mute, ("machine", "m1", "its power is unknown: ipmi 10.0.0.1", "zoni-power status m1")),
    "no key": (lost_key, ("machine", "m1", "passwords can't be read", "zoni-set m1 --password-file")),
}


@pytest.mark.parametrize("what", BROKEN_METAL)
def test_what_is_broken_of_machines_is_found(what: str) -> None:
    world = Metal()
    assert found(world) == []
    break_it, expected = BROKEN_METAL[what]
    break_it(world)
    told = found(world)
    assert any(all(word in said for word, said in zip(expected, line, strict=True)) for line in told), told


def test_a_zoni_agent_that_has_not_come_with_the_next_key_is_found() -> None:
    world = Metal()
    keys = tuple(ServerKey(letter * 40, port) for letter, port in (("n", 7), ("o", 8)))
    world.cluster.settings = world.cluster.settings._replace(server_keys=keys)
    assert ("zoniagent", "net1", "it has not come with the controller's next key yet") in [
        each[:3] for each in found(world)
    ]


def test_who_is_not_heard_is_in_the_status() -> None:
    world = Metal()
    assert status(world)["zoni_unknown"] == []
    unheard(world)
    assert status(world)["zoni_unknown"] == ["net1"]


def test_it_is_for_operators(world: World) -> None:
    decision = world.decide("list", Principal("ann", "user"), noun="finding")
    assert decision.reply is not None and decision.reply.error is not None
    assert decision.reply.error.code == "denied"
    assert json.loads(bytes(decision.reply.ok or b"null")) is None
