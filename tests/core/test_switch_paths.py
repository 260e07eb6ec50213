"""Switches as records, and as their drivers take them."""

from __future__ import annotations

from typing import Any

import pytest

from tashi.core import paths
from tests.core.world import World
from zoni.switch.paths import read_path

V3 = {"user": "zoni", "auth_password": "eight characters", "privacy_password": "and as many"}


@pytest.mark.parametrize(
    ("said", "where", "plain"),
    [
        ({"address": "10.0.2.1", "snmp": V3}, "switch 10.0.2.1", {"model": "standard", "port": 161}),
        (
            {"address": "10.0.2.1", "model": "radlan", "port": 1161, "snmp": {"version": "v2c", "community": "ours"}},
            "switch 10.0.2.1 port 1161",
            {"model": "radlan", "access": {"version": "v2c", "community": "ours"}},
        ),
        ({"address": "br0", "driver": "ovs"}, "ovs br0", {"driver": "ovs", "bridge": "br0"}),
        ({"address": "br0", "driver": "linux-bridge"}, "bridge br0", {"driver": "linux-bridge"}),
        ({"address": "/srv/world/sw1", "driver": "fake"}, "fake sw1", {"world": "/srv/world", "switch": "sw1"}),
    ],
)
def test_a_record_is_what_its_driver_takes(said: dict[str, Any], where: str, plain: dict[str, Any]) -> None:
    world = World(hosts=1)
    world.ok("switch.add", name="s1", **said)
    (switch,) = world.cluster.state.switches.values()
    assert world.cluster.vault is not None
    path = paths.switch_path(world.cluster.state, world.cluster.vault, switch)
    assert path | plain == path
    assert read_path(path).where == where
