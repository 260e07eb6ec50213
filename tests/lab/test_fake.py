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
from tests.lab.commands import Shell

pytestmark = [pytest.mark.lab]
NAME = "test-fake"
# A host is unknown after a second.
CONTROLLER = {"heartbeat_seconds": 0.2, "missed": 5, "steady_seconds": 0}
QUICK: Settings = {"controller": CONTROLLER, "fake": {"seconds_per_gib": 0.5}}


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    down(NAME)
    try:
        yield Lab.up(NAME, 3, "fake", settings=QUICK)
    finally:
        down(NAME)


@pytest.fixture
def shell(lab: Lab) -> Shell:
    return Shell(NAME)


def create(shell: Shell, name: str, host: str) -> None:
    words = ("--image", "linux", "--cores", "2", "--memory", "1G", "--nic", "default", "--host", host)
    shell.run("tvm-create", "-q", name, *words)
    assert shell.row("vm", name)["state"] == "running"


def wait_health(shell: Shell, host: str, health: str) -> None:
    wait_until(lambda: shell.row("host", host)["health"] == health, f"{host} is {health}", seconds=20)


def test_hosts_are_large_and_images_are_there(shell: Shell) -> None:
    host = shell.row("host", "h1")
    assert (host["cores"], host["memory_bytes"], host["disk_bytes"]) == (64, 256 * 2**30, 4 * 2**40)
    assert set(shell.run("timg-list", "-H", "-o", "name,state").stdout.split("\n")) >= {"tiny\tready", "linux\tready"}


def test_status_tells_what_runs(shell: Shell) -> None:
    status = shell.status()
    assert {name: each["state"] for name, each in status.items()} == dict.fromkeys(
        ("controller", "h1", "h2", "h3"), "up"
    )
    assert all(status[host]["agent"] for host in ("h1", "h2", "h3"))
    table = shell.run("tashi-lab", "status").stdout.splitlines()
    assert table[0].split()[:3] == ["NAME", "STATE", "PID"]
    assert len(table) == 5


def test_its_shell_finds_the_pages_besides_all_others(shell: Shell) -> None:
    exports = dict(
        line.removeprefix("export ").split("=", 1) for line in shell.run("tashi-lab", "env").stdout.splitlines()
    )
    first, *others = exports["MANPATH"].strip("'").split(":")
    assert (Path(first) / "man1" / "tvm-create.1").is_file() and (Path(first) / "man7" / "tashi.7").is_file()
    assert "" in others, "the system's own"


def test_guests_outlive_their_agent(shell: Shell) -> None:
    create(shell, "outlives", "h1")
    shell.run("tashi-lab", "kill-agent", "h1")
    shell.wait("outlives", "unknown")
    shell.run("tashi-lab", "start-agent", "h1")
    shell.wait("outlives", "running")
    assert shell.row("vm", "outlives")["generation"] == 1, "nobody touched it"


def test_a_guest_migrates_between_agents(shell: Shell) -> None:
    create(shell, "moves", "h1")
    moved = json.loads(shell.run("tvm-migrate", "-j", "--to", "h3", "moves").stdout)
    assert (moved["from"], moved["to"], moved["outcome"]) == ("h1", "h3", "done")
    assert shell.row("vm", "moves")["host"] == "h3"


def test_a_power_cut_ends_guests_and_a_start_is_a_new_boot(shell: Shell) -> None:
    create(shell, "dies", "h2")
    before = shell.row("host", "h2")["boot_id"]
    shell.run("tashi-lab", "crash", "h2")
    assert shell.status()["h2"]["state"] == "off"
    shell.wait("dies", "unknown")
    assert "h2" in str(shell.row("vm", "dies")["reason"])
    refused = shell.run("tashi-lab", "start-agent", "h2", check=False)
    assert (refused.returncode, refused.stderr) == (1, "tashi-lab: h2: is off\nhint: tashi-lab start h2\n")
    shell.run("tashi-lab", "start", "h2")
    shell.wait("dies", "stopped")
    assert shell.row("host", "h2")["boot_id"] != before
    shell.run("tvm-start", "-q", "dies")
    shell.wait("dies", "running")


@pytest.mark.fault(36)
def test_a_cut_host_is_unknown_and_comes_back_as_it_was(shell: Shell) -> None:
    create(shell, "lonely", "h1")
    shell.run("tashi-lab", "cut", "h1")
    shell.wait("lonely", "unknown")
    shell.run("tashi-lab", "heal", "h1")
    shell.wait("lonely", "running")
    assert shell.row("vm", "lonely")["generation"] == 1
    shell.run("tashi-lab", "slow", "h1", "--rate", "1mbit")
    assert shell.status()["h1"]["rate_bits_per_second"] == 1_000_000
    shell.run("tashi-lab", "slow", "h1", "--rate", "off")


def test_a_migration_to_a_cut_host_leaves_the_guest_where_it_is(shell: Shell) -> None:
    create(shell, "stays", "h1")
    shell.run("tashi-lab", "cut", "h3")
    wait_health(shell, "h3", "unknown")
    assert shell.run("tvm-migrate", "--to", "h3", "stays", check=False).returncode != 0
    shell.run("tashi-lab", "heal", "h3")
    wait_health(shell, "h3", "up")
    assert (shell.row("vm", "stays")["host"], shell.row("vm", "stays")["state"]) == ("h1", "running")


def test_a_killed_controller_forgets_nothing(shell: Shell) -> None:
    create(shell, "kept", "h1")
    shell.run("tashi-lab", "kill-controller")
    assert shell.run("tvm-list", "--timeout", "0.5", check=False).returncode == 69
    shell.run("tashi-lab", "start-controller")
    shell.run("tashi-lab", "start-controller")  # running already is success
    shell.wait("kept", "running")
    assert shell.row("vm", "kept")["generation"] == 1


@pytest.mark.parametrize("words", [("exec", "h1", "true"), ("kill-libvirtd", "h1"), ("crash", "h9"), ("beats",)])
def test_what_fake_hosts_can_not_do_is_refused_in_words(shell: Shell, words: tuple[str, ...]) -> None:
    refused = shell.run("tashi-lab", *words, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("tashi-lab: ")
    assert "Traceback" not in refused.stderr


def test_a_lab_that_is_there_is_not_made_again(shell: Shell) -> None:
    refused = shell.run("tashi-lab", "up", "--driver", "fake", check=False)
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
    up = subprocess.Popen(
        [*program("tashi-lab"), "--name", name, "up", "--driver", "fake", "--machines", "2"], env=surroundings("none")
    )
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
        made = as_nobody("tashi-lab", "up", "--driver", "fake", "--hosts", "1", "--machines", "1")
        assert (made.returncode, made.stderr) == (0, "")
        environment["TASHI_CONTROLLER"] = f"ipc://{open_folder}/tashi-lab/lab/controller"
        created = as_nobody("tvm-create", "mine", "--image", "tiny", "--cores", "1", "--memory", "4M", "-j")
        assert json.loads(created.stdout)["state"] == "running", created.stderr
    finally:
        gone = as_nobody("tashi-lab", "down")
    assert gone.returncode == 0
    assert list(open_folder.iterdir()) == []
