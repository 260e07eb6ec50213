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
from zoni.switch.interface import Port, State

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
    assert answer("macs") == answer("neighbours") == []
    assert answer("enroll")["ports"] == ["1", "2"]
    switch = site.switches.device("sw")
    assert switch is not None
    running = State(switch.running.vlans, {"1": Port("1", label="by hand")}, 0.0)
    site.switches.put("sw", replace(switch, running=running))
    answer("save")
    switch = site.switches.device("sw")
    assert switch is not None and switch.startup.ports["1"].label == "by hand"
