"""An installed copy stands by itself: nothing in it points to the checkout, or to where it was put together."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.house.test_every_command import SHELLS
from tests.house.tree import ROOT, commands, files

PREFIX = "/nowhere/tashi"  # not a place on any machine
pytestmark = pytest.mark.timeout(180)


def install(dest: Path) -> None:
    settings = os.environ | {"DESTDIR": str(dest), "PREFIX": PREFIX}
    done = subprocess.run([ROOT / "packaging/install"], env=settings, capture_output=True, text=True, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stdout + done.stderr


@pytest.fixture(scope="module")
def dest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an installed copy has been staged."""
    found = tmp_path_factory.mktemp("dest")
    install(found)
    return found


def run(dest: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """The installed copy's own interpreter, alone: no PYTHONPATH, no PATH with this checkout's commands."""
    python = f"{dest}{PREFIX}/lib/tashi/bin/python3"
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/nonexistent", "LANG": "C.UTF-8"} | more
    command = [python, "-I", *arguments]
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=60)


def test_the_packages_are_the_copy_s_own(dest: Path) -> None:
    done = run(dest, "-c", "import tashi, tashid, zoni; print(tashi.__path__, tashid.__path__, zoni.__path__)")
    assert done.stdout.count(f"{dest}{PREFIX}/lib/tashi/lib/") == 3, done.stderr


@pytest.mark.parametrize("name", commands())
def test_a_command_runs(dest: Path, name: str) -> None:
    link = Path(f"{dest}{PREFIX}/bin/{name}")
    assert os.access(link, os.X_OK)
    assert link.read_text().startswith(f"#!{PREFIX}/lib/tashi/bin/python3 -I\n")
    assert not os.path.isabs(os.readlink(link)), "it would point out of a staged copy"
    done = run(dest, str(link), "-h")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: {name}" in done.stdout.lower()


def test_a_cluster_runs_from_it(dest: Path, tmp_path: Path) -> None:
    """Controller, agent and commands, all of them the installed ones, in a laboratory of fake hosts."""
    name = f"installed-{os.getpid()}"
    command = f"{dest}{PREFIX}/bin/"
    home = {"HOME": str(tmp_path)}
    up = run(dest, f"{command}tashi-lab", "up", "--driver", "fake", "--hosts", "1", "--name", name, **home)
    try:
        assert up.returncode == 0, up.stderr
        shown = run(dest, f"{command}tashi-lab", "env", "--name", name, **home).stdout
        settings = dict(line.removeprefix("export ").split("=", 1) for line in shown.splitlines())
        make = ("one", "--image", "tiny", "--cores", "1", "--memory", "64M", "-H", "-o", "name,state,host")
        made = run(dest, f"{command}tvm-create", *make, **home, **settings)
        assert (made.stdout, made.stderr) == ("one\trunning\th1\n", "")
    finally:
        down = run(dest, f"{command}tashi-lab", "down", "--name", name, **home)
    assert down.returncode == 0, down.stderr


def test_everything_is_in_its_place(dest: Path) -> None:
    prefix = Path(f"{dest}{PREFIX}")
    for page in (name.removeprefix("man/") for name in files() if re.fullmatch(r"man/.*\.[1-9]", name)):
        assert (prefix / "share/man" / f"man{page[-1]}" / page).is_file()
    places = {
        "bash": "share/bash-completion/completions",
        "zsh": "share/zsh/site-functions",
        "fish": "share/fish/vendor_completions.d",
    }
    for shell, pattern in SHELLS.items():
        assert sorted(os.listdir(prefix / places[shell])) == sorted(pattern.format(name) for name in commands())
    for name in (
        "systemd/system/tashi-controller.service",
        "sysusers.d/tashi-controller.conf",
        "tmpfiles.d/tashi-agent.conf",
    ):
        assert (prefix / "lib" / name).is_file()
    assert sorted(os.listdir(prefix / "bin")) == sorted(commands())


def test_nothing_points_elsewhere(dest: Path) -> None:
    for folder, _, names in os.walk(dest):
        for name in names:
            path = Path(folder, name)
            if not path.is_symlink():
                content = path.read_bytes()
                assert str(dest).encode() not in content, path
                assert f"{ROOT}/".encode() not in content, path


def test_the_sample_never_replaces_settings(dest: Path) -> None:
    settings = dest / "etc/tashi/tashi.toml"
    assert settings.read_bytes() == (ROOT / "packaging/tashi.toml").read_bytes()
    settings.write_text("# mine\n")
    install(dest)
    assert settings.read_text() == "# mine\n"


UNITS = {
    "tashi-controller": {"Type=notify", "User=tashi", "NoNewPrivileges=yes", "ProtectSystem=strict"},
    "tashi-agent": {"Type=notify", "KillMode=process"},
    "zoni-agent": {"Type=notify", "DynamicUser=yes", "NoNewPrivileges=yes", "ProtectSystem=strict"},
}


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_starts_the_installed_command(dest: Path, name: str) -> None:
    lines = Path(f"{dest}{PREFIX}/lib/systemd/system/{name}.service").read_text().splitlines()
    assert UNITS[name] | {f"ExecStart={PREFIX}/bin/{name}"} <= set(lines)


@pytest.mark.parametrize("name", UNITS)
def test_systemd_understands_the_unit(name: str, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("no systemd-analyze on this machine")
    unit = tmp_path / f"{name}.service"
    unit.write_text(
        (ROOT / f"packaging/systemd/{name}.service").read_text().replace(f"/usr/local/bin/{name}", "/bin/true")
    )
    done = subprocess.run([analyze, "verify", "--man=no", unit], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
