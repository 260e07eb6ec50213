"""Agents as processes, with fake guests: enrolment, and what survives the death of an agent, a controller, a host."""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon.processes import PATIENCE, Asker, Controller, Host, until

QUICK = "heartbeat_seconds = 0.3\nmissed = 4"
SILENCE = 2 * 0.3 * 4  # twice the seconds after which a host is judged


class Cluster:
    """A controller with hosts and one image."""

    def __init__(self) -> None:
        self.controller = Controller(more=QUICK)
        self.hosts: dict[str, Host] = {}

    def up(self, *names: str) -> Cluster:
        self.controller.start()
        for name in names:
            self.hosts[name] = host = Host(self.controller, name)
            assert host.enroll() == (0, f"{name}: enrolled\n")
            host.start()
        (self.controller.folder / "pool/tiny.raw").write_bytes(b"\x55\xaa" * 2**19)
        self.ask = self.controller.local()
        until(lambda: {host["health"] for host in self.list("host")} == {"up"}, "hosts are up")
        self.done(self.ask.ok("image.add", name="tiny", path="tiny.raw", format="raw"))
        return self

    def close(self) -> None:
        for host in self.hosts.values():
            host.close()
        self.controller.close()

    def list(self, noun: str, *names: str) -> list[dict[str, Any]]:
        rows = self.controller.local().ask("list", noun=noun, names=list(names), format="json", full=True)["rows"]
        return [json.loads(row) for row in rows.splitlines()]

    def vm(self, name: str) -> dict[str, Any]:
        found = self.list("vm", name)
        return found[0] if found else {"state": "gone"}

    def health(self, host: str) -> str:
        return str(self.list("host", host)[0]["health"])

    def create(self, name: str, **more: Any) -> None:
        self.done(self.ask.ok("vm.create", name=name, image="tiny", cores=1, memory_bytes=2**30, **more))

    def done(self, accepted: dict[str, Any]) -> None:
        """Wait until the operation has ended well."""
        asker = self.controller.local()
        end = time.monotonic() + PATIENCE
        after = 0
        while not accepted.get("done"):
            assert time.monotonic() < end, f"{accepted} goes on"
            page = asker.ok("changes", job=accepted["job"], after=after, wait_seconds=1)
            after = page["revision"]
            ends = [each for each in page["entries"] if each["id"] == accepted["job"] and each["state"] != "running"]
            assert [each for each in ends if each["state"] != "done"] == []
            accepted = {**accepted, "done": bool(ends)}
        asker.close()

    def world(self, host: str) -> dict[str, Any]:
        """The fake guests of a host, from the files that they are."""
        folder = self.controller.folder / "world/hosts" / host
        return {file.stem: json.loads(file.read_text()) for file in folder.glob("*.json")}


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    made = Cluster()
    try:
        yield made
    finally:
        made.close()


# -- enrolment --------------------------------------------------------------------------------------------------------
def test_enrolment_makes_a_key_here_and_registers_its_public_half(controller: Controller) -> None:
    host = Host(controller, "h1")
    assert host.enroll() == (0, "h1: enrolled\n")
    state = host.folder / "state"
    for name in ("agent.key", "enrolled.toml"):
        assert stat.S_IMODE((state / name).stat().st_mode) == 0o600
    secret = (state / "agent.key").read_text().split('secret = "')[1][:40]
    everything = [file for file in controller.folder.rglob("*") if file.is_file() and file.parent != state]
    assert not [file for file in everything if secret.encode() in file.read_bytes()]
    host.start()
    assert host.stop() == 0


def test_a_controller_that_listens_on_one_address_is_called_by_it(controller: Controller) -> None:
    document = controller.local().ok("host.add", name="h9")["extra"]
    assert f"tcp://127.0.0.1:{controller.ports['agent']}" in document["controller"], document


def test_a_token_is_used_once(controller: Controller) -> None:
    host, thief = Host(controller, "h1"), Host(controller, "h2")
    document = host.document()
    assert host.enroll(document)[0] == 0
    status, text = thief.enroll(document)
    assert status == 77 and "token is not valid" in text
    assert host.enroll(document)[0] == 0, "the same key may ask again: its answer may have been lost"


@pytest.mark.parametrize("text", ["", "host = 3", "not toml", 'host = "h1"\ntoken = "t"\nserver_key = "k"'])
def test_what_is_no_document_is_told(controller: Controller, text: str) -> None:
    status, out = Host(controller, "h1").enroll(text or "\n")
    assert status == 2 and "not what thost-add prints" in out


def test_with_another_server_key_there_is_no_answer(controller: Controller) -> None:
    host = Host(controller, "h1")
    document = host.document().replace(controller.server_key, "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7")
    status, out = host.enroll(document)
    assert status == 69 and "another server key" in out, out


