"""What a lab is made of, where neither root nor time is needed."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tashi.lab import cgroups, lab
from tashi.lab.address import INDEXES, Plan
from tashi.lab.beats import Beat, measure
from tashi.lab.commands import _settings
from tashi.lab.network import NETWORKS, parse_rate
from tashi.lab.ports import free_ports
from tashi.lab.process import MARK, Process, marked, spawn, tail
from tashi.lab.record import Folders, HostRecord, MachineRecord, Record, locked
from tashi.wire.errors import NotFound, Refused, TashiError, Unavailable


# -- addresses ---------------------------------------------------------------------------------------------------------
def test_no_two_labs_share_a_network_or_a_name() -> None:
    plans = [Plan(index) for index in INDEXES]
    networks = [network for plan in plans for network in (plan.machines, plan.guests)]
    assert not any(one.overlaps(other) for one, other in itertools.combinations(networks, 2))
    names = [plan.bridge(kind) for plan in plans for kind in NETWORKS]
    names += [plan.link(kind, number) for plan in plans for kind in NETWORKS for number in (1, 9, 200)]
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= 15


def test_a_guests_address_is_in_its_labs_network_and_nobody_elses() -> None:
    plan = Plan(3)
    guests = {plan.guest(f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}") for number in range(1, 60_000)}
    assert len(guests) == 59_999
    assert all(address.startswith("10.131.") and not address.startswith("10.131.0.") for address in guests)
    assert plan.listener not in guests


@pytest.mark.parametrize(("text", "bits"), [("20mbit", 20_000_000), ("1.5gbit", 1_500_000_000), ("off", 0)])
def test_rates(text: str, bits: int) -> None:
    assert parse_rate(text) == bits


@pytest.mark.parametrize("text", ["", "20", "20mb", "-1mbit", "1bit", "999999gbit", "20 mbit", "20mbit;reboot"])
def test_what_is_no_rate_is_refused_by_name(text: str) -> None:
    with pytest.raises(Refused, match="is not a rate"):
        parse_rate(text)


# -- heartbeats --------------------------------------------------------------------------------------------------------
def test_the_longest_silence_is_found() -> None:
    arrivals = [(100.00, 1), (100.01, 2), (100.02, 3), (100.22, 4), (100.23, 7), (100.24, 1)]
    found = measure("52:54:00:00:00:01", "10.128.1.1", [Beat(at, number, 0.0) for at, number in arrivals])
    assert found.gap_seconds == pytest.approx(0.2)
    assert found.downtime_seconds == pytest.approx(0.19)
    assert found.gap_at == "1970-01-01T00:01:40.020Z"
    assert (found.beats, found.lost, found.restarts) == (6, 2, 1)


@pytest.mark.parametrize("beats", [[], [Beat(1.0, 1, 0.0)]])
def test_without_two_beats_there_is_no_silence_to_tell(beats: list[Beat]) -> None:
    assert measure("52:54:00:00:00:01", "", beats).gap_seconds is None


# -- control groups ----------------------------------------------------------------------------------------------------
VERSION_1 = """\
cgroup /sys/fs/cgroup/systemd cgroup rw,nosuid,relatime,xattr,name=systemd 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,relatime,cpu,cpuacct 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,relatime 0 0
"""


def test_version_1_is_every_hierarchy() -> None:
    assert [tuple(each) for each in cgroups.hierarchies(VERSION_1)] == [
        (Path("/sys/fs/cgroup/systemd"), "systemd", "none,name=systemd", 1),
        (Path("/sys/fs/cgroup/cpu,cpuacct"), "cpu,cpuacct", "cpu,cpuacct", 1),
    ]


def test_version_2_is_the_one() -> None:
    found = cgroups.hierarchies("proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n")
    assert [tuple(each) for each in found] == [(Path("/sys/fs/cgroup"), "", "", 2)]


# -- processes ---------------------------------------------------------------------------------------------------------
def test_a_reused_pid_is_not_killed() -> None:
    stranger = subprocess.Popen(["sleep", "60"])
    now = Process.of(stranger.pid)
    assert now is not None
    Process(now.pid, now.started - 1).end()
    assert stranger.poll() is None
    now.end()
    stranger.wait(5)
    assert not now.alive()
    now.end()  # gone already is success


def test_what_a_lab_started_is_found_by_its_mark(tmp_path: Path) -> None:
    mark = f"test-{os.getpid()}"
    started = spawn(["/bin/sleep", "60"], tmp_path / "log", {MARK: mark})
    try:
        assert marked(mark) == [started]
        assert marked(mark + "0") == []
    finally:
        started.end(signal.SIGTERM)
    assert marked(mark) == []


def test_one_that_ends_at_once_is_told_with_its_last_words(tmp_path: Path) -> None:
    script = "import sys; sys.exit('no such thing')"
    process = spawn([sys.executable, "-c", script], tmp_path / "log", {})
    process.wait(20)
    assert not process.alive()
    assert "no such thing" in tail(tmp_path / "log")
    with pytest.raises(Unavailable, match="No such file"):
        spawn(["/nowhere/at-all"], tmp_path / "log", {})


# -- the record --------------------------------------------------------------------------------------------------------
def test_a_record_comes_back_as_it_was_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tashi.lab.record.homes", lambda: (tmp_path / "run", tmp_path / "data"))
    folders = Folders("one")
    with pytest.raises(NotFound):
        folders.load()
    folders.run.mkdir(parents=True)
    folders.data.mkdir(parents=True)
    record = Record("one", "mark", "fake", 4, False, {"user_port": 1}, {"h1": HostRecord(1, Process(7, 8), cut=True)})
    folders.save(record)
    assert folders.load() == record
    folders.file.write_text('{"name": 1}')
    with pytest.raises(Refused, match="not what this version writes"):
        folders.load()
    folders.remove()
    assert not list(tmp_path.iterdir())


def test_a_removed_lab_can_not_be_locked(tmp_path: Path) -> None:
    with pytest.raises(NotFound), locked(tmp_path / "gone"):
        pass
    with pytest.raises(Refused, match="is not a name"):
        Folders("../../etc")


def test_ports_are_free_and_not_promised_to_others() -> None:
    first = free_ports(3, "127.0.0.1", ())
    assert len(set(first)) == 3
    assert not set(first) & set(free_ports(3, "127.0.0.1", first))


def test_no_other_lab_gets_a_port_that_a_lab_has() -> None:
    record = Record(
        "one", "mark", "fake", 4, False, {"user_port": 1}, {"h1": HostRecord(1, ports={"controller": 2})},
        machines={"m1": MachineRecord(1, 3, 4)}, pdu_port=5, switch_port=6, stream_port=7,
    )  # fmt: skip
    assert sorted(lab._ports(record)) == [1, 2, 3, 4, 5, 6, 7]


def test_what_can_not_be_killed_is_told_and_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frozen tasks, or one that hangs in the kernel."""

    class Frozen(Process, frozen=True):
        def send(self, number: signal.Signals) -> None:
            pass

        def wait(self, seconds: float = 10.0) -> None:
            raise Unavailable(f"process {self.pid} still lives")

    monkeypatch.setattr("tashi.lab.record.homes", lambda: (tmp_path / "run", tmp_path / "data"))
    monkeypatch.setattr(lab, "marked", lambda _: [Frozen(7, 8)])
    monkeypatch.setattr(lab, "KILL_SECONDS", 0.1, raising=False)
    folders = Folders("one")
    folders.run.mkdir(parents=True)
    folders.save(Record("one", "mark", "fake", 4, True, {}, {}))
    with pytest.raises(Unavailable, match="process 7 still lives"):
        lab.down("one")
    assert folders.file.exists()


def test_settings_are_toml_where_they_can_be() -> None:
    given = ("agent.cores=4", "agent.accel=tcg", "controller.heartbeat_seconds=0.2", 'agent.uri="x=y"')
    assert _settings(given) == {
        "agent": {"cores": 4, "accel": "tcg", "uri": "x=y"},
        "controller": {"heartbeat_seconds": 0.2},
    }
    with pytest.raises(TashiError, match="cores=4"):
        _settings(("cores=4",))
