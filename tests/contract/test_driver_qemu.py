"""What only real hypervisors do to each other and to their guests: locks, crashes in a migration, a QEMU that hangs."""

from __future__ import annotations

import threading

import pytest

from tashi.model.shorten import shorten
from tashi.wire.agents import Seen
from tashid.driver.libvirt import Unclear, watch
from tests.contract.driver_rigs import QemuRig, refused
from tests.contract.private_libvirtd import enter

pytestmark = pytest.mark.lab


def test_a_disk_in_use_elsewhere_is_not_started_nor_deleted(qemu: QemuRig) -> None:
    qemu.here.start(qemu.guest(), 1)
    why = refused(lambda: qemu.there.start(qemu.guest(), 2))
    assert 'Failed to get "write" lock' in shorten(why, 200) and "-blockdev" not in why
    assert qemu.there.look("v-1") == Seen("v-1", "absent")
    assert (qemu.pool / "disks/v-1.qcow2").exists()
    assert qemu.here.look("v-1").state == "running"


@pytest.mark.fault(29)
def test_a_guest_goes_on_when_its_destination_crashes(qemu: QemuRig) -> None:
    qemu.here.start(qemu.guest(), 1)
    qemu.hold_moves("v-1")
    result = qemu.begin_move(qemu.guest(), 2)
    qemu.until(lambda: qemu.there.look("v-1").state == "paused" and qemu.here.moving("v-1"))
    qemu.pair.hosts[1].kill_libvirtd()
    assert "goes on here" in refused(result)
    assert qemu.here.look("v-1").state == "running" and qemu.here.moving("v-1") is None
    qemu.until(lambda: qemu.there.remove("v-1", "never-ran", []).state == "absent")
    qemu.reconnect()


def test_a_migration_to_where_nobody_is_is_refused(qemu: QemuRig) -> None:
    qemu.here.start(qemu.guest(), 1)
    assert "goes on here" in refused(lambda: qemu.here.migrate(qemu.guest(), "qemu+tcp://10.79.0.99/system", 2))
    assert qemu.here.look("v-1").generation == 1


def test_what_ended_a_guest_is_told(qemu: QemuRig) -> None:
    host = qemu.pair.hosts[0]
    heard: list[dict[str, object]] = []
    threading.Thread(target=watch, args=(host.uri, heard.append), daemon=True).start()
    qemu.until(lambda: heard == [{"connected": True}])
    told = []
    for signal in ("-KILL", "-TERM"):
        before = len(heard)
        qemu.here.start(qemu.guest(), 1)
        enter(host.process.pid, ["kill", signal, (host.folder / "run/qemu/v-1.pid").read_text()])
        qemu.until(lambda: qemu.here.look("v-1").state == "stopped")
        qemu.until(lambda after=before: any(line.get("event") == "stopped" for line in heard[after:]))
        told.append([qemu.here.look("v-1").reason, *(line["why"] for line in heard[before:] if "why" in line)])
    assert told == [["its QEMU crashed or was killed"], ["", "a signal ended its QEMU"]]
    qemu.here.start(qemu.guest(), 1)
    qemu.cut_power("v-1")
    assert qemu.here.look("v-1").reason == "its power was cut on its host"


def test_a_guest_that_hangs_is_seen_and_can_be_ended(qemu: QemuRig) -> None:
    """Its QEMU is stopped, so that a call to it never comes back; the calls of others must."""
    qemu.here.start(qemu.guest(), 1)
    host = qemu.pair.hosts[0]
    pid = (host.folder / "run/qemu/v-1.pid").read_text()
    enter(host.process.pid, ["kill", "-STOP", pid])
    errors: list[Exception] = []

    def press() -> None:
        try:
            qemu.another_driver().press_power_button("v-1")
        except Unclear as error:
            errors.append(error)

    stuck = threading.Thread(target=press, daemon=True)
    stuck.start()
    stuck.join(1.0)
    assert stuck.is_alive()
    assert qemu.here.look("v-1").state == "running"
    assert [seen.vm for seen in qemu.here.inventory()] == ["v-1"]
    assert qemu.here.stop("v-1", 2).state == "stopped"
    stuck.join(qemu.seconds)
    assert errors, "who pressed it is told that nobody knows"
    assert qemu.here.start(qemu.guest(), 3).state == "running"
