"""A controller and a zoni agent as real processes, and machines of a fake world."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from tashi.lab.peers.switch import USER as USER_OF_SWITCH
from tashi.model.units import unstamp
from tests.contract.power_peers import UUID, Peer, ipmitool
from tests.daemon.processes import Asker, Controller, Zoni, until
from zoni.power.fake import FakeMachine, Fault, World
from zoni.power.interface import Identity

USER, PASSWORD = "admin", "hush-hush"


@pytest.fixture
def zoni(controller: Controller) -> Iterator[Zoni]:
    made = Zoni(controller)
    assert made.enroll() == (0, "net1: enrolled\n")
    made.start()
    yield made
    made.close()


class Rack:
    """Machines of the fake world and their records."""

    def __init__(self, zoni: Zoni, admin: Asker) -> None:
        self.zoni, self.admin, self.world = zoni, admin, World(zoni.world)

    def add(self, *names: str, power: Any = "off", paths: int = 1) -> None:
        for name in names:
            machine = FakeMachine(power, power, user=USER, password=PASSWORD, identity=Identity(f"uuid-{name}", name))
            self.world.put(name, machine)
            others = [f"{name}-{number}" for number in range(2, paths + 1)]
            for other in others:
                self.world.put(other, machine)
            ways = [f"fake:{each},world={self.zoni.world}" for each in (name, *others)]
            parts = {"power_paths": ways, "user": USER, "password": PASSWORD, "serial": name, "rack": "r1"}
            self.admin.ok("machine.add", name=name, parts=parts)

    def order(self, action: str, *names: str, **more: Any) -> list[str]:
        """The operations."""
        return [str(self.admin.ok("machine.power", name=name, action=action, **more)["job"]) for name in names]

    def ended(self, job: str) -> dict[str, Any]:
        def look() -> dict[str, Any] | None:
            found = self.jobs([job])[0]
            return found if found["outcome"] else None

        return until(look, f"{job} ended:\n{self.zoni.log}")

    def done(self, action: str, *names: str, **more: Any) -> None:
        for job in self.order(action, *names, **more):
            found = self.ended(job)
            assert found["outcome"] == "done", found

    def jobs(self, names: list[str]) -> list[dict[str, Any]]:
        return self._list("job", names)

    def rows(self) -> list[dict[str, Any]]:
        return self._list("machine", [])

    def _list(self, noun: str, names: list[str]) -> list[dict[str, Any]]:
        lines = self.admin.ask("list", noun=noun, names=names, format="json")["rows"].splitlines()
        return [json.loads(line) for line in lines]

    def row(self, name: str) -> dict[str, Any]:
        return self._list("machine", [name])[0]


@pytest.fixture
def rack(zoni: Zoni, admin: Asker) -> Rack:
    return Rack(zoni, admin)


def test_a_machine_is_switched_on_and_off_and_both_are_seen(rack: Rack) -> None:
    rack.add("m1")
    rack.done("on", "m1")
    machine = rack.world.device("m1")
    assert machine is not None and machine.power == "on"
    row = rack.row("m1")
    assert (row["power"], row["power_desired"], row["power_source"]) == ("on", "on", "fake m1")
    assert row["power_age_seconds"] < 5
    rack.done("off", "m1")
    assert rack.row("m1")["power"] == "off"


def test_what_is_wrong_with_one_machine_is_told_of_it_alone(rack: Rack) -> None:
    """A wrong password, a silent device, the identity of another machine, and a door that stands open."""
    rack.add("m1", "m2", "m3", "m4", "m5")
    machines = {name: rack.world.device(name) for name in ("m1", "m3", "m4")}
    rack.world.put("m1", replace(machines["m1"], password="another"))
    rack.world.set_faults([Fault(device="m2", drop=True)])
    rack.world.put("m3", replace(machines["m3"], identity=Identity("uuid-m9", "m9")))
    rack.world.put("m4", replace(machines["m4"], weaknesses=["takes cipher suite 0"]))
    for name in ("m1", "m3", "m4"):
        rack.admin.ok("machine.set", name=name, parts={"unit": "1", "serial": f"{name}-again"})
    jobs = dict(zip(("m1", "m2", "m3", "m4", "m5"), rack.order("on", "m1", "m2", "m3", "m4", "m5"), strict=True))
    ends = {name: rack.ended(job) for name, job in jobs.items()}
    assert ends["m5"]["outcome"] == "done"
    told = {"m1": "password is wrong", "m2": "no answer", "m3": "of another machine", "m4": "takes cipher suite 0"}
    for name, words in told.items():
        assert ends[name]["outcome"] == "failed" and words in ends[name]["reason"], ends[name]
        assert rack.row(name)["power"] == "unknown" and words in rack.row(name)["reason"]
    assert all(rack.world.device(name).asked == [] for name in ("m1", "m2", "m3", "m4"))  # type: ignore[union-attr]
    everything = rack.zoni.log + rack.zoni.controller.log + (rack.zoni.folder / "state/journal").read_text()
    assert PASSWORD not in everything


@pytest.mark.fault(39)
def test_an_off_that_is_acknowledged_and_does_not_happen_is_not_believed(rack: Rack) -> None:
    rack.add("m1", power="on")
    rack.world.set_faults([Fault(device="m1", call="press", ignore=True, times=1)])
    rack.done("soft", "m1", grace_seconds=0.2)
    machine = rack.world.device("m1")
    assert machine is not None and (machine.power, machine.asked) == ("off", ["off"]), "the soft one did nothing"


def test_an_order_that_is_cancelled_leaves_nothing_asked_for(rack: Rack) -> None:
    rack.add("m1", power="on")
    rack.world.set_faults([Fault(device="m1", call="press", ignore=True)])
    (job,) = rack.order("soft", "m1", grace_seconds=0.2)
    rack.zoni.controller.local().ok("job.cancel", name=job)
    assert rack.ended(job)["outcome"] == "cancelled"
    assert rack.row("m1")["power_desired"] is None


@pytest.mark.fault(24)
def test_an_agent_that_is_killed_in_mid_operation_goes_on_with_it(rack: Rack) -> None:
    rack.add("m1")
    until(lambda: rack.row("m1")["power"] == "off", "it was looked at")
    rack.world.set_faults([Fault(device="m1", call="press", delay=30.0, times=1)])
    (job,) = rack.order("on", "m1")
    until(lambda: rack.world.device("m1").asked or _pressing(rack), "it is being done")  # type: ignore[union-attr]
    rack.zoni.kill()
    rack.zoni.start()
    assert rack.ended(job)["outcome"] == "done"
    assert rack.world.device("m1").power == "on"  # type: ignore[union-attr]


def _pressing(rack: Rack) -> bool:
    """Whether the fault of the press was used up: its worker sleeps in it."""
    return all(fault.times == 0 for fault in rack.world.faults())


@pytest.mark.fault(4)
def test_a_controller_that_is_killed_in_mid_operation_hears_how_it_ended(rack: Rack) -> None:
    rack.add("m1")
    until(lambda: rack.row("m1")["power"] == "off", "it was looked at")
    rack.world.set_faults([Fault(device="m1", call="press", delay=1.0, times=1)])
    (job,) = rack.order("on", "m1")
    until(lambda: _pressing(rack), "it is being done")
    controller = rack.zoni.controller
    controller.kill()
    until(lambda: rack.world.device("m1").power == "on", "it goes on without a controller")  # type: ignore[union-attr]
    controller.start()
    rack.admin = controller.local()
    assert rack.ended(job)["outcome"] == "done"
    assert rack.world.device("m1").asked == ["on"]  # type: ignore[union-attr]
    until(lambda: rack.row("m1")["power"] == "on", "it is known to be on")


@pytest.mark.fault(38)
def test_of_fifty_bmcs_the_dead_the_lying_and_the_slow_keep_nobody_waiting(rack: Rack, tmp_path: Path) -> None:
    """Real ones, by IPMI over the network. The one that lies has a second BMC, which does not."""
    names = [f"n{number}" for number in range(50)]
    dead, lying, slow, *others = names
    plan = {"user": USER, "password": PASSWORD, "power": "on"}
    peer = Peer("bmc", tmp_path, {"bmcs": dict.fromkeys([*names, "other"], plan)})
    try:
        ports = {name: peer.ask(bmc=name)["port"] for name in (*names, "other")}
        for name in names:
            several = (name, "other") if name == lying else (name,)
            ways = [f"ipmi:127.0.0.1,port={ports[each]}" for each in several]
            parts = {"power_paths": ways, "user": USER, "password": PASSWORD}
            rack.admin.ok("machine.add", name=name, parts=parts)
        until(lambda: all(each["power"] == "on" for each in rack.rows()), "all were looked at", 60)
        peer.ask(bmc=dead, machine={"drop_rakp": True})  # its login is tried until its worker is killed, after 8 s
        peer.ask(bmc=lying, machine={"lie": "off"})
        peer.ask(bmc=slow, weather={"delay": 0.25})  # of 16 packets
        jobs = dict(zip(names, rack.order("look", *names), strict=True))
        last = unstamp(rack.ended(jobs[slow])["ended_at"])
        ended = {each["name"]: each for each in rack.jobs(list(jobs.values())) if each["outcome"]}
        assert dead not in ended, "nobody has waited for that"
        assert all(ended[name]["outcome"] == "done" and unstamp(ended[name]["ended_at"]) < last for name in others)
        rows = {each["name"]: each for each in rack.rows()}
        assert rows[lying]["power"] == "unknown" and "says off" in rows[lying]["power_contradiction"]
        for name in (*others, slow, dead):  # of the dead one it is what it said last
            assert (rows[name]["power"], rows[name]["power_source"]) == ("on", f"ipmi 127.0.0.1 port {ports[name]}")
        assert all(each["power_age_seconds"] is not None for each in rows.values())
    finally:
        peer.close()


def test_a_bmc_of_another_protocol_agrees_with_ipmitool(rack: Rack, tmp_path: Path) -> None:
    """The real thing: IPMI over the network, with a witness that somebody else wrote."""
    plan = {"port": 0, "user": "admin", "password": "secret", "uuid": UUID, "serial": "S1"}
    peer = Peer("bmc", tmp_path, {"bmcs": {"m1": plan, "m2": plan | {"password": "other"}}})
    try:
        for name in ("m1", "m2"):
            port = peer.ask(bmc=name)["port"]
            parts = {"power_paths": [f"ipmi:127.0.0.1,port={port}"], "user": "admin", "password": "secret"}
            rack.admin.ok("machine.add", name=name, parts=parts | ({"uuid": UUID} if name == "m1" else {}))
            if name == "m1":
                first = port
        rack.done("on", "m1")
        assert ipmitool(first, "admin", "secret", "power", "status") == "Chassis Power is on"
        ipmitool(first, "admin", "secret", "power", "off")
        (job,) = rack.order("look", "m1")
        assert rack.ended(job)["outcome"] == "done"
        row = rack.row("m1")
        assert (row["power"], row["reason"]) == ("off", "on was asked for")
        (job,) = rack.order("on", "m2")
        assert "rights are wrong" in rack.ended(job)["reason"]
        peer.ask(bmc="m1", machine={"ignore": True})
        (job,) = rack.order("reset", "m1")
        assert rack.ended(job)["outcome"] == "failed"
    finally:
        peer.close()


def test_a_switch_with_a_new_password_is_asked_at_once(rack: Rack, tmp_path: Path) -> None:
    """It was left alone for minutes because of the wrong one."""
    peer = Peer("switch", tmp_path, {"name": "sw", "ports": 2})
    try:
        user, auth, privacy = USER_OF_SWITCH
        snmp = {"user": user, "auth_password": "another-word", "privacy_password": privacy}
        rack.admin.ok("switch.add", name="sw", address="127.0.0.1", port=peer.port, snmp=snmp)
        look = [rack.ended(rack.admin.ok("switch.look", name="sw")["job"])["reason"] for _ in range(2)]
        assert "password or rights are wrong" in look[0] and "left alone" in look[1]
        rack.admin.ok("switch.set", name="sw", snmp={"auth_password": auth})
        assert rack.ended(rack.admin.ok("switch.look", name="sw")["job"])["outcome"] == "done"
    finally:
        peer.close()
