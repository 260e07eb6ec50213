"""What every driver promises, held against the fake, libvirt's test hypervisor, and real QEMU."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tashi.model.guest import Disk, Nic
from tashi.wire.agents import Seen
from tashid.driver.interface import Capability
from tests.contract.driver_rigs import MIB, FakeFolderRig, FakeRig, QemuRig, Rig, TestHypervisorRig, refused

needs_libvirt = pytest.mark.skipif(importlib.util.find_spec("libvirt") is None, reason="libvirt-python is missing")


@pytest.fixture(
    params=[
        "memory",
        "folder",
        pytest.param("test", marks=needs_libvirt),
        pytest.param("qemu", marks=pytest.mark.lab),
    ]
)
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    pool = tmp_path / "pool"
    rig: Rig
    match request.param:
        case "memory":
            rig = FakeRig(pool)
        case "folder":
            rig = FakeFolderRig(pool)
        case "test":
            rig = TestHypervisorRig(pool)
        case _:
            rig = QemuRig(pool, request.getfixturevalue("pair"))
    yield rig
    rig.close()


@pytest.fixture
def moving(rig: Rig) -> Rig:
    """A rig where guests migrate."""
    return having(rig, Capability.MIGRATE)


def having(rig: Rig, capability: Capability) -> Rig:
    if capability not in rig.here.capabilities:
        pytest.skip(f"this driver has no {capability}")
    return rig


def alike(seen: Seen) -> tuple[str, str, int]:
    return seen.vm, seen.state, seen.generation


class TestDriver:
    def test_facts_are_measured_or_stated(self, rig: Rig) -> None:
        facts = rig.here.facts()
        assert facts.cores == 3, "stated"
        assert facts.memory_bytes > 64 * MIB
        assert facts.disk_bytes > 0
        assert facts.accelerator
        assert facts.migrate_uri
        assert facts.versions
        assert facts.backend

    def test_what_is_not_there_is_absent(self, rig: Rig) -> None:
        assert rig.here.look("v-1") == Seen("v-1", "absent")
        assert rig.here.stop("v-1", 2) == Seen("v-1", "absent")
        assert rig.here.stamp("v-1", 2) == Seen("v-1", "absent")
        assert rig.here.remove("v-1", "", []) == Seen("v-1", "absent")
        assert rig.here.moving("v-1") is None
        rig.here.abort_move("v-1")
        assert refused(lambda: rig.here.press_power_button("v-1"))

    def test_start_runs_it_with_its_generation(self, rig: Rig) -> None:
        seen = rig.here.start(rig.guest(), 4)
        assert alike(seen) == ("v-1", "running", 4)
        assert (seen.name, seen.cores, seen.memory_bytes) == ("web-1", 1, 16 * MIB)
        assert not seen.foreign and not seen.never_ran and not seen.moving
        assert rig.here.look("v-1") == seen
        assert seen in [replace(each, guest=None) for each in rig.here.inventory()]

    def test_start_of_a_running_guest_only_stamps(self, rig: Rig) -> None:
        rig.here.start(rig.guest(), 4)
        assert alike(rig.here.start(rig.guest(), 6)) == ("v-1", "running", 6)

    def test_start_lets_a_paused_guest_go_on(self, rig: Rig) -> None:
        rig.here.start(rig.guest(), 4)
        rig.pause("v-1")
        assert rig.here.look("v-1").state == "paused"
        assert alike(rig.here.start(rig.guest(), 6)) == ("v-1", "running", 6)

    def test_stop_keeps_the_definition_stamped(self, rig: Rig) -> None:
        rig.here.start(rig.guest(), 4)
        assert alike(rig.here.stop("v-1", 5)) == ("v-1", "stopped", 5)
        assert alike(rig.here.stop("v-1", 5)) == ("v-1", "stopped", 5)
        assert [alike(seen) for seen in rig.here.inventory() if not seen.foreign] == [("v-1", "stopped", 5)]
        assert alike(rig.here.start(rig.guest(), 6)) == ("v-1", "running", 6)

    def test_stop_ends_a_paused_guest(self, rig: Rig) -> None:
        rig.here.start(rig.guest(), 4)
        rig.pause("v-1")
        assert alike(rig.here.stop("v-1", 5)) == ("v-1", "stopped", 5)

    def test_stamp_changes_the_generation_alone(self, rig: Rig) -> None:
        rig.here.start(rig.guest(), 4)
        assert alike(rig.here.stamp("v-1", 7)) == ("v-1", "running", 7)
        rig.here.stop("v-1", 8)
        assert alike(rig.here.stamp("v-1", 9)) == ("v-1", "stopped", 9)
        assert rig.here.look("v-1").name == "web-1"

    def test_remove_leaves_nothing(self, rig: Rig) -> None:
        for state in ("running", "stopped"):
            guest = rig.guest()
            rig.here.start(guest, 1)
            if state == "stopped":
                rig.here.stop("v-1", 1)
            assert rig.here.remove("v-1", "", [disk.path for disk in guest.disks]) == Seen("v-1", "absent")
            assert rig.here.look("v-1") == Seen("v-1", "absent")
            assert not list(rig.pool.glob("disks/*"))

    def test_remove_spares_what_is_not_as_said(self, rig: Rig) -> None:
        rig.here.start(rig.guest(), 1)
        for only_if in ("paused", "never-ran"):
            assert alike(rig.here.remove("v-1", only_if, ["disks/v-1.qcow2"])) == ("v-1", "running", 1)
        rig.pause("v-1")
        assert alike(rig.here.remove("v-1", "never-ran", ["disks/v-1.qcow2"])) == ("v-1", "paused", 1)
        assert refused(lambda: rig.here.remove("v-1", "asleep", []))
        assert rig.here.remove("v-1", "paused", []) == Seen("v-1", "absent")

    def test_a_stopped_guest_is_neither_paused_nor_new(self, rig: Rig) -> None:
        rig.here.start(rig.guest(), 1)
        rig.here.stop("v-1", 1)
        for only_if in ("paused", "never-ran"):
            assert alike(rig.here.remove("v-1", only_if, [])) == ("v-1", "stopped", 1)

    def test_an_inventory_tells_what_a_guest_was_made_of(self, rig: Rig) -> None:
        guest = replace(rig.guest(), owner="ann", image="i-1", created_at="2026-01-01T00:00:00Z")
        rig.here.start(guest, 4)
        rig.here.stamp("v-1", 5)
        assert [seen.guest for seen in rig.here.inventory() if not seen.foreign] == [guest]

    def test_a_guest_of_another_cluster_is_told_and_never_touched(self, rig: Rig) -> None:
        rig.here.cluster = "theirs"
        rig.here.start(rig.guest(), 4)
        rig.here.cluster = "ours"
        assert rig.here.look("v-1") == Seen("v-1", "absent")
        assert rig.here.stop("v-1", 5).state == "absent"
        assert rig.here.remove("v-1", "", []).state == "absent"
        assert "not ours" in refused(lambda: rig.here.start(rig.guest(), 5))
        assert refused(lambda: rig.here.press_power_button("v-1"))
        (seen,) = [each for each in rig.here.inventory() if each.name in ("v-1", "web-1")]
        assert (seen.foreign, seen.state, seen.cores, seen.generation) == (True, "running", 1, 0)
        rig.here.cluster = "theirs"
        assert alike(rig.here.look("v-1")) == ("v-1", "running", 4)

    def test_a_guest_from_before_clusters_had_ids_is_ours_and_gets_one(self, rig: Rig) -> None:
        rig.here.start(rig.guest(), 4)
        rig.here.cluster = "ours"
        assert alike(rig.here.look("v-1")) == ("v-1", "running", 4)
        rig.here.stamp("v-1", 5)
        rig.here.cluster = "theirs"
        assert rig.here.look("v-1") == Seen("v-1", "absent")

    def test_a_foreign_guest_is_told_and_never_touched(self, rig: Rig) -> None:
        rig.add_foreign("v-9")

        def told() -> Seen:
            return next(seen for seen in rig.here.inventory() if seen.name == "v-9")

        before = told()
        assert before.foreign and before.state == "running"
        assert (before.cores, before.memory_bytes) == (2, 64 * MIB)
        assert rig.here.look("v-9").state == "absent"
        assert rig.here.stop("v-9", 2).state == "absent"
        assert rig.here.remove("v-9", "", []).state == "absent"
        assert refused(lambda: rig.here.start(rig.guest(9), 2))
        assert refused(lambda: rig.here.press_power_button("v-9"))
        assert told() == before

    def test_the_power_button_is_for_running_guests(self, rig: Rig) -> None:
        having(rig, Capability.POWER_BUTTON)
        rig.here.start(rig.guest(), 1)
        rig.here.press_power_button("v-1")
        rig.here.stop("v-1", 2)
        assert refused(lambda: rig.here.press_power_button("v-1"))

    def test_a_start_that_is_refused_leaves_nothing(self, rig: Rig) -> None:
        having(rig, Capability.DISKS)
        good = rig.guest()
        for bad in (
            replace(good, nics=[Nic("elsewhere", "52:54:00:00:00:01")]),
            replace(good, disks=[*good.disks, Disk("disks/v-1b.qcow2", "qcow2", "images/none.raw", "raw")]),
            replace(good, memory_bytes=0),
        ):
            assert refused(lambda bad=bad: rig.here.start(bad, 1))  # type: ignore[misc]
            assert rig.here.look("v-1") == Seen("v-1", "absent")
            assert not list(rig.pool.glob("disks/*"))

    def test_a_disk_that_is_lost_is_not_replaced(self, rig: Rig) -> None:
        """Nor after an end of its definition, nor on another host; what is put back is used as it is."""
        guest = rig.guest() if rig.guest().disks else replace(rig.guest(), disks=[Disk("disks/v-1.qcow2", "qcow2")])
        made = replace(guest, disks=[replace(disk, made=True) for disk in guest.disks])
        rig.here.start(guest, 1)
        rig.here.stop("v-1", 2)
        assert alike(rig.here.start(made, 3)) == ("v-1", "running", 3)
        rig.here.stop("v-1", 4)
        rig.lose_disk("disks/v-1.qcow2")
        assert "disks/v-1.qcow2 is not there" in refused(lambda: rig.here.start(made, 5))
        assert alike(rig.here.look("v-1")) == ("v-1", "stopped", 4), "nothing was changed"
        rig.here.remove("v-1", "", [])
        assert "disks/v-1.qcow2 is not there" in refused(lambda: rig.here.start(made, 6))
        assert rig.here.look("v-1").state == "absent"
        assert not list(rig.pool.glob("disks/*"))
        assert alike(rig.here.start(guest, 7)) == ("v-1", "running", 7), "unless it may be made"

    def test_a_disk_outlives_stop_and_start(self, rig: Rig) -> None:
        having(rig, Capability.DISKS)
        rig.here.start(rig.guest(), 1)
        disk = (rig.pool / "disks/v-1.qcow2").stat().st_ino
        rig.here.stop("v-1", 2)
        rig.here.start(rig.guest(), 3)
        assert (rig.pool / "disks/v-1.qcow2").stat().st_ino == disk
        rig.here.remove("v-1", "", [])
        assert (rig.pool / "disks/v-1.qcow2").exists(), "what is not named is not deleted"


class TestMigration:
    def test_it_runs_there_and_is_gone_here(self, moving: Rig) -> None:
        guest = moving.guest()
        moving.here.start(guest, 1)
        stats = moving.here.migrate(guest, moving.peer, 2)
        assert 0 < stats.downtime_seconds < stats.total_seconds
        assert stats.bytes > 0
        assert moving.here.look("v-1") == Seen("v-1", "absent")
        seen = moving.there.look("v-1")
        assert alike(seen) == ("v-1", "running", 2)
        assert not seen.never_ran and not seen.moving
        assert alike(moving.there.start(guest, 2)) == ("v-1", "running", 2)
        assert alike(moving.there.stop("v-1", 3)) == ("v-1", "stopped", 3), "it is defined there"

    def test_only_what_runs_here_migrates(self, moving: Rig) -> None:
        guest = moving.guest()
        assert refused(lambda: moving.here.migrate(guest, moving.peer, 2))
        moving.here.start(guest, 1)
        moving.here.stop("v-1", 2)
        assert refused(lambda: moving.here.migrate(guest, moving.peer, 3))

    @pytest.mark.parametrize(
        "peer", ["", "h2", "test:///default", "qemu+ssh://h2/system", "qemu+tls://h2/system?no_verify=1"]
    )
    def test_a_wrong_address_is_refused(self, moving: Rig, peer: str) -> None:
        moving.here.start(moving.guest(), 1)
        assert refused(lambda: moving.here.migrate(moving.guest(), peer, 2))
        assert alike(moving.here.look("v-1")) == ("v-1", "running", 1)

    def test_while_it_moves_it_is_left_alone(self, moving: Rig) -> None:
        guest = moving.guest()
        moving.here.start(guest, 1)
        moving.hold_moves("v-1")
        result = moving.begin_move(guest, 2)
        moving.until(lambda: moving.there.look("v-1").state == "paused")
        seen, incoming = moving.here.look("v-1"), moving.there.look("v-1")
        assert (alike(seen), seen.moving) == (("v-1", "running", 1), True)
        assert (alike(incoming), incoming.never_ran, incoming.moving) == (("v-1", "paused", 2), True, False)
        assert seen in [replace(each, guest=None) for each in moving.here.inventory()]
        job = moving.here.moving("v-1")
        assert job is not None and 0 <= job.done_bytes <= job.total_bytes
        assert moving.there.moving("v-1") is None
        for call in (
            lambda: moving.here.start(guest, 3),
            lambda: moving.here.stop("v-1", 3),
            lambda: moving.here.remove("v-1", "", []),
            lambda: moving.here.stamp("v-1", 3),
            lambda: moving.here.press_power_button("v-1"),
            lambda: moving.here.migrate(guest, moving.peer, 3),
            lambda: moving.there.start(guest, 3),
        ):
            assert "migration" in refused(call)
        moving.release_moves("v-1")
        result()
        assert alike(moving.there.look("v-1")) == ("v-1", "running", 2)

    def test_an_aborted_migration_goes_on_at_the_source(self, moving: Rig) -> None:
        guest = moving.guest()
        moving.here.start(guest, 1)
        moving.hold_moves("v-1")
        result = moving.begin_move(guest, 2)
        moving.until(lambda: moving.there.look("v-1").state == "paused" and moving.here.moving("v-1"))
        moving.here.abort_move("v-1")
        assert "goes on here" in refused(result)
        assert moving.here.moving("v-1") is None
        assert alike(moving.here.look("v-1")) == ("v-1", "running", 1)
        moving.until(lambda: moving.there.look("v-1").state == "absent")
        assert alike(moving.here.start(guest, 3)) == ("v-1", "running", 3)

    def test_an_incoming_guest_that_never_ran_can_be_removed(self, moving: Rig) -> None:
        guest = moving.guest()
        moving.here.start(guest, 1)
        moving.hold_moves("v-1")
        result = moving.begin_move(guest, 2)
        moving.until(lambda: moving.there.look("v-1").never_ran)
        assert moving.there.remove("v-1", "never-ran", []) == Seen("v-1", "absent")
        assert "goes on here" in refused(result)
        assert alike(moving.here.look("v-1")) == ("v-1", "running", 1)
