"""Which ports people mean."""

from __future__ import annotations

import pytest

from tashi.core.port_words import spots
from tashi.core.turn import Turn
from tashi.wire.errors import TashiError
from tests.core.world import World

MAC = "52:54:00:00:00:0"


def turn() -> Turn:
    """m1 has two NICs on two switches, m2 one; m3 hangs on nothing, and s2 is a machine's name, too."""
    world = World(hosts=1)
    v2c = {"version": "v2c", "community": "one of ours"}
    for number in (1, 2):
        world.ok("switch.add", name=f"s{number}", address=f"10.0.2.{number}", snmp=v2c)
    nics = [f"eth0={MAC}1", f"{MAC}2"]
    ports = ["s1:Gi1/0/1,nic=eth0", f"s2:1:7,nic={MAC}2"]
    world.ok("machine.add", name="m1", parts={"nics": nics, "ports": ports})
    world.ok("machine.add", name="m2", parts={"nics": [f"lan={MAC}3"], "ports": ["s1:Gi1/0/2"]})
    world.ok("machine.add", name="m3")
    world.ok("machine.add", name="s2", parts={"nics": [f"eth0={MAC}5"], "ports": ["s1:Gi1/0/3,nic=eth0"]})
    return Turn(world.cluster.state, world.cluster.settings, world.now())


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["s1:Gi1/0/9"], ["s1:Gi1/0/9 -"]),
        (["s1:Gi1/0/1"], ["s1:Gi1/0/1 m1"]),
        (["s-2:1:7"], ["s2:1:7 m1"]),
        (["m1"], ["s1:Gi1/0/1 m1", "s2:1:7 m1"]),
        (["m1:eth0"], ["s1:Gi1/0/1 m1"]),
        ([f"m1:{MAC}1"], ["s1:Gi1/0/1 m1"]),
        ([f"m-1:{MAC}2"], ["s2:1:7 m1"]),
        (["m2:lan"], ["s1:Gi1/0/2 m2"]),
        (["s2:1"], ["s2:1 -"]),
        (["m2", "s1:Gi1/0/2", "m1:eth0"], ["s1:Gi1/0/2 m2", "s1:Gi1/0/1 m1"]),
    ],
)
def test_what_is_meant(words: list[str], meant: list[str]) -> None:
    found = spots(turn(), words)
    assert [f"{each.text} {each.machine.name if each.machine is not None else '-'}" for each in found] == meant


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("x9", "x9: no such machine"),
        ("x9:p1", "x9:p1: no such switch or machine: x9"),
        ("s1", "s1: is a switch: which port?"),
        ("s1:", "s1:: which port?"),
        ("m3", "m3: it is not known on which port of a switch it is"),
        ("m1:eth7", "m1:eth7: it is not known on which port a NIC eth7 of m1 is"),
        ("s2:eth0", "s2:eth0: ambiguous, s2 is a switch and a machine that has a NIC eth0"),
    ],
)
def test_what_is_not_meant_is_told(word: str, text: str) -> None:
    with pytest.raises(TashiError) as caught:
        spots(turn(), [word])
    assert caught.value.text == text and caught.value.hint
