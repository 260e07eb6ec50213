"""What every switch driver promises, held against the fake, against a switch that speaks SNMP, and Open vSwitch."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from tashi.wire.errors import Code
from tests.contract import power_peers as peers
from tests.contract.power_rigs import V2C
from tests.contract.switch_rigs import (
    BASE_MAC,
    NAMES,
    NEIGHBOUR,
    PORTS,
    STATION,
    BridgeRig,
    FakeRig,
    Ovs,
    OvsRig,
    Rig,
    SnmpRig,
    has_ovs,
    lacks_bridges,
    refused,
    unproven,
)
from zoni.outcome import Unproven
from zoni.switch import change
from zoni.switch.fake import Fault
from zoni.switch.interface import Capability
from zoni.switch.plan import Rules
from zoni.switch.steps import Label, Open

needs_bridges = pytest.mark.skipif(bool(lacks_bridges()), reason=lacks_bridges())
needs_ovs = pytest.mark.skipif(not has_ovs(), reason="Open vSwitch is missing (openvswitch-switch)")


NUMBERS = count(1)


class Programs:
    """The peers, each started when it is first wanted."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._running = folder, list[peers.Peer | Ovs]()
        self.switch = cache(self._start_switch)
        self.ovs = cache(self._start_ovs)

    def _start_switch(self) -> peers.Peer:
        peer = peers.Peer("switch", self._folder, {"name": "sw1", "ports": 4, "community": V2C.community})
        self._running.append(peer)
        return peer

    def _start_ovs(self) -> Ovs:
        folder = self._folder / "ovs"
        folder.mkdir()
        ovs = Ovs(folder)
        self._running.append(ovs)
        return ovs

    def close(self) -> None:
        for program in reversed(self._running):
            program.close()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    programs = Programs(tmp_path_factory.mktemp("switches"))
    yield programs
    programs.close()


RIGS: dict[str, tuple[type[Rig], list[pytest.MarkDecorator]]] = {
    "memory": (FakeRig, []),
    "snmp": (SnmpRig, []),
    "ovs": (OvsRig, [needs_ovs]),
    "linux-bridge": (BridgeRig, [needs_bridges]),
}


def on(capability: Capability | None = None, fault: str = "") -> pytest.MarkDecorator:
    """Run a test on every rig that can do so and can be made so."""
    found = [
        pytest.param(name, marks=marks)
        for name, (rig, marks) in RIGS.items()
        if (capability is None or capability in rig.can) and (not fault or fault in rig.faults)
    ]
    assert found
    return pytest.mark.parametrize("rig", found, indirect=True)


@pytest.fixture
def rig(request: pytest.FixtureRequest, programs: Programs, tmp_path: Path) -> Iterator[Rig]:
    match request.param:
        case "memory":
            rig: Rig = FakeRig(tmp_path)
        case "snmp":
            rig = SnmpRig(programs.switch())
        case "linux-bridge":
            rig = BridgeRig(next(NUMBERS))
        case _:
            rig = OvsRig(programs.ovs())
    yield rig
    rig.close()


class TestLooking:
    @on()
    def test_ports_are_told_as_they_are(self, rig: Rig) -> None:
        seen = rig.run("look")
        assert (
            {name: replace(port, up=None, speed_mbps=None) for name, port in seen.ports.items()} == rig.truth() == PORTS
        )
        assert set(seen.vlans) == set(NAMES)
        assert [port.mode for port in seen.ports.values()] == ["access", "access", "access", "trunk"]

    @on(Capability.VLANS)
    def test_vlans_have_names(self, rig: Rig) -> None:
        assert rig.run("look").vlans == rig.names() == NAMES

    @on()
    def test_which_switch_it_is(self, rig: Rig) -> None:
        probed = rig.run("probe")
        assert (probed.identity.name, probed.identity.base_mac, probed.doors) == ("sw1", BASE_MAC, [])
        assert set(probed.capabilities) == rig.can
        assert probed.identity.models == (("lab",) if isinstance(rig, SnmpRig) else ())

    def test_a_factory_s_community_is_a_door_that_stands_open(self, tmp_path: Path) -> None:
        peer = peers.Peer("switch", tmp_path, {"name": "sw1", "ports": 4, "community": "private"})
        try:
            assert SnmpRig(peer).run("probe").doors == ["answers to the factory's community private"]
        finally:
            peer.close()

    @on(Capability.MACS)
    def test_stations(self, rig: Rig) -> None:
        assert rig.run("macs") == {STATION.port: {STATION.vlan: [STATION.mac.replace(":", "")]}}

    @on(Capability.NEIGHBOURS)
    def test_neighbours(self, rig: Rig) -> None:
        assert rig.run("neighbours") == [NEIGHBOUR]

    @on()
    def test_what_it_can_not_it_says(self, rig: Rig) -> None:
        for verb, capability in (("neighbours", Capability.NEIGHBOURS), ("save", Capability.SAVE)):
            if capability not in rig.can:
                assert refused(rig, verb).code is Code.IMPOSSIBLE


