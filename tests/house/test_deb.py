"""The Debian packages: what they ask for is what pyproject.toml asks for, and a machine can live with them."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from tashid.driver.tls_files import OURS, PLACES
from tests.house.tree import ROOT

CONTROL = (ROOT / "packaging/debian/control").read_text()
OTHER_NAMES = {"libvirt-python": "python3-libvirt"}


def field(paragraph: str, name: str) -> list[str]:
    """The items of a field in the paragraph that has this line."""
    found = next(each for each in CONTROL.split("\n\n") if paragraph in each.splitlines())
    lines = "\n".join(line for line in found.splitlines() if not line.startswith("#"))
    hit = re.search(rf"^{name}:((?:.|\n )*)", lines, re.MULTILINE)
    assert hit, f"{paragraph} has no {name}"
    return [item.strip() for item in hit[1].split(",")]


def wanted() -> set[str]:
    """pyproject's requirements in Debian's words."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    parts = (each.partition(">=") for each in project["dependencies"])
    return {f"{OTHER_NAMES.get(name, f'python3-{name}')} (>= {version})" for name, _, version in parts}


def test_the_interpreter_is_new_enough() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"python3 ({project['requires-python'].replace('>=', '>= ')}~)" in field("Source: tashi", "Build-Depends")


def test_what_debian_has_is_asked_for_as_pyproject_does() -> None:
    """Both when packages are made, or pip would bring its own, and when they are installed."""
    depends = {item for item in field("Package: tashi", "Depends") if item.startswith("python3-")}
    built_with = {item for item in field("Source: tashi", "Build-Depends") if item.startswith("python3-")}
    assert depends
    assert depends <= wanted()
    assert depends == built_with - {"python3-venv"}


def test_what_they_are_built_with_is_set_up() -> None:
    listed = set(re.findall(r"^[\w.+-]+", (ROOT / "packaging/debian-packages.txt").read_text(), re.MULTILINE))
    needed = {item.split()[0] for item in field("Source: tashi", "Build-Depends")}
    assert needed - {"debhelper-compat", "dh-sequence-installsysusers"} <= listed
    assert {"debhelper", "lintian"} <= listed


def test_a_purge_takes_every_certificate_that_the_agent_places() -> None:
    script = (ROOT / "packaging/debian/tashi-agent.postrm").read_text()
    assert {each.path for each in PLACES} == set(re.findall(r"[\w/-]+\.pem", script))
    assert f"/var/lib/tashi-agent/{OURS} " in script


def test_a_purge_takes_what_a_zoni_agent_made() -> None:
    """Where its unit has it: of a dynamic user that is below private, behind a link, once it has run."""
    unit = (ROOT / "packaging/systemd/zoni-agent.service").read_text()
    state = re.search(r"^DynamicUser=yes\nStateDirectory=(\S+)$", unit, re.MULTILINE)
    assert state
    script = (ROOT / "packaging/debian/tashi.postrm").read_text()
    assert re.findall(r"/var/lib/\S+", script) == [f"/var/lib/private/{state[1]}", f"/var/lib/{state[1]}"]


def test_what_a_zoni_agent_has_consoles_by_is_suggested() -> None:
    assert "ipmitool" in field("Package: tashi", "Suggests")


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_two_machines_live_with_them() -> None:
    """Built without a word from lintian, installed, used, installed again and purged, each step as it is expected."""
    if os.geteuid() != 0 or not Path("/sys/fs/cgroup").is_mount():
        pytest.skip("machines need root, and control groups")
    done = subprocess.run([ROOT / "packaging/try-deb"], capture_output=True, text=True, timeout=1200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not re.search(r"^[EW]: ", done.stdout, re.MULTILINE), done.stdout
