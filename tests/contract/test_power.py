"""What every power driver promises, held against the fake and against programs that speak what devices speak."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import venv
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from tashi.wire.errors import Code
from tests.contract import power_peers as peers
from tests.contract.power_rigs import (
    V2C,
    BmcRig,
    EmulatorRig,
    FakeRig,
    IpmiSimRig,
    LibvirtRig,
    PduRig,
    RedfishRig,
    Rig,
    refused,
    unproven,
)
from zoni.power.change import Changed
from zoni.power.interface import Boot, Capability, Identity

STRIP = """[strip]
about = "a model of the test's own"
state = "1.3.6.1.4.1.318.1.1.12.3.3.1.1.4.{outlet}"
on = 1
off = 2
control = "1.3.6.1.4.1.318.1.1.12.3.3.1.1.4.{outlet}"
switch_on = 1
switch_off = 2
"""

EMULATORS = Path(__file__).parents[2] / "build/emulators"

needs_sim = pytest.mark.skipif(shutil.which("ipmi_sim") is None, reason="ipmi_sim is missing (openipmi)")
needs_libvirt = pytest.mark.skipif(importlib.util.find_spec("libvirt") is None, reason="libvirt-python is missing")


P = TypeVar("P", bound=peers.Program)


class Programs:
    """The peers, each started when it is first wanted."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._running = folder, list[peers.Program]()
        self.bmc = cache(self._start_bmc)
        self.sim = cache(self._start_sim)
        self.pdu = cache(self._start_pdu)
        self.redfish = cache(self._start_redfish)
        self.emulator = cache(self._start_emulator)
        self.certificate = cache(lambda: peers.make_certificate(folder))

    def _start_bmc(self) -> peers.Peer:
        machine = {"uuid": peers.UUID, "serial": peers.SERIAL}
        return self._have(peers.Peer("bmc", self._folder, {"bmcs": {"b1": machine}}))

    def _start_pdu(self) -> peers.Peer:
        pdu = {"outlets": {"1": False, "2": True}, "community": V2C.community}
        return self._have(peers.Peer("pdu", self._folder, {"pdu": pdu}))

    def _start_redfish(self) -> peers.Peer:
        machine = {"uuid": peers.UUID, "serial": peers.SERIAL}
        plan = {"certificate": str(self.certificate()[2]), "bmcs": {"b1": machine}}
        return self._have(peers.Peer("redfish", self._folder, plan))

    def _start_sim(self) -> peers.IpmiSim:
        folder = self._folder / "ipmi_sim"
        folder.mkdir()
        return self._have(peers.IpmiSim(folder))

    def _start_emulator(self) -> peers.Emulator:
        folder = self._folder / "emulator"
        folder.mkdir()
        certificate, key, _ = self.certificate()
        return self._have(peers.Emulator(self._install_emulator(), folder, certificate, key))

    def _install_emulator(self) -> str:
        """It has an environment of its own: what it needs is not what we need."""
        program = EMULATORS / "bin/sushy-emulator"
        if not program.exists():
            venv.create(EMULATORS, with_pip=True)
            pip = [str(EMULATORS / "bin/pip"), "-q", "install", "--retries", "1", "sushy-tools>=2.2", "bcrypt"]
            if subprocess.run(pip, capture_output=True, timeout=600).returncode:
                pytest.skip("sushy-emulator can't be downloaded")
        return str(program)

    def _have(self, program: P) -> P:
        self._running.append(program)
        return program

    def close(self) -> None:
        for program in self._running:
            program.close()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    programs = Programs(tmp_path_factory.mktemp("peers"))
    yield programs
    programs.close()


RIGS: dict[str, tuple[type[Rig], list[pytest.MarkDecorator]]] = {
    "memory": (FakeRig, []),
    "bmc": (BmcRig, []),
    "ipmi_sim": (IpmiSimRig, [needs_sim]),
    "redfish": (RedfishRig, []),
    "sushy-emulator": (EmulatorRig, [pytest.mark.soak]),
    "apc": (PduRig, []),
    "raritan": (PduRig, []),
    "table": (PduRig, []),
    "libvirt": (LibvirtRig, [needs_libvirt]),
}


ALWAYS_OPEN = ("ipmi_sim",)  # it takes cipher suite 0, whatever it is told