def test_a_host_that_is_not_enrolled_says_what_to_do(controller: Controller) -> None:
    agent = Host(controller, "h1").agent(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out, _ = agent.communicate(timeout=PATIENCE)
    assert agent.returncode == 1 and b"not enrolled" in out and b"--enroll" in out


def test_one_agent_for_each_host(cluster: Cluster) -> None:
    cluster.up("h1")
    second = cluster.hosts["h1"].agent(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out, _ = second.communicate(timeout=PATIENCE)
    assert second.returncode == 75 and b"another agent is using it" in out
    assert cluster.health("h1") == "up"


# -- life and death ---------------------------------------------------------------------------------------------------
def test_guests_outlive_their_agent_and_are_adopted(cluster: Cluster) -> None:
    cluster.up("h1")
    cluster.create("web")
    before = cluster.world("h1")
    cluster.hosts["h1"].kill()
    until(lambda: cluster.vm("web")["state"] == "unknown", "silence is noticed")
    assert cluster.health("h1") == "unknown"
    assert cluster.world("h1") == before
    cluster.hosts["h1"].start()
    until(lambda: cluster.vm("web")["state"] == "running", "it is seen again")
    assert cluster.world("h1") == before, "nothing was done to it"
    assert "incarnation=2" in cluster.hosts["h1"].log


def test_a_controller_killed_in_the_middle_goes_on_where_it_was(cluster: Cluster) -> None:
    cluster.up("h1", "h2")
    for number in range(6):
        cluster.ask.ok("vm.create", name=f"vm{number}", image="tiny", cores=1, memory_bytes=2**30, hold=True)
        cluster.controller.kill()
        cluster.controller.start()
        cluster.ask = cluster.controller.local()
    running = {"running"}
    until(lambda: {vm["state"] for vm in cluster.list("vm")} == running, "all run at last", 40)
    guests = [*cluster.world("h1"), *cluster.world("h2")]
    assert len(guests) == len(set(guests)) == 6


@pytest.mark.fault(46)
def test_agents_find_a_controller_that_was_deaf(cluster: Cluster) -> None:
    """Stopped, it keeps its connections and answers nothing; agents build new ones, and are told from the old."""
    cluster.up("h1")
    cluster.create("web")
    process = cluster.controller.process
    assert process is not None
    process.send_signal(signal.SIGSTOP)
    until(lambda: "not heard any more" in cluster.hosts["h1"].log, "the agent notices")
    process.send_signal(signal.SIGCONT)
    until(lambda: cluster.health("h1") == "up" and cluster.vm("web")["state"] == "running", "all is well again", 40)


@pytest.mark.fault(35)
def test_after_a_power_cut_guests_are_stopped_and_may_be_started(cluster: Cluster) -> None:
    cluster.up("h1", "h2")
    cluster.create("web", host="h1")
    host = cluster.hosts["h1"]
    host.kill()
    until(lambda: cluster.vm("web")["state"] == "unknown", "silence is noticed")
    assert "h1" in cluster.vm("web")["reason"]
    for file in (cluster.controller.folder / "world/hosts/h1").glob("*.json"):
        guest = json.loads(file.read_text())
        file.write_text(json.dumps({**guest, "state": "stopped"}))
    host.boot()
    host.start()
    until(lambda: cluster.vm("web")["state"] == "stopped", "the new boot is evidence")
    cluster.done(cluster.ask.ok("vm.start", name="web"))
    assert cluster.vm("web")["state"] == "running"


@pytest.mark.fault(26)
def test_an_agent_killed_in_a_migration_does_not_lose_the_guest(cluster: Cluster) -> None:
    cluster.up("h1", "h2")
    cluster.create("web", host="h1")
    accepted = cluster.ask.ok("vm.migrate", name="web", to="h2")
    moves = cluster.controller.folder / "world/moves"
    until(lambda: any(moves.glob("*.json")), "it begins")
    cluster.hosts["h1"].kill()
    cluster.hosts["h1"].start()
    cluster.done(accepted)
    assert (cluster.vm("web")["state"], cluster.vm("web")["host"]) == ("running", "h2")
    assert not cluster.world("h1")


def test_what_ended_while_nobody_listened_is_told_later(cluster: Cluster) -> None:
    """The agent's outbox: the controller is away when a guest goes off, and the agent dies before it is back."""
    cluster.up("h1")
    until(lambda: "events are heard" in cluster.hosts["h1"].log, "its agent listens")
    cluster.create("web")
    cluster.controller.kill()
    (file,) = (cluster.controller.folder / "world/hosts/h1").glob("*.json")
    file.write_text(json.dumps({**json.loads(file.read_text()), "state": "stopped"}))
    journal = cluster.hosts["h1"].folder / "state/journal"
    until(lambda: '"exited":true' in journal.read_text(), "it is noted")
    cluster.hosts["h1"].kill()
    cluster.controller.start()
    cluster.hosts["h1"].start()
    until(lambda: cluster.vm("web")["state"] == "stopped", "it is told")


@pytest.mark.fault(50)
def test_without_room_for_its_journal_an_agent_does_nothing_and_says_why(cluster: Cluster) -> None:
    cluster.up("h1")
    cluster.create("web")
    host = cluster.hosts["h1"]
    assert host.process is not None
    limits = resource.prlimit(host.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(host.process.pid, resource.RLIMIT_FSIZE, (1, limits[1]))
    accepted = cluster.ask.ok("vm.destroy", name="web")
    until(lambda: cluster.health("h1") == "degraded", "it says that it is unwell")
    assert "journal" in cluster.list("host", "h1")[0]["reason"]
    assert cluster.world("h1"), "nothing was done that could be forgotten"
    resource.prlimit(host.process.pid, resource.RLIMIT_FSIZE, limits)
    cluster.done(accepted)
    until(lambda: cluster.health("h1") == "up", "it is well again")
    assert not cluster.world("h1")


def test_a_driver_that_fails_is_told_and_tried_again(cluster: Cluster) -> None:
    """The world's folder is gone for a while, as a hypervisor may be."""
    cluster.up("h1")
    hosts = cluster.controller.folder / "world"
    os.rename(hosts, f"{hosts}.away")
    hosts.write_text("not a folder")
    until(lambda: cluster.health("h1") == "degraded", "it is told", 90)
    hosts.unlink()
    os.rename(f"{hosts}.away", hosts)
    until(lambda: cluster.health("h1") == "up", "it is well again", 90)
    cluster.create("web")


@pytest.mark.attack(5)
def test_removed_hosts_are_strangers_at_once(cluster: Cluster) -> None:
    cluster.up("h1")
    cluster.ask.ok("host.remove", name="h1")
    until(lambda: "without controller" in cluster.hosts["h1"].log, "it is not answered any more")
    assert "message from a host that is not ours" in cluster.controller.log
    assert cluster.list("host") == []


def test_workers_import_nothing_from_where_the_agent_was_started(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('not the one that was meant')\n")
    cluster.up("h1")
    cluster.hosts["h1"].stop()
    cluster.hosts["h1"].start(cwd=tmp_path)
    until(lambda: cluster.health("h1") == "up", "it works")
    cluster.create("web")


def test_workers_go_with_their_agent(cluster: Cluster) -> None:
    cluster.up("h1")
    cluster.create("web")
    agent = cluster.hosts["h1"].process
    assert agent is not None
    children = until(lambda: children_of(agent.pid), "it has workers")
    cluster.hosts["h1"].kill()
    until(lambda: not [pid for pid in children if os.path.exists(f"/proc/{pid}/exe")], "they are gone")


@pytest.mark.fault(54)
def test_a_host_whose_hypervisor_calls_hang_is_heard_all_the_while(cluster: Cluster) -> None:
    """Storage that stalls: every call of a worker hangs. The agent's beats don't wait for them, nor do other hosts."""
    cluster.up("h1", "h2")
    agent = cluster.hosts["h1"].process
    assert agent is not None
    for pid in children_of(agent.pid):
        os.kill(pid, signal.SIGSTOP)
    hangs = cluster.ask.ok("vm.create", name="web", image="tiny", cores=1, memory_bytes=2**30, host="h1")
    revision = cluster.ask.ok("status")["revision"]
    for number in range(5):
        cluster.create(f"other{number}", host="h2")
    time.sleep(SILENCE)  # nothing else could show that nobody was judged silent
    assert cluster.health("h1") == "up" and cluster.vm("web")["state"] == "starting"
    told = cluster.ask.ok("changes", after=revision, kinds=["host"], wait_seconds=0)["entries"]
    assert not told, "its beats never paused"
    for pid in children_of(agent.pid):
        os.kill(pid, signal.SIGCONT)
    cluster.done(hangs)
    assert cluster.vm("web")["state"] == "running"


def children_of(pid: int) -> list[int]:
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def test_an_asker_is_answered_while_hosts_talk(cluster: Cluster) -> None:
    """A guard against a loop that starves one door for another."""
    cluster.up("h1", "h2")
    asker: Asker = cluster.controller.local()
    slowest = 0.0
    for _ in range(200):
        began = time.monotonic()
        asker.ok("status")
        slowest = max(slowest, time.monotonic() - began)
    assert slowest < 5.0
