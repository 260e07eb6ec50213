"""Machines into domains by real processes: a controller, a zoni agent, its workers, and a fake world of devices."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from msgspec.structs import replace

from tests.daemon.processes import Asker, Controller, Zoni
from tests.daemon.test_zoni import Rack
from tests.daemon.test_zoni import zoni as zoni  # a fixture
from zoni.switch.fake import FakeSwitch, Fault, World
from zoni.switch.interface import Identity, Port, State

RED, BLUE = (100, 101), (200,)


class Site(Rack):
    """Machines on ports of a fake switch: m1 on 1 and m2 on 2."""

    def __init__(self, zoni: Zoni, admin: Asker) -> None:
        super().__init__(zoni, admin)
        folder = f"{zoni.world}-switches"
        self.switches = World(folder)
        state = State({1: "default"}, {str(number): Port(str(number)) for number in (1, 2)}, 0.0)
        self.switches.put("sw", FakeSwitch(state, state))
        admin.ok("switch.add", name="sw", driver="fake", address=f"{folder}/sw")
        admin.ok("domain.create", name="red", vlans=list(RED))
        admin.ok("domain.create", name="blue", vlans=list(BLUE))
        self.add("m1", "m2")
        for number in (1, 2):
            admin.ok("machine.set", name=f"m{number}", parts={"ports": [f"sw:{number}"]})
            admin.ok("machine.reserve", machines=[f"m{number}"], until_wall=time.time() + 3600)

    def port(self, name: str) -> Port:
        switch = self.switches.device("sw")
        assert switch is not None
        return switch.running.ports[name]

    def vlans(self, name: str) -> tuple[int, ...]:
        """What a machine on this port is in; none while it is closed."""
        port = self.port(name)
        return (*port.untagged, *port.tagged) if port.on else ()

    def allocate(self, machine: str, domain: str) -> str:
        return str(self.admin.ok("machine.allocate", name=machine, domain=domain)["job"])

    def operations(self) -> list[dict[str, Any]]:
        return [json.loads(row) for row in self.admin.ask("list", noun="job", format="json")["rows"].splitlines()]

    @contextmanager
    def watched(self) -> Iterator[set[tuple[int, ...]]]:
        """All that the port of m1 is seen to be in meanwhile."""
        seen: set[tuple[int, ...]] = set()
        over = threading.Event()

        def watch() -> None:
            while not over.is_set():
                seen.add(self.vlans("1"))

        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield seen
        finally:
            over.set()
            thread.join()


@pytest.fixture
def site(zoni: Zoni, admin: Asker) -> Site:
    return Site(zoni, admin)


def test_two_domains_and_a_move(site: Site) -> None:
    jobs = [site.allocate("m1", "red"), site.allocate("m2", "blue")]
    assert [(each["outcome"], each["reason"]) for each in map(site.ended, jobs)] == [("done", None)] * 2
    assert (site.vlans("1"), site.vlans("2")) == (RED, BLUE)
    port = site.port("1")
    assert (port.untagged, port.tagged, port.native) == ((100,), (101,), 100)
    switch = site.switches.device("sw")
    assert switch is not None and switch.startup.ports == switch.running.ports, "saved"
    machine = site.world.device("m1")
    assert machine is not None and machine.power == "on"
    with site.watched() as seen:
        assert site.ended(site.allocate("m1", "blue"))["outcome"] == "done"
    assert seen <= {RED, (), BLUE} and site.vlans("1") == BLUE
    job = str(site.admin.ok("machine.release", name="m1")["job"])
    assert site.ended(job)["outcome"] == "done"
    assert site.vlans("1") == () and site.port("1").native == 0
    machine = site.world.device("m1")
    assert machine is not None and machine.power == "off"
    assert site.row("m1")["state"] == "free"


@pytest.mark.fault(41)
def test_killed_in_mid_move(site: Site, controller: Controller) -> None:
    """The controller and the agent die again and again; the move goes on, and the port is in one domain or in none."""
    assert site.ended(site.allocate("m1", "red"))["outcome"] == "done"
    site.switches.set_faults([Fault(delay=0.2)])
    with site.watched() as seen:
        job = site.allocate("m1", "blue")
        for pause in (0.2, 0.6, 1.0):
            time.sleep(pause)
            controller.kill()
            controller.start()
            site.zoni.kill()
            site.zoni.start()
        ended = site.ended(job)
    assert seen <= {RED, (), BLUE}
    assert (ended["outcome"], site.vlans("1"), site.row("m1")["domain"]) == ("done", BLUE, "blue")


@pytest.mark.fault(40)
def test_a_switch_that_forgets(site: Site) -> None:
    """It starts anew in the middle: read back, it is not believed, and the machine is in no domain rather than two."""
    assert site.ended(site.allocate("m1", "red"))["outcome"] == "done"
    site.switches.set_faults([Fault(call="open", reboot=True, times=1)])
    with site.watched() as seen:
        ended = site.ended(site.allocate("m1", "blue"))
    assert ended["outcome"] == "failed" and "in quarantine" in ended["reason"]
    assert seen <= {RED, (), BLUE}
    (seal,) = [each for each in site.operations() if each["verb"] == "machine.seal"]
    assert site.ended(seal["id"])["outcome"] == "done"
    assert (site.vlans("1"), site.row("m1")["state"], site.row("m1")["domain"]) == ((), "reserved", None)


def test_a_switch_is_asked_and_saved(site: Site) -> None:
    def answer(call: str) -> Any:
        ended = site.ended(str(site.admin.ok(f"switch.{call}", name="sw")["job"]))
        assert ended["outcome"] == "done", ended["reason"]
        return json.loads(ended["answer"])

    looked = answer("look")
    assert (looked["vlans"], sorted(looked["ports"])) == ({"1": "default"}, ["1", "2"])
    assert (answer("macs"), answer("neighbours")) == ({}, [])
    assert answer("probe")["doors"] == []
    switch = site.switches.device("sw")
    assert switch is not None
    running = State(switch.running.vlans, {"1": Port("1", label="by hand")}, 0.0)
    site.switches.put("sw", replace(switch, running=running))
    answer("save")
    switch = site.switches.device("sw")
    assert switch is not None and switch.startup.ports["1"].label == "by hand"


def test_a_domain_over_three_switches_comes_and_goes(site: Site) -> None:
    """Uplinks carry it, each switch is known by its address from then on, and nothing is left when it is removed."""
    folder = f"{site.zoni.world}-switches"
    for number, (name, ups) in enumerate({"sw": ["up"], "core": ["a", "b"]}.items()):
        ports = {each: Port(each, native=1, untagged=(1,)) for each in ups}
        known = site.switches.device(name)
        state = State({1: "default"}, (known.running.ports if known is not None else {}) | ports, 0.0)
        site.switches.put(name, FakeSwitch(state, state, identity=Identity(name, "", f"02:00:00:00:00:0{number}")))
        verb = "switch.add" if known is None else "switch.set"
        site.admin.ok(verb, name=name, driver="fake", address=f"{folder}/{name}", uplinks=ups)

    def carried() -> dict[str, tuple[int, ...]]:
        switches = {name: site.switches.device(name) for name in ("sw", "core")}
        assert all(each is not None and each.running.vlans == each.startup.vlans for each in switches.values())
        ports = [port for each in switches.values() if each is not None for port in each.running.ports.values()]
        return {port.name: port.tagged for port in ports if port.tagged and not port.name.isdigit()}

    assert site.ended(site.allocate("m1", "red"))["outcome"] == "done"
    assert carried() == dict.fromkeys(("up", "a", "b"), RED)
    rows = [json.loads(row) for row in site.admin.ask("list", noun="switch", format="json")["rows"].splitlines()]
    assert {row["name"]: row["base_mac"] for row in rows} == {"sw": "02:00:00:00:00:00", "core": "02:00:00:00:00:01"}
    assert site.ended(str(site.admin.ok("machine.release", name="m1")["job"]))["outcome"] == "done"
    assert site.ended(str(site.admin.ok("domain.remove", name="red")["job"]))["outcome"] == "done"
    assert carried() == {} and not {100, 101} & site.switches.device("sw").running.vlans.keys()  # type: ignore[union-attr]


def test_ports_of_two_switches_are_changed_or_none_is(site: Site) -> None:
    folder = f"{site.zoni.world}-switches"
    state = State({1: "default"}, {"1": Port("1", native=1, untagged=(1,))}, 0.0)
    for name in ("one", "two"):
        site.switches.put(name, FakeSwitch(state, state))
        site.admin.ok("switch.add", name=name, driver="fake", address=f"{folder}/{name}")
    wish = {"vlans": {"300": "lab"}, "ports": {"1": {"native": 300, "on": True}}}
    changes = [{"switch": name} | wish for name in ("one", "two")]

    def change(**more: Any) -> dict[str, Any]:
        return site.ended(str(site.admin.ok("switch.change", changes=changes, **more)["job"]))

    def native() -> list[int]:
        switches = [site.switches.device(name) for name in ("one", "two")]
        return [each.startup.ports["1"].native for each in switches if each is not None]

    planned = json.loads(change(plan=True)["answer"])
    assert planned["two"][0] == {"step": "create VLAN 300 (lab)", "undo": "destroy VLAN 300"} and native() == [1, 1]
    site.switches.set_faults([Fault(device="two", call="join", refuse="out of memory", times=1)])
    failed = change()
    told = "two: fake two: put 1 into VLAN 300, untagged: out of memory; nothing was changed; all else is as it was"
    assert (failed["outcome"], failed["reason"]) == ("failed", told)
    assert native() == [1, 1]
    site.switches.set_faults([])
    assert change()["outcome"] == "done" and native() == [300, 300]


@pytest.mark.fault(41)
def test_a_controller_killed_in_the_middle_of_a_change_goes_on_with_it(site: Site, controller: Controller) -> None:
    """Done by the first switch, refused by the second one: what follows is the same, and nobody stays locked."""
    folder = f"{site.zoni.world}-switches"
    state = State({1: "default"}, {"1": Port("1", native=1, untagged=(1,))}, 0.0)
    for name in ("one", "two"):
        site.switches.put(name, FakeSwitch(state, state))
        site.admin.ok("switch.add", name=name, driver="fake", address=f"{folder}/{name}")
    wish = {"vlans": {"300": "lab"}, "ports": {"1": {"native": 300, "on": True}}}
    site.switches.set_faults([Fault(device="two", call="join", refuse="out of memory", times=1), Fault(delay=0.1)])
    changes = [{"switch": name} | wish for name in ("one", "two")]
    job = str(site.admin.ok("switch.change", changes=changes)["job"])
    for pause in (0.3, 1.0):
        time.sleep(pause)
        controller.kill()
        controller.start()
        site.admin = controller.local()
    ended = site.ended(job)
    assert ended["outcome"] == "failed" and ended["reason"].endswith("; all else is as it was"), ended["reason"]
    switches = [site.switches.device(name) for name in ("one", "two")]
    assert [each.running.ports for each in switches if each is not None] == [state.ports, state.ports]
    rows = [json.loads(row) for row in site.admin.ask("list", noun="switch", format="json")["rows"].splitlines()]
    assert {row["job"] for row in rows} == {None}