def on(capability: Capability | None = None, fault: str = "", without: tuple[str, ...] = ()) -> pytest.MarkDecorator:
    """Run a test on every rig that can do so and can be made so. What a PDU's table says has nothing to do with faults:
    one will do."""
    found = [
        pytest.param(name, marks=marks)
        for name, (rig, marks) in RIGS.items()
        if (capability is None or capability in rig.can)
        and (not fault or (fault in rig.faults and name not in ("raritan", "table")))
        and name not in without
    ]
    assert found
    return pytest.mark.parametrize("rig", found, indirect=True)


@pytest.fixture
def rig(request: pytest.FixtureRequest, programs: Programs, tmp_path: Path) -> Iterator[Rig]:
    rig = make_rig(request.param, programs, tmp_path)
    yield rig
    rig.close()


def make_rig(kind: str, programs: Programs, folder: Path) -> Rig:
    match kind:
        case "memory":
            return FakeRig(folder)
        case "bmc":
            return BmcRig(programs.bmc())
        case "ipmi_sim":
            return IpmiSimRig(programs.sim())
        case "redfish":
            return RedfishRig(programs.redfish(), peers.fingerprint(programs.certificate()[0]))
        case "sushy-emulator":
            return EmulatorRig(programs.emulator(), programs.certificate()[0])
        case "apc":
            return PduRig(programs.pdu(), "apc-rpdu")
        case "raritan":
            return PduRig(programs.pdu(), "raritan-px")
        case "table":
            table = folder / "models.toml"
            table.write_text(STRIP)
            return PduRig(programs.pdu(), "strip", str(table))
    return LibvirtRig(folder)


class TestPower:
    @on()
    def test_it_is_told_as_it_is(self, rig: Rig) -> None:
        for power in ("on", "off"):
            rig.put(power)
            assert rig.run("power") == rig.witness() == power

    @on()
    def test_on_and_off_are_seen(self, rig: Rig) -> None:
        assert rig.run("on") == Changed("off", "on")
        assert rig.truth() == rig.witness() == "on"
        assert rig.run("off") == Changed("on", "off")
        assert rig.truth() == rig.witness() == "off"

    @on()
    def test_what_is_so_already_is_success(self, rig: Rig) -> None:
        assert rig.run("off") == Changed("off", "off")
        rig.put("on")
        assert rig.run("on") == Changed("on", "on")
        assert rig.truth() == "on"

    @on(Capability.SOFT)
    def test_soft_ends_the_system(self, rig: Rig) -> None:
        rig.put("on")
        assert rig.run("soft") == Changed("on", "off")
        assert rig.truth() == "off"
        assert rig.run("soft") == Changed("off", "off")

    @on(Capability.RESET)
    def test_a_reset_can_not_be_proven(self, rig: Rig) -> None:
        rig.put("on")
        assert rig.run("reset") == Changed("on", "on", proven=False)
        assert rig.truth() == "on"
        assert rig.asked() in (["reset"], [])

    @on(Capability.RESET)
    def test_what_is_off_is_not_reset(self, rig: Rig) -> None:
        assert refused(rig, "reset").code is Code.WRONG_STATE
        assert rig.truth() == "off"

    @on()
    def test_a_cycle_is_an_off_and_an_on(self, rig: Rig) -> None:
        rig.put("on")
        assert rig.run("cycle", rest_seconds=0) == Changed("on", "on")
        assert rig.truth() == "on"
        assert rig.asked() in (["off", "on"], [])
        rig.put("off")
        assert rig.run("cycle", rest_seconds=0) == Changed("off", "on")

    @on()
    def test_what_it_can_not_it_says(self, rig: Rig) -> None:
        verbs = {
            "soft": Capability.SOFT,
            "reset": Capability.RESET,
            "identity": Capability.IDENTITY,
            "boot": Capability.BOOT,
            "sensors": Capability.SENSORS,
            "log": Capability.LOG,
        }
        rig.put("on")
        for verb, capability in verbs.items():
            if capability not in rig.capabilities():
                assert refused(rig, verb).code is Code.IMPOSSIBLE
        assert rig.truth() == "on"

    @pytest.mark.parametrize("password", ["wrong", ""])
    @on(fault="locked")
    def test_a_wrong_password_is_denied_and_not_told(self, rig: Rig, password: str) -> None:
        error = refused(rig, "on", rig.with_password(password))
        assert error.code is Code.DENIED
        assert error.text.startswith(f"{rig.path.where}: ") and "secret" not in error.text
        assert rig.truth() == "off"


