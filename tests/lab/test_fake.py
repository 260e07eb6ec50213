"""A lab of fake hosts: no root, large hosts, guests that outlive their agent, the same verbs as with real ones."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tashi.lab.call import wait_until
from tashi.lab.lab import Lab, down
from tashi.lab.process import marked
from tashi.lab.programs import ROOT, program, surroundings
from tashi.lab.record import Folders, Settings

pytestmark = [pytest.mark.lab]
NAME = "test-fake"
# A host is unknown after a second.
QUICK: Settings = {"controller": {"heartbeat_seconds": 0.2, "missed": 5}, "fake": {"seconds_per_gib": 0.5}}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    down(NAME)
    try:
        yield Lab.up(NAME, 3, "fake", settings=QUICK)
    finally:
        down(NAME)


def run(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A command as a person in the lab's shell types it."""
    environment = surroundings("none") | Lab.seen(NAME).environment()
    return subprocess.run(
        [*program(words[0]), *words[1:]], env=environment, capture_output=True, text=True, timeout=60, check=check
    )


def row(noun: str, name: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(run(f"t{noun}-list", "-j", name).stdout)
    return found


def create(name: str, host: str) -> None:
    words = ("--image", "linux", "--cores", "2", "--memory", "1G", "--nic", "default", "--host", host)
    run("tvm-create", "-q", name, *words)
    assert row("vm", name)["state"] == "running"


def wait(name: str, state: str) -> None:
    run("tvm-wait", "-q", "--timeout", "20", "--state", state, name)


def wait_health(host: str, health: str) -> None:
    wait_until(lambda: row("host", host)["health"] == health, f"{host} is {health}", seconds=20)


def test_hosts_are_large_and_images_are_there(lab: Lab) -> None:
    host = row("host", "h1")
    assert (host["cores"], host["memory_bytes"], host["disk_bytes"]) == (64, 256 * 2**30, 4 * 2**40)
    assert set(run("timg-list", "-H", "-o", "name,state").stdout.split("\n")) >= {"tiny\tready", "linux\tready"}


def test_status_tells_what_runs(lab: Lab) -> None:
    rows = [json.loads(line) for line in run("tashi-lab", "status", "-j").stdout.splitlines()]
    assert [(each["name"], each["state"]) for each in rows] == [
        ("controller", "up"), ("h1", "up"), ("h2", "up"), ("h3", "up"),
    ]  # fmt: skip
    assert all(each["agent"] for each in rows[1:])
    table = run("tashi-lab", "status").stdout.splitlines()
    assert table[0].split()[:3] == ["NAME", "STATE", "PID"]
    assert len(table) == 5


def test_guests_outlive_their_agent(lab: Lab) -> None:
    create("outlives", "h1")
    run("tashi-lab", "kill-agent", "h1")
    wait("outlives", "unknown")
    run("tashi-lab", "start-agent", "h1")
    wait("outlives", "running")
    assert row("vm", "outlives")["generation"] == 1, "nobody touched it"


def test_a_guest_migrates_between_agents(lab: Lab) -> None:
    create("moves", "h1")
    moved = json.loads(run("tvm-migrate", "-j", "--to", "h3", "moves").stdout)
    assert (moved["from"], moved["to"], moved["outcome"]) == ("h1", "h3", "done")
    assert row("vm", "moves")["host"] == "h3"


def test_a_power_cut_ends_guests_and_a_start_is_a_new_boot(lab: Lab) -> None:
    create("dies", "h2")
    before = row("host", "h2")["boot_id"]
    run("tashi-lab", "crash", "h2")
    assert [json.loads(each)["state"] for each in run("tashi-lab", "status", "-j").stdout.splitlines()][2] == "off"
    wait("dies", "unknown")
    assert "h2" in str(row("vm", "dies")["reason"])
    refused = run("tashi-lab", "start-agent", "h2", check=False)
    assert (refused.returncode, refused.stderr) == (1, "tashi-lab: h2: is off\nhint: tashi-lab start h2\n")
    run("tashi-lab", "start", "h2")
    wait("dies", "stopped")
    assert row("host", "h2")["boot_id"] != before
    run("tvm-start", "-q", "dies")
    wait("dies", "running")


def test_a_cut_host_is_unknown_and_comes_back_as_it_was(lab: Lab) -> None:
    create("lonely", "h1")
    run("tashi-lab", "cut", "h1")
    wait("lonely", "unknown")
    run("tashi-lab", "heal", "h1")
    wait("lonely", "running")
    assert row("vm", "lonely")["generation"] == 1
    run("tashi-lab", "slow", "h1", "--rate", "1mbit")
    assert json.loads(run("tashi-lab", "status", "-j").stdout.splitlines()[1])["rate_bits_per_second"] == 1_000_000
    run("tashi-lab", "slow", "h1", "--rate", "off")


def test_a_migration_to_a_cut_host_leaves_the_guest_where_it_is(lab: Lab) -> None:
    create("stays", "h1")
    run("tashi-lab", "cut", "h3")
    wait_health("h3", "unknown")
    assert run("tvm-migrate", "--to", "h3", "stays", check=False).returncode != 0
    run("tashi-lab", "heal", "h3")
    wait_health("h3", "up")
    assert (row("vm", "stays")["host"], row("vm", "stays")["state"]) == ("h1", "running")


def test_a_killed_controller_forgets_nothing(lab: Lab) -> None:
    create("kept", "h1")
    run("tashi-lab", "kill-controller")
    assert run("tvm-list", "--timeout", "0.5", check=False).returncode == 69
    run("tashi-lab", "start-controller")
    run("tashi-lab", "start-controller")  # running already is success
    wait("kept", "running")
    assert row("vm", "kept")["generation"] == 1


@pytest.mark.parametrize("words", [("exec", "h1", "true"), ("kill-libvirtd", "h1"), ("crash", "h9"), ("beats",)])
def test_what_fake_hosts_can_not_do_is_refused_in_words(lab: Lab, words: tuple[str, ...]) -> None:
    refused = run("tashi-lab", *words, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("tashi-lab: ")
    assert "Traceback" not in refused.stderr


def test_a_lab_that_is_there_is_not_made_again(lab: Lab) -> None:
    refused = run("tashi-lab", "up", "--driver", "fake", check=False)
    assert refused.returncode == 1
    assert "is there already" in refused.stderr


def test_down_leaves_no_process_and_no_file() -> None:
    name = "test-fake-gone"
    down(name)
    made = Lab.up(name, 1, "fake")
    assert len(marked(made.record.mark)) >= 3
    assert down(name)
    assert marked(made.record.mark) == []
    assert not made.folders.run.exists()
    assert not made.folders.data.exists()
    assert not down(name)


@pytest.mark.parametrize("after", [0.3, 1.0, 1.6])
def test_down_cleans_up_after_an_up_that_was_killed(after: float) -> None:
    name = "test-fake-killed"
    down(name)
    up = subprocess.Popen([*program("tashi-lab"), "--name", name, "up", "--driver", "fake"], env=surroundings("none"))
    try:
        up.wait(after)
    except subprocess.TimeoutExpired:
        up.kill()
        up.wait()
    record = Folders(name).load() if Folders(name).file.exists() else None
    down(name)
    assert record is None or marked(record.mark) == []
    assert not Folders(name).run.exists()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder of nobody's; pytest's own are closed to others."""
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, 65534, 65534)
        yield Path(name)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_nobody_can_have_a_lab(open_folder: Path) -> None:
    needed = (Path(sys.executable), Path(sys.executable).resolve(), ROOT / "cmd")
    closed = [each for path in needed for each in path.parents if not each.stat().st_mode & 0o001]
    if closed:
        pytest.skip(f"{closed[0]} is closed to others")
    environment = surroundings("none") | {"XDG_RUNTIME_DIR": str(open_folder), "HOME": str(open_folder)}

    def as_nobody(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*program(words[0]), *words[1:]],
            env=environment, cwd="/", user=65534, group=65534, extra_groups=[],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    try:
        made = as_nobody("tashi-lab", "up", "--driver", "fake", "--hosts", "1")
        assert (made.returncode, made.stderr) == (0, "")
        environment["TASHI_CONTROLLER"] = f"ipc://{open_folder}/tashi-lab/lab/controller"
        created = as_nobody("tvm-create", "mine", "--image", "tiny", "--cores", "1", "--memory", "4M", "-j")
        assert json.loads(created.stdout)["state"] == "running", created.stderr
    finally:
        gone = as_nobody("tashi-lab", "down")
    assert gone.returncode == 0
    assert list(open_folder.iterdir()) == []
