"""Machines of a lab from the records to the device and back: the zoni agent switches what others see switched."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tashi.lab.call import wait_until
from tashi.lab.lab import Lab, down
from tests.lab.commands import QUICK, Shell
from tests.lab.rack import Rack

NAME = "test-zoni"
pytestmark = [pytest.mark.lab]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    down(NAME)
    try:
        yield Lab.up(NAME, 1, "fake", machines=2, settings={"controller": QUICK})
    finally:
        down(NAME)


@pytest.fixture
def rack(lab: Lab) -> Rack:
    return Rack(lab)


@pytest.fixture
def shell(lab: Lab) -> Shell:
    return Shell(NAME)


def test_they_are_in_the_records(shell: Shell) -> None:
    assert shell.run("zoni-list", "-H", "-o", "name,host").stdout == "m1\t\nm2\t\nh1\th1\n"
    assert shell.run("zoni-agents", "list", "-H", "-o", "name,health,machines").stdout == "zoni-agent\tup\t3\n"
    assert shell.run("zoni-switch", "list", "-H", "-o", "name,used").stdout == "switch\tp1,p2\n"


def test_power_is_what_a_bmc_says_and_a_witness_too(shell: Shell, rack: Rack) -> None:
    shell.run("zoni-power", "on", "-q", "m1", "m2")
    assert [(rack.state(name), rack.ipmi(name, "power", "status")) for name in ("m1", "m2")] == [("on", "on")] * 2
    shell.run("zoni-power", "off", "-q", "m2")
    assert (rack.state("m1"), rack.state("m2")) == ("on", "off")


def test_a_host_is_switched_off_and_on_as_a_machine(shell: Shell) -> None:
    shell.run("zoni-power", "off", "-q", "--force", "h1")
    assert shell.status()["h1"]["state"] == "off"
    wait_until(lambda: "by ipmi" in shell.run("zoni-show", "h1", "-H", "-o", "power_evidence").stdout, "that is proof")
    shell.run("zoni-power", "on", "-q", "h1")
    shell.wait_host("h1", "up")


def test_its_agent_dies_and_is_started_again(shell: Shell, rack: Rack) -> None:
    shell.run("tashi-lab", "kill-zoni-agent")
    assert shell.status()["zoni-agent"]["state"] == "off"
    shell.run("tashi-lab", "start-zoni-agent")
    assert shell.status()["zoni-agent"]["state"] == "up"
    shell.run("zoni-power", "on", "-q", "m2")
    assert rack.state("m2") == "on"
