"""packaging/setup on machines that lack something: one clear line, and nothing half done."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.house.tree import ROOT


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """As much of a checkout as set-up looks at, without an environment."""
    packaging = tmp_path / "checkout/packaging"
    packaging.mkdir(parents=True)
    for name in ("setup", "debian-packages.txt"):
        shutil.copy2(ROOT / "packaging" / name, packaging)
    shutil.copy2(ROOT / "pyproject.toml", tmp_path / "checkout")
    return tmp_path / "checkout"


def stub(checkout: Path, **programs: str) -> str:
    """A PATH on which these programs are scripts of ours."""
    folder = checkout / "stubs"
    folder.mkdir(exist_ok=True)
    for name, body in programs.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


def setup(checkout: Path, path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [str(checkout / "packaging/setup")]
    environment = dict(os.environ) | {"PATH": path} | environment
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


NOTHING_INSTALLED = "echo installed bash"
ALL_INSTALLED = "sed 's/ *#.*//; s/^/installed /' {list}"


def test_without_root_it_says_what_is_missing(checkout: Path) -> None:
    done = setup(checkout, stub(checkout, dpkg_query=NOTHING_INSTALLED, id="echo 1000", apt_get="exit 99"))
    assert done.returncode == 1
    assert done.stderr.startswith("setup: root is needed to install: ")
    assert "libvirt-dev" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (checkout / ".venv").exists()


@pytest.mark.parametrize(
    "words",
    [
        "E: Failed to fetch http://deb.example/x.deb  Temporary failure resolving 'deb.example'",
        "E: Failed to fetch http://deb.example/x.deb  Unable to connect to deb.example:http:",
    ],
)
def test_without_network_for_debian_it_says_so(checkout: Path, words: str) -> None:
    apt = f'echo "{words}" >&2; exit 100'
    done = setup(checkout, stub(checkout, dpkg_query=NOTHING_INSTALLED, id="echo 0", apt_get=apt))
    assert done.returncode == 1
    assert done.stderr == "setup: no network: a Debian package could not be downloaded\n"


def test_another_failure_of_apt_is_shown(checkout: Path) -> None:
    apt = 'echo "E: no space left on device" >&2; exit 100'
    done = setup(checkout, stub(checkout, dpkg_query=NOTHING_INSTALLED, id="echo 0", apt_get=apt))
    assert done.returncode == 1
    assert "no space left on device" in done.stderr
    assert done.stderr.splitlines()[-1].startswith("setup: a Debian package: apt-get failed")


def test_without_network_for_python_it_says_so(checkout: Path) -> None:
    installed = ALL_INSTALLED.format(list=checkout / "packaging/debian-packages.txt")
    nobody = "http://127.0.0.1:9/simple"  # the discard port: refuses at once
    done = setup(
        checkout,
        stub(checkout, dpkg_query=installed),
        PIP_CONFIG_FILE=os.devnull,
        PIP_INDEX_URL=nobody,
        PIP_EXTRA_INDEX_URL="",
        PIP_FIND_LINKS="",
        PIP_NO_CACHE_DIR="1",
    )
    assert done.returncode == 1
    assert done.stderr == "setup: no network: a Python package could not be downloaded\n"
    assert not (checkout / ".venv/stamp").exists(), "the next run would take it for done"


def test_without_python_it_says_so(checkout: Path) -> None:
    installed = ALL_INSTALLED.format(list=checkout / "packaging/debian-packages.txt")
    script = checkout / "packaging/setup"
    script.write_text(script.read_text().replace("/usr/bin/python3", "python3"))
    old = {f"python3{suffix}": "exit 1" for suffix in ("", ".11", ".12", ".13", ".14")}
    done = setup(checkout, stub(checkout, dpkg_query=installed, **old))
    assert done.returncode == 1
    assert done.stderr == "setup: no Python 3.11 or newer with venv\n"


@pytest.mark.lab
@pytest.mark.parametrize(
    ("release", "welcome"),
    [
        ('ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n', True),
        ('ID=debian\nPRETTY_NAME="Debian testing"\n', True),
        ('ID=ubuntu\nID_LIKE=debian\nVERSION_ID="24.04"\nPRETTY_NAME="Ubuntu 24.04"\n', True),
        ('ID=debian\nVERSION_ID="11"\nPRETTY_NAME="Debian 11"\n', False),
        ('ID=fedora\nVERSION_ID=40\nPRETTY_NAME="Fedora 40"\n', False),
    ],
)
def test_another_distribution_is_told(checkout: Path, release: str, welcome: bool) -> None:
    """In a mount namespace, where /etc/os-release is a file of ours."""
    (checkout / "os-release").write_text(release)
    path = stub(checkout, dpkg_query=NOTHING_INSTALLED, id="echo 1000")
    inside = f"mount --bind {checkout}/os-release /etc/os-release && exec {checkout}/packaging/setup"
    command = ["unshare", "--mount", "sh", "-c", inside]
    done = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True, timeout=60)
    name = release.rpartition('="')[2].strip('"\n')
    if welcome:
        assert done.stderr.startswith("setup: root is needed"), done.stderr
    else:
        line = f"setup: this is {name}; needed is Debian 12 or newer, or a system derived from it\n"
        assert done.stderr == line
    assert done.returncode == 1


def test_what_is_done_is_not_done_again(checkout: Path) -> None:
    """With the stamp of this place and an interpreter that runs, nothing else is even looked for."""
    environment = checkout / ".venv/bin"
    environment.mkdir(parents=True)
    (environment / "python").symlink_to("/bin/true")
    kept = f"/usr/bin/sha256sum | tee {checkout}/sum"
    path = stub(checkout, dpkg_query=f"touch {checkout}/asked; exit 1", sha256sum=kept)
    asked, stamp = checkout / "asked", checkout / ".venv/stamp"

    def asks() -> bool:
        asked.unlink(missing_ok=True)
        done = setup(checkout, path)
        assert asked.exists() == (done.returncode != 0), done.stderr
        return asked.exists()

    assert asks()
    shutil.copy(checkout / "sum", stamp)
    assert not asks()
    with (checkout / "pyproject.toml").open("a") as project:
        project.write("# changed\n")
    assert asks()
    shutil.copy(checkout / "sum", stamp)
    assert not asks()
    (environment / "python").unlink()
    assert asks()