class TestWhatElseThereIs:
    @on(Capability.IDENTITY)
    def test_identity(self, rig: Rig) -> None:
        found = rig.run("identity")
        assert (found.uuid, found.serial) == (rig.identity.uuid, rig.identity.serial)

    @pytest.mark.parametrize("boot", [Boot("network", True, True), Boot("disk", False, False), Boot("cdrom", True)])
    @on(Capability.BOOT)
    def test_a_boot_device_is_read_back(self, rig: Rig, boot: Boot) -> None:
        asked: dict[str, Any] = {"device": boot.device, "once": boot.once, "uefi": boot.uefi, "seconds": 0.5}
        if boot.once in rig.boot_lies:
            assert " was accepted, is " in unproven(rig, "set_boot", **asked).text
            return
        seen = rig.run("set_boot", **asked)
        assert (seen.device, seen.once) == (boot.device, boot.once)
        assert boot.uefi in (None, seen.uefi)
        assert rig.run("boot") == seen

    @on(Capability.SENSORS)
    def test_sensors_have_numbers_and_units(self, rig: Rig) -> None:
        (inlet,) = rig.run("sensors")
        assert (inlet.name, inlet.kind.lower(), inlet.unit, inlet.health) == ("Inlet", "temperature", "C", "ok")
        assert inlet.value in (20.0, 42.0)

    @on(Capability.LOG)
    def test_the_log_tells_its_last_lines(self, rig: Rig) -> None:
        for power in ("on", "off"):
            rig.run(power)
        entries = rig.run("log")
        assert entries and all(entry.id and entry.text for entry in entries)
        assert [entry.id for entry in rig.run("log", limit=1)] == [entries[-1].id]

    @on(Capability.LIGHT)
    def test_the_light_is_switched(self, rig: Rig) -> None:
        for on in (True, False):
            assert rig.run("set_light", on=on).on == on

    def test_no_session_is_left_open(self, programs: Programs) -> None:
        rig = BmcRig(programs.bmc())
        for verb in ("power", "on", "identity", "sensors", "log", "enroll"):
            rig.run(verb)
        refused(rig, "on", rig.with_password("wrong"))
        assert rig.state()["sessions"] == 0


class TestEnrolment:
    @on(Capability.IDENTITY, without=ALWAYS_OPEN)
    def test_a_path_is_known_by_uuid_or_serial(self, rig: Rig) -> None:
        found = rig.run("enroll", uuid=rig.identity.uuid.upper(), serial=rig.identity.serial)
        assert (found.identity.uuid, found.power) == (rig.identity.uuid, "off")
        assert set(found.capabilities) == rig.capabilities()
        other_order = "78563412-bc9a-f0de-1234-56789abcdef0"
        if rig.identity.uuid == peers.UUID:
            assert rig.run("enroll", uuid=other_order).identity == found.identity

    @pytest.mark.parametrize(
        "other",
        [{"uuid": "00000000-1111-2222-3333-444444444444"}, {"serial": "SN-9"}, {"uuid": peers.UUID, "serial": "x"}],
    )
    @on(Capability.IDENTITY, without=(*ALWAYS_OPEN, "libvirt", "sushy-emulator"))
    def test_the_path_of_another_machine_is_refused(self, rig: Rig, other: dict[str, Any]) -> None:
        error = refused(rig, "enroll", **other)
        assert error.code is Code.CONFLICT
        assert rig.truth() == "off"

    def test_a_path_that_does_not_tell_whose_it_is_is_refused(self, tmp_path: Path) -> None:
        rig = FakeRig(tmp_path)
        rig.world.put("m1", replace(rig.machine, identity=Identity()))
        error = refused(rig, "enroll", uuid=peers.UUID)
        assert error.code is Code.CONFLICT and error.text.endswith("does not tell which machine it is of")
        assert rig.run("enroll").power == "off", "of a machine whose record has neither nothing is asked"

    @pytest.mark.attack(29)
    @on(fault="open")
    def test_a_door_that_stands_open_is_found_and_refused(self, rig: Rig) -> None:
        rig.break_("open")
        error = refused(rig, "enroll")
        assert error.code is Code.WRONG_STATE and error.hint
        assert any(word in error.text for word in ("cipher suite 0", "to everybody", "factory's community"))

    @pytest.mark.attack(29)
    @on(fault="empty")
    def test_an_empty_password_is_found_and_refused(self, rig: Rig) -> None:
        """Also where we come with a good one: whoever comes without gets in, too."""
        rig.break_("empty")
        for path in (rig.path, rig.with_password("")):
            error = refused(rig, "enroll", path)
            assert error.code is Code.WRONG_STATE and "empty password" in error.text
        assert "zoni-set --password-file" in error.text or rig.path.where.startswith("fake")


