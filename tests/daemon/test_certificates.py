"""Certificates of hosts between real daemons: with enrolment, before the end, by command, and after what went wrong."""

from __future__ import annotations

import json
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from tashi.config import Agent
from tashi.run.log import Log
from tashi.run.loop import Loop
from tashi.run.notify import Notifier
from tashi.wire.agents import Certified
from tashid.credentials import Credentials
from tashid.driver.fake_rows import Fault
from tashid.driver.fake_world import World
from tests.daemon.processes import Controller, Host, until
from tests.daemon.test_agent import QUICK


def own(host: Host) -> dict[str, Any]:
    """What the host keeps."""
    kept: dict[str, Any] = json.loads((host.folder / "state/tls.json").read_text())
    return kept


def record(controller: Controller, name: str) -> dict[str, Any]:
    page = controller.local().ask("list", noun="host", names=[name], format="json", full=True)
    found: dict[str, Any] = json.loads(page["rows"].splitlines()[0])
    return found


def in_use(host: Host, number: int) -> None:
    until(lambda: f" certificate number={number} " in host.log, f"certificate {number} of {host.name}:\n{host.log}")


def up(controller: Controller, *names: str) -> list[Host]:
    hosts = [Host(controller, name) for name in names]
    for host in hosts:
        assert host.enroll() == (0, f"{host.name}: enrolled\n")
        host.start()
    return hosts


def test_it_comes_with_the_enrolment_and_its_key_stays_at_home(controller: Controller) -> None:
    (host,) = up(controller, "h1")
    try:
        kept = own(host)
        assert kept["credential"]["number"] == 1
        assert record(controller, "h1")["certificate_until"][:4] >= time.strftime("%Y")
        in_use(host, 1)
        secrets = [host.folder / "state" / name for name in ("tls.json", "tls-asking.json")]
        assert [stat.S_IMODE(secret.stat().st_mode) for secret in secrets] == [0o600, 0o600]
        key = kept["key"].splitlines()[1].encode()
        elsewhere = [file for file in controller.folder.rglob("*") if file.is_file() and file not in secrets]
        assert elsewhere and not [file for file in elsewhere if key in file.read_bytes()]
    finally:
        host.close()


def test_it_is_renewed_before_it_ends_and_the_old_one_is_revoked() -> None:
    seconds = 9
    with_little_time = Controller(more=f"{QUICK}\ncertificate_days = {seconds / 86400}")
    with_little_time.start()
    (host,) = up(with_little_time, "h1")
    try:
        first = own(host)
        in_use(host, 2)
        second = own(host)
        assert second["key"] != first["key"]
        assert second["since_wall"] < first["credential"]["until_wall"]
        until(lambda: own(host)["credential"]["revocation"] >= 1, "the first one is revoked")
    finally:
        host.close()
        with_little_time.close()


def test_a_command_replaces_it_and_everybody_hears_of_it(controller: Controller) -> None:
    one, two = hosts = up(controller, "h1", "h2")
    try:
        in_use(one, 1)
        in_use(two, 2)
        before = own(one)
        job = controller.local().ok("host.certify", name="h1")["job"]
        in_use(one, 3)
        until(lambda: jobs(controller, job) == "done", "the operation has ended")
        assert own(one)["key"] != before["key"]
        until(lambda: own(two)["credential"]["revocation"] == 1, "the other host knows that the old one is revoked")
    finally:
        for host in hosts:
            host.close()


def jobs(controller: Controller, job: str) -> str:
    page = controller.local().ask("list", noun="job", names=[job], format="json", full=True)
    return str(json.loads(page["rows"].splitlines()[0])["state"])


def test_what_can_not_be_put_in_place_shows_and_is_tried_again(controller: Controller) -> None:
    world = World(str(controller.folder / "world"))
    host = Host(controller, "h1")
    assert host.enroll() == (0, "h1: enrolled\n")
    world.set_faults([Fault(call="use_certificate", fail="/etc/pki is full", times=1)])
    host.start()
    try:
        until(lambda: "/etc/pki is full" in (record(controller, "h1")["reason"] or ""), "the record says why")
        assert record(controller, "h1")["health"] == "degraded"
        in_use(host, 1)
        until(lambda: record(controller, "h1")["health"] == "up", "all is well again")
    finally:
        host.close()


def test_a_host_that_lost_its_certificate_gets_another(controller: Controller) -> None:
    (host,) = up(controller, "h1")
    try:
        in_use(host, 1)
        assert host.stop() == 0
        Path(host.folder / "state/tls.json").unlink()
        host.start()
        in_use(host, 2)
    finally:
        host.close()


def test_why_there_is_none_is_told_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    loop = Loop(Notifier())
    made = Credentials(loop, Agent(state=str(tmp_path)), Log("agent"), lambda _: None, lambda _: None, time.time)
    for _ in range(3):
        made.hear(Certified(1, None, "h1: 10.0.0.2 is the address of h2"))
    loop.close()
    assert made.trouble == "no certificate: h1: 10.0.0.2 is the address of h2"
    assert capfd.readouterr().err.count("is the address of h2") == 1