class TestChanging:
    @on()
    def test_a_port_moves_and_no_other(self, rig: Rig) -> None:
        changed = rig.change(p1={"native": 200})
        assert changed.ports["p1"].untagged == (200,)
        assert rig.truth() == PORTS | {"p1": replace(PORTS["p1"], native=200, untagged=(200,))}
        assert rig.native("p1") == 200

    @on()
    def test_it_tells_which_switch_it_changed_and_another_is_not_changed(self, rig: Rig) -> None:
        move = {"ports": {"p1": {"native": 200}}}
        for verb in ("plan", "change"):
            error = refused(rig, verb, goal=move, base_mac="02:00:00:00:00:99")
            assert error.code is Code.CONFLICT and f"is another switch ({BASE_MAC})" in error.text
        assert rig.truth() == PORTS and rig.asked() == 0
        assert rig.run("change", goal=move, base_mac="").base_mac == BASE_MAC

    @on()
    def test_a_change_is_taken_back_by_what_it_told(self, rig: Rig) -> None:
        changed = rig.change(p1={"native": 200, "join": [100]}, p4={"leave": [100]}, p3={"on": False})
        assert rig.truth() != PORTS
        rig.run("change", goal=msgspec.to_builtins(changed.back))
        assert rig.truth() == PORTS

    @on()
    def test_a_plan_is_told_and_nothing_is_done(self, rig: Rig) -> None:
        told = rig.run("plan", goal={"ports": {"p1": {"native": 200}}})
        steps = [each.step for each in told]
        assert steps[0] == "close p1" and told[0].undo == "open p1"
        assert steps.index("take p1 out of VLAN 100") < steps.index("put p1 into VLAN 200, untagged")
        assert steps.index("put p1 into VLAN 200, untagged") < steps.index("read back") < steps.index("open p1")
        assert ("save to the start-up configuration" in steps) == (Capability.SAVE in rig.can)
        assert rig.truth() == PORTS and rig.asked() == 0
        assert rig.change(p1={"native": 200}).steps == steps

    @pytest.mark.fault(43)
    @on()
    def test_what_is_so_already_is_not_done_again(self, rig: Rig) -> None:
        assert rig.change(p1={"native": 200, "on": True}).changed
        truth = rig.truth()
        saves = ["save to the start-up configuration"] if Capability.SAVE in rig.can else []
        for _ in range(3):
            again = rig.change(p1={"native": 200, "on": True})
            assert (again.steps, again.changed) == (saves, False)
        assert rig.truth() == truth

    @on()
    def test_tagged_vlans_come_and_go(self, rig: Rig) -> None:
        rig.change(p4={"tagged": (100,)}, p1={"tagged": (200,)})
        assert rig.truth()["p4"] == replace(PORTS["p4"], tagged=(100,))
        assert rig.truth()["p1"] == replace(PORTS["p1"], tagged=(200,))
        rig.change(p4={"tagged": (100, 200)}, p1={"tagged": ()})
        assert rig.truth() == PORTS

    @on()
    def test_a_tagged_vlan_becomes_the_native_one(self, rig: Rig) -> None:
        rig.change(p4={"native": 200, "tagged": (1, 100)})
        assert rig.truth()["p4"] == replace(PORTS["p4"], native=200, untagged=(200,), tagged=(1, 100))

    @on()
    def test_a_port_may_be_in_no_vlan(self, rig: Rig) -> None:
        rig.change(p1={"native": 0}, p4={"native": 0})
        assert rig.run("look").ports["p1"].mode == "none"
        assert rig.truth()["p1"].untagged == rig.truth()["p1"].tagged == ()
        assert rig.truth()["p4"] == replace(PORTS["p4"], native=0, untagged=())
        rig.change(p1={"native": 100}, p4={"native": 1})
        assert rig.truth() == PORTS

    @on()
    def test_a_port_is_closed_and_opened(self, rig: Rig) -> None:
        for on in (False, True):
            assert rig.change(p2={"on": on}).ports["p2"].on == on
            assert rig.truth() == PORTS | {"p2": replace(PORTS["p2"], on=on)}

    @on()
    def test_a_closed_port_moves_and_stays_closed(self, rig: Rig) -> None:
        assert rig.run("close", ports=["p1"]).ports == ["p1"]
        rig.change(p1={"native": 200})
        assert rig.truth()["p1"] == replace(PORTS["p1"], on=False, native=200, untagged=(200,))

    @on(Capability.LABEL)
    def test_labels(self, rig: Rig) -> None:
        for label in ("m-1 rack 3, unit 7", ""):
            rig.change(p3={"label": label})
            assert rig.truth() == PORTS | {"p3": replace(PORTS["p3"], label=label)}
            assert rig.run("look").ports["p3"].label == label

    @on(Capability.VLANS)
    def test_vlans_are_made_and_destroyed(self, rig: Rig) -> None:
        rig.change({300: "green"}, p1={"native": 300}, p2={"native": 300}, p3={"tagged": (300,)})
        assert rig.names() == NAMES | {300: "green"}
        assert [rig.native(port) for port in ("p1", "p2", "p3")] == [300, 300, 1]
        assert refused(rig, "change", goal={"gone": (300,)}).text.endswith("VLAN 300 is in use by p1, p2, p3")
        rig.change(gone=(300,), p1={"native": 100}, p2={"native": 100}, p3={"tagged": ()})
        assert (rig.names(), rig.truth()) == (NAMES, PORTS)

    @on(Capability.SAVE)
    def test_a_change_is_there_after_a_restart(self, rig: Rig) -> None:
        rig.change({300: "green"}, p1={"native": 300})
        truth = rig.truth()
        rig.restart()
        assert (rig.truth(), rig.names()) == (truth, NAMES | {300: "green"})
        assert rig.run("look").uptime_seconds < 900

    @on(Capability.SAVE)
    def test_a_change_that_was_not_saved_is_when_it_is_asked_for_again(self, rig: Rig) -> None:
        """Whoever asked for it first may have died before; nobody can see that."""
        driver = rig.open(rig.path, 5.0)
        driver.do(Label("p3", "m-1"))
        driver.close()
        rig.change(p3={"label": "m-1"})
        rig.restart()
        assert rig.truth()["p3"].label == "m-1"

    @pytest.mark.parametrize(
        ("goal", "rules", "code"),
        [
            ({"ports": {"p1": {"native": 4095}}}, Rules(), Code.BAD_REQUEST),
            ({"ports": {"p1": {"native": 1003}}}, Rules(), Code.IMPOSSIBLE),
            ({"ports": {"p1": {"native": 200}}}, Rules("red", {200: "blue"}), Code.CONFLICT),
            ({"ports": {"p9": {"native": 200}}}, Rules(), Code.NOT_FOUND),
            ({"ports": {"p4": {"native": 200}}}, Rules(uplinks=("p4",)), Code.BAD_REQUEST),
            ({"ports": {"p4": {"native": 200, "tagged": []}}}, Rules(uplinks=("p4",)), Code.WRONG_STATE),
            ({"ports": {"p1": {"label": "\x1b[2J"}}}, Rules(), Code.BAD_REQUEST),
            ({"gone": (100,)}, Rules(), Code.WRONG_STATE),
        ],
    )
    @on()
    def test_what_must_not_be_is_refused(self, rig: Rig, goal: dict[str, Any], rules: Rules, code: Code) -> None:
        if goal.get("gone") and Capability.VLANS not in rig.can:
            pytest.skip("a VLAN is there as long as a port is in it")
        assert refused(rig, "change", goal=goal, rules=rules).code is code
        assert rig.truth() == PORTS and rig.asked() == 0


