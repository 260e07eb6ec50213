"""What tashi-check finds on the controller's machine, while the controller runs and when it does not."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tashi.config import look_through
from tashid.check import here
from tests.daemon.processes import Controller


@pytest.fixture
def controller() -> Iterator[Controller]:
    made = Controller()
    yield made.start()
    made.close()


def found(controller: Controller) -> list[tuple[str, str]]:
    config, wrong = look_through(str(controller.config))
    own = config._replace(agent=config.agent._replace(state=f"{controller.folder}/no-agent"))
    return [(each["kind"], each["what"]) for each in here(own, wrong) if each["help"]]


def test_nothing_is_wrong_while_it_runs_and_after(controller: Controller) -> None:
    controller.local().ok("user.add", name="ann", uid=5)
    assert found(controller) == []
    assert controller.stop() == 0
    assert found(controller) == []


@pytest.mark.fault(14)
def test_a_store_with_a_flipped_bit(controller: Controller) -> None:
    controller.local().ok("user.add", name="ann", uid=5)
    controller.stop()
    data = Path(controller.folder / "state/store/data.mdb")
    raw = bytearray(data.read_bytes())
    raw[raw.index(b'"name":"ann"') + 9] ^= 1
    data.write_bytes(raw)
    ((kind, what),) = found(controller)
    assert kind == "store" and "checksum" in what


@pytest.mark.fault(14)
def test_a_store_cut_short(controller: Controller) -> None:
    controller.stop()
    os.truncate(controller.folder / "state/store/data.mdb", 4096)
    ((kind, _),) = found(controller)
    assert kind == "store"


@pytest.mark.attack(35)
def test_a_key_that_others_may_read(controller: Controller) -> None:
    key = controller.folder / "state/server.key"
    key.chmod(0o644)
    assert found(controller) == [("key", "mode 0644: others may read it")]


@pytest.mark.attack(35)
def test_a_folder_that_others_may_read(controller: Controller) -> None:
    (controller.folder / "state").chmod(0o755)
    assert found(controller) == [("folder", "mode 0755: others may read or write it")]


def test_a_key_of_many_years(controller: Controller) -> None:
    then = time.time() - 900 * 86_400
    os.utime(controller.folder / "state/server.key", (then, then))
    assert found(controller) == [("key", "it is 900 days old")]


def test_a_filter_that_placement_does_not_know(controller: Controller) -> None:
    controller.config.write_text(controller.config.read_text() + '[placement]\nfilters = ["colour"]\n')
    ((kind, what),) = found(controller)
    assert kind == "controller" and "'colour': no such filter" in what


def test_every_section_that_can_not_be_read(controller: Controller) -> None:
    plain = controller.config.read_text()
    more = "[placement.weights]\norder = -1\n[quota]\nvms = true\n[nets]\n[network]\nbr0 = 1\n"
    controller.config.write_text(plain + more)
    assert [what.split(":")[0] for _, what in found(controller)] == [
        "[placement.weights] order", "[quota] vms", "[nets]", "[network]",
    ]  # fmt: skip
    controller.config.write_text(plain.replace("[controller]\n", '[controller]\nstaet = "/"\n'))
    assert [what for _, what in found(controller)] == ["[controller] staet: no such key"]
