"""Where frames really go while ports move: our SNMP switch in front of Open vSwitch, whose own word is the witness.

Open vSwitch carries frames here by the letter of 802.1Q, also where that is a leak (lab/peers/switch_flows.py), and
tells by ``ofproto/trace`` where one would leave.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import takewhile

import pytest

from tashi.lab.call import wait_until
from tests.contract import power_peers as peers
from tests.contract.power_rigs import V2C
from tests.contract.switch_rigs import Ovs, SnmpRig, has_ovs
from zoni.switch.interface import Capability, Neighbour
from zoni.switch.plan import Goal, Rules, Want, plan
from zoni.switch.steps import DeviceStep, Open, PortStep

pytestmark = pytest.mark.skipif(not has_ovs(), reason="Open vSwitch is missing (openvswitch-switch)")


@pytest.fixture(scope="module")
def ovs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ovs]:
    ovs = Ovs(tmp_path_factory.mktemp("ovs"))
    ovs.add_bridge("sw1", "fail_mode=secure")
    yield ovs
    ovs.close()


@pytest.fixture(scope="module")
def peer(ovs: Ovs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[peers.Peer]:
    plan = {"name": "sw1", "ports": 4, "community": V2C.community, "ovs": {"run": ovs.run, "bridge": "sw1"}}
    peer = peers.Peer("switch", tmp_path_factory.mktemp("peer"), plan)
    yield peer
    peer.close()


@pytest.fixture
def rig(peer: peers.Peer) -> SnmpRig:
    return SnmpRig(peer)


class Frames:
    """What leaves where: by the port that a broadcast enters, without a tag or with one."""

    def __init__(self, ovs: Ovs) -> None:
        self._ovs = ovs

    def __call__(self, port: str, tag: int = 0) -> list[str]:
        return self._ovs.goes_to("sw1", port, tag)

    def heard_at_p1(self) -> set[int]:
        """The VLANs whose frames a machine at p1 hears, or gets frames into, without a tag: p2 is in 100 and p4 is a
        trunk of 100 and 200."""
        into = ((100, self("p2")), (200, self("p4", 200)))
        heard = {vlan for vlan, frames in into if "p1" in takewhile(lambda word: "push" not in word, frames)}
        said = self("p1")
        return heard | {vlan for vlan in (100, 200) if f"push_vlan(vid={vlan}" in said and said[-1] == "p4"}


@pytest.fixture
def frames(ovs: Ovs) -> Frames:
    return Frames(ovs)


def test_frames_go_where_the_tables_say(rig: SnmpRig, frames: Frames) -> None:
    assert frames("p1") == ["p2", "push_vlan(vid=100", "pcp=0)", "p4"]
    assert frames("p3") == ["p4"] and frames("p4") == ["p3"]
    assert frames("p4", 100) == ["pop_vlan", "p1", "p2"] or frames("p4", 100)[-2:] == ["p1", "p2"]
    assert frames("p1", 200) == frames("p4", 300) == ["drop"]


def test_a_port_that_has_moved_is_heard_there_alone(rig: SnmpRig, frames: Frames) -> None:
    rig.change(p1={"native": 200})
    assert frames.heard_at_p1() == {200}
    rig.change(p1={"native": 0, "tagged": (100,)})
    assert frames.heard_at_p1() == set() and frames("p1", 100)[-1] == "p4"
    rig.change(p1={"native": 100, "tagged": ()})
    assert frames.heard_at_p1() == {100}


def test_a_closed_port_hears_and_says_nothing(rig: SnmpRig, frames: Frames) -> None:
    rig.change(p1={"on": False})
    assert frames.heard_at_p1() == set() and frames("p1") == ["drop"]
    rig.restart()
    assert frames.heard_at_p1() == set(), "it was saved"


def moves(rig: SnmpRig, native: int) -> list[DeviceStep]:
    """The steps of a move, until it would be opened."""
    driver = rig.open(rig.path, 5.0)
    found = plan(driver.look(), Goal(ports={"p1": Want(native, on=True)}), Rules(), frozenset(Capability))
    driver.close()
    return [each.step for each in found if isinstance(each.step, PortStep) and not isinstance(each.step, Open)]


@pytest.mark.fault(40)
@pytest.mark.parametrize("restarts", [False, True])
def test_no_frame_crosses_at_any_step_of_a_move(rig: SnmpRig, frames: Frames, restarts: bool) -> None:
    """Also where the switch starts anew in the middle, and what was not saved is lost."""
    steps, heard = moves(rig, 200), list[set[int]]()
    for dies in (len(steps) - 2, len(steps) - 1) if restarts else [0]:
        again = SnmpRig(rig._peer)
        driver = again.open(again.path, 5.0)
        for at, step in enumerate(steps):
            if at == dies and restarts:
                again.restart()
                assert frames.heard_at_p1() == {100}
            driver.do(step)
            heard.append(frames.heard_at_p1())
            assert len(heard[-1]) <= 1, f"after {step}"
        driver.close()
    assert set() in heard


def test_a_move_in_a_bad_order_is_seen_to_leak(rig: SnmpRig, frames: Frames) -> None:
    """What the switch shows here it would show of a driver's mistake."""
    rig.state(settings=leaking(rig))
    assert frames.heard_at_p1() == {100, 200}


def leaking(rig: SnmpRig) -> dict[str, object]:
    """p1 in two VLANs without a tag, as if it had joined before it left."""
    settings: dict[str, object] = rig.state()["running"]
    vlan = settings["vlans"]["200"]  # type: ignore[index]
    vlan["egress"], vlan["untagged"] = [1, 4], [1]
    return settings


def lldp(source: str, seconds: int = 120) -> str:
    """A frame that names its sender's NIC as chassis and as port (IEEE 802.1AB, 8.5), in hexadecimal."""
    mac = source.replace(":", "")
    said = f"0207 04{mac} 0407 03{mac} 0602 {seconds:04x} 0a02 6d31 0000"
    return ("0180c200000e" + mac + "88cc" + said.replace(" ", "")).ljust(120, "0")


def test_stations_and_neighbours_are_those_that_were_heard(rig: SnmpRig, ovs: Ovs, frames: Frames) -> None:
    near, far = "02:00:00:00:00:21", "02:00:00:00:00:24"

    def heard(mac: str, port: str, vlan: int) -> bool:
        return mac.replace(":", "") in rig.run("macs").get(port, {}).get(vlan, ())

    ovs.appctl("netdev-dummy/receive", "p1", "ffffffffffff" + near.replace(":", "") + "0800" + "00" * 50)
    ovs.appctl("netdev-dummy/receive", "p4", "ffffffffffff" + far.replace(":", "") + "810000c8" + "0800" + "00" * 50)
    wait_until(lambda: heard(near, "p1", 100) and heard(far, "p4", 200), "both are stations")
    rig.state(neighbours={})
    ovs.appctl("netdev-dummy/receive", "p1", lldp(near))
    wait_until(lambda: rig.run("neighbours") == [Neighbour("p1", near, near, "m1")], "its neighbour is heard")
    assert not heard(near, "p4", 100), "LLDP goes no further"
    ovs.appctl("netdev-dummy/receive", "p1", lldp(near, seconds=0))
    wait_until(lambda: rig.run("neighbours") == [], "it has taken its leave")