class TestFaults:
    @pytest.mark.fault(40)
    @pytest.mark.attack(31)
    @pytest.mark.parametrize("call", ["join", "leave", "native"])
    @on(fault="ignores")
    def test_what_is_acknowledged_and_not_done_closes_the_port(self, rig: Rig, call: str) -> None:
        rig.break_("ignores", call, times=1)
        error = unproven(rig, vlans={300: "green"}, p1={"native": 300})
        assert error.text.startswith(f"{rig.path.where}: ")
        assert error.text.endswith("; closed: p1"), error.text
        assert not rig.truth()["p1"].on
        assert {name: port for name, port in rig.truth().items() if name != "p1"} == {
            name: port for name, port in PORTS.items() if name != "p1"
        }

    @pytest.mark.attack(31)
    @on(fault="ignores")
    def test_a_switch_that_does_nothing_at_all_is_told_as_that(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(change, "BACK_SECONDS", 0.5)
        rig.break_("ignores")
        assert "not seen to be closed: p1" in unproven(rig, p1={"native": 200}).text
        assert rig.truth() == PORTS

    @pytest.mark.parametrize("call", ["close", "join", "save"])
    @on(fault="refuses")
    def test_a_refusal_is_taken_back(self, rig: Rig, call: str) -> None:
        rig.break_("refuses", call, times=1)
        error = refused(rig, "change", goal={"vlans": {300: "green"}, "ports": {"p1": {"native": 300}}})
        assert error.text.endswith("; nothing was changed")
        assert (rig.truth(), rig.names()) == (PORTS, NAMES)

    @on(fault="refuses")
    def test_a_port_that_can_not_be_put_back_is_closed(self, rig: Rig) -> None:
        rig.break_("refuses", "join")
        error = unproven(rig, p1={"native": 200})
        assert "taking back: " in error.text and error.text.endswith("; closed: p1")
        assert not rig.truth()["p1"].on and rig.truth()["p1"].untagged == ()

    def test_a_port_that_is_put_back_is_not_opened_before_that_is_proven(self, tmp_path: Path) -> None:
        rig = FakeRig(tmp_path)
        rig.world.set_faults(
            [Fault(call="save", refuse="flash is full", times=1), Fault(call="leave", after=1, ignore=True)]
        )
        error = unproven(rig, p1={"native": 200})
        assert error.text.endswith("flash is full; taking back: p1 is untagged 100+200; closed: p1")
        assert [step for step in rig.steps if isinstance(step, Open)] == [Open("p1")], "when it had moved"
        assert not rig.truth()["p1"].on

    def test_what_is_not_seen_to_be_put_back_is_not_said_to_be(self, tmp_path: Path) -> None:
        rig = FakeRig(tmp_path)
        rig.world.set_faults(
            [Fault(call="save", refuse="flash is full", times=1), Fault(call="open", after=1, ignore=True)]
        )
        error = unproven(rig, p1={"native": 200})
        assert error.text.endswith("flash is full; taking back: p1 is on no; closed: p1")

    def test_what_was_closed_in_doubt_stays_so_when_the_switch_starts_anew(self, tmp_path: Path) -> None:
        rig = FakeRig(tmp_path)
        rig.break_("ignores", "join")
        assert unproven(rig, p1={"native": 200}).text.endswith("; closed: p1")
        rig.restart()
        assert not rig.truth()["p1"].on

    @pytest.mark.parametrize("call", ["create", "join", "save"])
    @on(fault="loses")
    def test_when_an_answer_is_lost_what_is_so_decides(self, rig: Rig, call: str) -> None:
        rig.break_("loses", call, times=1)
        assert rig.change({300: "green"}, p1={"native": 300}).ports["p1"].untagged == (300,)
        assert rig.truth()["p1"] == replace(PORTS["p1"], native=300, untagged=(300,))
        assert rig.names() == NAMES | {300: "green"}

    @pytest.mark.fault(40)
    @pytest.mark.parametrize("after", [1, 3, 4])
    @on(fault="restarts")
    def test_a_switch_that_starts_anew_in_mid_move(self, rig: Rig, after: int) -> None:
        """What was not saved is lost: the port would be open where it was, and must not be let in where it shall be."""
        rig.break_("restarts", after=after, times=1)
        try:
            rig.change(p1={"native": 200})
        except Unproven as error:
            assert "has started anew" in error.text and error.text.endswith("; closed: p1")
            assert not rig.truth()["p1"].on
        assert len(rig.truth()["p1"].heard_in) <= 1 or not rig.truth()["p1"].on
        rig.restart()
        assert len(rig.truth()["p1"].heard_in) <= 1 or not rig.truth()["p1"].on

    @pytest.mark.parametrize("steps", [1, 2, 4])
    @on()
    def test_half_of_a_move_is_gone_on_with(self, rig: Rig, steps: int) -> None:
        """Killed anywhere: the port is closed, or in one VLAN; and asked again it comes to its end."""

        class Killed(Exception):
            pass

        told = rig.run("plan", goal={"ports": {"p1": {"native": 200, "on": True}}})
        openly, count = rig.open, 0

        def mortal(path: Any, seconds: float) -> Any:
            driver = openly(path, seconds)
            do = driver.do

            def until(step: Any) -> None:
                nonlocal count
                count += 1
                if count > steps:
                    raise Killed
                do(step)

            driver.do = until  # type: ignore[method-assign]
            return driver

        rig.open = mortal  # type: ignore[method-assign]
        if steps < sum(each.undo != "" for each in told):
            with pytest.raises(RuntimeError, match="Killed"):
                rig.change(p1={"native": 200, "on": True})
            assert not rig.truth()["p1"].on
        rig.open = openly  # type: ignore[method-assign]
        rig.change(p1={"native": 200, "on": True})
        assert rig.truth() == PORTS | {"p1": replace(PORTS["p1"], native=200, untagged=(200,))}

    @on(fault="locked")
    def test_a_wrong_password_is_denied_and_not_told(self, rig: Rig) -> None:
        for verb in ("look", "change"):
            goal = {"goal": {"ports": {"p1": {"native": 200}}}} if verb == "change" else {}
            error = refused(rig, verb, rig.with_password("wrong"), **goal)
            assert error.code is Code.DENIED
            assert error.text.startswith(f"{rig.path.where}: ") and "secret" not in error.text
        assert rig.truth() == PORTS

    @on(fault="mute")
    def test_a_switch_that_does_not_answer(self, rig: Rig) -> None:
        rig.mute()
        error = refused(rig, "change", goal={"ports": {"p1": {"native": 200}}})
        assert (error.code, error.text) == (Code.UNAVAILABLE, f"{rig.path.where}: no answer")


class TestSnmp:
    """What only an agent of SNMP can do wrong."""

    @pytest.fixture
    def rig(self, programs: Programs) -> SnmpRig:
        return SnmpRig(programs.switch())

    def test_v2c_has_to_be_asked_for_and_then_does(self, programs: Programs) -> None:
        rig = SnmpRig(programs.switch(), v2c=True)
        rig.change({300: "green"}, p1={"native": 300, "label": "m-1"})
        assert rig.native("p1") == 300

    def test_a_wrong_community_gets_no_answer(self, rig: SnmpRig) -> None:
        rig.patience = 1.0
        path = replace(rig.path, access=replace(V2C, community="somebody else's"))
        error = refused(rig, "look", path)
        assert error.text == f"{rig.path.where}: no answer; a wrong community gets none either"

    @pytest.mark.parametrize("word", ["admin", "native", "egress", "untagged", "accept", "filter"])
    def test_half_a_table_is_not_believed(self, rig: SnmpRig, word: str) -> None:
        rig.state(tables={word: "half"})
        error = refused(rig, "change", goal={"ports": {"p1": {"native": 200}}})
        assert error.code is Code.UNAVAILABLE and "half a table: no " in error.text
        assert rig.truth() == PORTS and rig.asked() == 0

    @pytest.mark.parametrize(
        ("word", "text"),
        [
            ("admin", "ifAdminStatus of 1 is not a number"),
            ("native", "dot1qPvid of 1 is not a number"),
            ("egress", "dot1qVlanStaticEgressPorts of 1 is not a text"),
            ("name", "ifName of 1 is not a text"),
        ],
    )
    def test_a_wrong_type_is_told(self, rig: SnmpRig, word: str, text: str) -> None:
        rig.state(tables={word: "wrong"})
        assert refused(rig, "look").text == f"{rig.path.where}: {text}"

    @pytest.mark.parametrize(
        ("word", "text"),
        [("bridge", "does not speak BRIDGE-MIB"), ("row", "does not speak Q-BRIDGE-MIB, or we may not see them")],
    )
    def test_what_is_no_switch_is_told(self, rig: SnmpRig, word: str, text: str) -> None:
        rig.state(tables={word: "none"})
        error = refused(rig, "look")
        assert error.code is Code.IMPOSSIBLE and error.text.endswith(text)

    def test_a_switch_without_filters_is_not_told_to_filter(self, rig: SnmpRig) -> None:
        rig.state(tables={"filter": "none"})
        assert rig.change(p1={"native": 200}).ports["p1"].untagged == (200,)

    def test_a_read_that_is_refused(self, rig: SnmpRig) -> None:
        rig.state(faults=[{"what": "noSuchName", "call": "get"}])
        error = refused(rig, "look")
        assert error.code is Code.NOT_FOUND and "refused: noSuchName" in error.text

    @pytest.mark.fault(40)
    def test_a_change_that_is_half_done_closes_the_port(self, rig: SnmpRig) -> None:
        rig.break_("half", "join", times=1)
        error = unproven(rig, p1={"native": 200})
        assert error.text.endswith("; closed: p1") and not rig.truth()["p1"].on

    def test_lost_packets_are_sent_again(self, rig: SnmpRig) -> None:
        rig.state(weather={"drop": 1, "lose": 1})
        rig.patience = 2.4
        assert rig.change(p1={"native": 200}).ports["p1"].untagged == (200,)

    @pytest.mark.attack(30)
    def test_late_and_forged_answers_are_not_heeded(self, rig: SnmpRig) -> None:
        rig.state(weather={"late": True, "forge": True, "stranger": True})
        rig.change(p1={"native": 200})
        assert rig.native("p1") == 200

    def test_saving_that_does_nothing_is_taken_back(self, rig: SnmpRig) -> None:
        rig.break_("ignores", "save")
        error = refused(rig, "change", goal={"ports": {"p1": {"native": 200}}})
        assert "says that saving has failed; nothing was changed" in error.text
        assert rig.truth() == PORTS

    def test_a_model_that_saves_by_itself_is_not_told_to(self, rig: SnmpRig) -> None:
        path = replace(rig.path, model="standard")
        changed = rig.run("change", path, goal={"ports": {"p1": {"native": 200}}})
        assert "save to the start-up configuration" not in changed.steps
        assert "save" not in rig.state()["asked"]

    def test_a_model_of_a_file_of_ones_own(self, rig: SnmpRig, tmp_path: Path) -> None:
        table = tmp_path / "models.toml"
        table.write_text('[shelf]\nabout = "ours"\nsave = [[["1.3.6.1.4.1.99999.2.1.0", 1]]]\n')
        path = replace(rig.path, model="shelf", models=str(table))
        rig.run("change", path, goal={"ports": {"p1": {"native": 200}}})
        rig.restart()
        assert rig.native("p1") == 200
        for text, word in (('[shelf]\nabout = "ours"\n', "save"), ("[shelf", "")):
            table.write_text(text)
            error = refused(rig, "look", path)
            assert error.code is Code.BAD_REQUEST and word in error.text
        assert refused(rig, "look", replace(rig.path, model="none")).code is Code.NOT_FOUND


@needs_ovs
class TestOvs:
    """What is wrong with an Open vSwitch is told in our words."""

    def test_a_bridge_that_is_not_there(self, programs: Programs) -> None:
        rig = OvsRig(programs.ovs())
        error = refused(rig, "look", replace(rig.path, bridge="sw9"))
        assert (error.code, error.text) == (Code.NOT_FOUND, "ovs sw9: no bridge named sw9")

    def test_daemons_that_do_not_run(self, tmp_path: Path, programs: Programs) -> None:
        rig = OvsRig(programs.ovs())
        error = refused(rig, "change", replace(rig.path, run=str(tmp_path)), goal={"ports": {"p1": {"native": 200}}})
        assert error.code is Code.UNAVAILABLE and error.text.startswith("ovs sw1: ")

    def test_programs_that_are_not_there(self, programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
        rig = OvsRig(programs.ovs())
        with monkeypatch.context() as without:
            without.setenv("PATH", "/nowhere")
            error = refused(rig, "look")
        assert (error.code, error.text) == (Code.IMPOSSIBLE, "ovs sw1: ovs-vsctl is not installed")

    def test_a_port_that_nobody_has_set_up_is_shut_off_from_all_when_it_is_put_somewhere(
        self, programs: Programs
    ) -> None:
        ovs = programs.ovs()
        rig = OvsRig(ovs)
        ovs.vsctl("clear", "port", "p3", "tag")
        assert not rig.run("look").ports["p3"].filters and "p1" in ovs.goes_to("sw1", "p3", tag=100)
        rig.change(p3={"native": 200})
        assert rig.truth()["p3"] == replace(PORTS["p3"], native=200, untagged=(200,))
        assert "p4" in ovs.goes_to("sw1", "p3") and ovs.goes_to("sw1", "p3", tag=100) == ["drop"]
