"""A controller and a zoni agent as real processes, and machines of a fake world."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.daemon.processes import Asker, Controller, Zoni, until
from zoni.power.fake import FakeMachine, World
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
            rows = self.admin.ask("list", noun="job", names=[job], format="json")["rows"]
            found: dict[str, Any] = json.loads(rows)
            return found if found["outcome"] else None

        return until(look, f"{job} ended:\n{self.zoni.log}")

    def done(self, action: str, *names: str, **more: Any) -> None:
        for job in self.order(action, *names, **more):
            found = self.ended(job)
            assert found["outcome"] == "done", found

    def row(self, name: str) -> dict[str, Any]:
        return json.loads(self.admin.ask("list", noun="machine", names=[name], format="json")["rows"])


@pytest.fixture
def rack(zoni: Zoni, admin: Asker) -> Rack:
    return Rack(zoni, admin)


def test_a_machine_is_switched_on_and_off_and_both_are_seen(rack: Rack) -> None:
    rack.add("m1")
    rack.done("on", "m1")
    machine = rack.world.machine("m1")
    assert machine is not None and machine.power == "on"
    row = rack.row("m1")
    assert (row["power"], row["power_desired"], row["power_source"]) == ("on", "on", "fake m1")
    assert row["power_age_seconds"] < 5
    rack.done("off", "m1")
    assert rack.row("m1")["power"] == "off"