class TestFaults:
    @pytest.mark.fault(39)
    @pytest.mark.parametrize(("verb", "before"), [("off", "on"), ("on", "off")])
    @on(fault="ignores")
    def test_what_is_acknowledged_and_not_done_is_not_believed(self, rig: Rig, verb: str, before: str) -> None:
        rig.put(before)
        rig.break_("ignores")
        error = unproven(rig, verb, seconds=0.6)
        assert error.text.endswith(f"{verb} was acknowledged, not seen to happen: is {before}")
        assert rig.truth() == before

    @pytest.mark.fault(38)
    @pytest.mark.parametrize(("verb", "before"), [("off", "on"), ("cycle", "on")])
    @on(fault="slow")
    def test_a_slow_one_is_waited_for(self, rig: Rig, verb: str, before: str) -> None:
        rig.put(before)
        rig.break_("slow")
        changed = rig.run(verb)
        assert changed == Changed(before, rig.truth())  # type: ignore[arg-type]
        assert rig.truth() != before or verb == "cycle"

    @pytest.mark.parametrize(("verb", "before"), [("off", "on"), ("on", "off")])
    @on(fault="loses")
    def test_when_an_answer_is_lost_the_power_decides(self, rig: Rig, verb: str, before: str) -> None:
        rig.put(before)
        rig.break_("loses")
        changed = rig.run(verb, seconds=1.0)
        assert changed.power == verb == rig.truth()
        assert set(rig.asked()) == {verb}

    @on(Capability.RESET, fault="loses")
    def test_a_reset_without_an_answer_is_unproven_and_not_asked_twice(self, rig: Rig) -> None:
        rig.put("on")
        rig.break_("loses")
        unproven(rig, "reset", seconds=1.0)
        assert rig.asked() == ["reset"]

    @on(fault="refuses")
    def test_a_refusal_is_definite(self, rig: Rig) -> None:
        rig.break_("refuses")
        error = refused(rig, "on")
        assert error.code in (Code.WRONG_STATE, Code.IMPOSSIBLE)
        assert rig.truth() == "off"

    @on(fault="refuses")
    def test_off_where_off_is_an_error_is_success(self, rig: Rig) -> None:
        rig.break_("refuses")
        assert rig.run("off") == Changed("off", "off")

    @on(fault="odd")
    def test_nothing_acts_on_an_unknown_power(self, rig: Rig) -> None:
        rig.put("on")
        rig.break_("odd")
        assert rig.run("power") == "unknown"
        for verb in ("on", "off", "cycle"):
            assert "does not tell whether it is on or off" in refused(rig, verb, seconds=0.5).text
        assert rig.truth() == "on" and rig.asked() == []

    @on(fault="deaf")
    def test_a_system_that_does_not_listen_is_left_on(self, rig: Rig) -> None:
        rig.put("on")
        rig.break_("deaf")
        assert "not seen to happen: is on" in unproven(rig, "soft", seconds=0.5).text
        assert rig.truth() == "on"

    @pytest.mark.attack(30)
    @pytest.mark.parametrize("fault", ["late", "forged"])
    @on(fault="late")
    def test_a_late_or_forged_answer_is_not_heeded(self, rig: Rig, fault: str) -> None:
        rig.break_(fault)
        for power in ("on", "off"):
            assert rig.run(power).power == power == rig.truth()
            assert rig.run("power") == power

    @pytest.mark.attack(30)
    def test_an_answer_from_another_port_is_not_heeded(self, programs: Programs) -> None:
        """Also by SNMP v2c, where nothing in an answer says whose it is."""
        rig = PduRig(programs.pdu(), "apc-rpdu")
        path = replace(rig.path, access=V2C)
        rig.state(weather={"stranger": True})
        for power in ("on", "off"):
            assert rig.run(power, path).power == power == rig.run("power", path)

    @on(fault="loss")
    def test_lost_packets_are_sent_again(self, rig: Rig) -> None:
        rig.break_("loss")
        assert rig.run("power", seconds=3.0) == "off"
        assert rig.run("on") == Changed("off", "on")
