"""The controller as a process: one reply for each request, watchers that hear, clear words at a bad start."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.daemon.processes import PATIENCE, ROOT, Asker, Controller, environment, until


def test_it_answers_and_ends_in_good_order(controller: Controller, admin: Asker) -> None:
    status = admin.ok("status")
    assert (status["epoch"], status["role"]) == (1, "admin")
    assert controller.stop() == 0
    assert "stopped" in controller.log


def test_a_list_comes_with_its_rows_ready_to_print(admin: Asker) -> None:
    admin.ok("user.add", name="ada", uid=70001)
    answer = admin.ask("list", noun="user", format="json")
    assert answer["ok"]["rows"] == 1
    assert json.loads(answer["rows"])["name"] == "ada"


@pytest.mark.fault(43)
@pytest.mark.attack(14)
def test_the_same_request_twice_is_done_once(controller: Controller, admin: Asker) -> None:
    first = admin.ask("user.add", "request-one", name="ada", uid=70001)
    assert admin.ask("user.add", "request-one", name="ada", uid=70001) == first
    controller.kill()
    controller.start()
    assert controller.local().ask("user.add", "request-one", name="ada", uid=70001) == first
    assert admin.ask("list", noun="user")["ok"]["rows"] == 1


@pytest.mark.fault(43)
@pytest.mark.attack(14)
def test_the_same_request_twice_in_one_batch_is_done_once(admin: Asker) -> None:
    for _ in range(20):
        admin.send("user.add", "request-one", name="ada", uid=70001)
    replies = [admin.reply() for _ in range(20)]
    assert all(reply == replies[0] for reply in replies) and "ok" in replies[0]


@pytest.mark.attack(15)
def test_a_request_id_is_not_used_for_something_else(admin: Asker) -> None:
    admin.ask("user.add", "request-one", name="ada", uid=70001)
    assert admin.code("user.add", "request-one", name="bob", uid=70002) == "conflict"
    assert admin.ask("list", noun="user")["ok"]["rows"] == 1


@pytest.mark.attack(9)
@pytest.mark.parametrize("verb", ["vm.explode", "__class__", "request", "", "_read"])
def test_an_unknown_verb_is_told(admin: Asker, verb: str) -> None:
    assert admin.code(verb) == "unknown-verb"


def nested(depth: int) -> bytes:
    return b'{"id": "abcdefgh", "verb": "list", "body": ' + b"[" * depth + b"]" * depth + b"}"


def create(cores: str = "1", memory: str = "4194304") -> bytes:
    body = f'{{"name": "v", "image": "i", "cores": {cores}, "memory_bytes": {memory}}}'
    return b'{"id": "abcdefgh", "verb": "vm.create", "body": %s}' % body.encode()


@pytest.mark.attack(9, 11, 12, 13)
@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'"text"',
        b'{"id": "abcdefgh"}',
        b'{"id": "short", "verb": "status"}',
        b'{"id": "abcdefgh", "verb": "status", "surplus": 1}',
        b'{"id": "abcdefgh", "verb": 5}',
        b'{"id": "abcdefgh", "verb": "status", "v": NaN}',
        b'{"id": "abcdefgh", "verb": "list", "body": {"noun": "vm", "limit": 1e400}}',
        b'{"id": "abcdefgh", "verb": "list", "body": {"noun": "vm", "limit": -1}}',
        create(cores="true"),
        create(cores="1.5"),
        create(cores="0"),
        create(memory="-1"),
        create(memory="9223372036854775808"),
        create(memory='"4G"'),
        b'{"id": "abcdefgh", "verb": "status", "body": {"\xff": 1}}',
        nested(10_000),
        nested(400_000),
        b'{"id": "abcdefgh", "verb": "status", "body": {' + b",".join(b'"k%d":1' % n for n in range(80_000)) + b"}}",
    ],
    ids=lambda frame: f"{bytes(frame[:60])!r}",
)
def test_nonsense_is_a_bad_request_and_nothing_else(admin: Asker, frame: bytes) -> None:
    admin.socket.send(frame)
    assert admin.reply()["error"]["code"] == "bad-request"
    assert admin.ok("status")["revision"] == 0


def test_a_request_is_one_frame(admin: Asker) -> None:
    admin.socket.send_multipart([b"", json.dumps({"id": "abcdefgh", "verb": "status"}).encode()])
    assert admin.reply()["error"]["code"] == "bad-request"


def test_a_watcher_hears_of_what_it_waits_for_at_once(controller: Controller, admin: Asker) -> None:
    watcher, other = controller.local(), controller.local()
    user = next(iter(admin.ok("user.add", name="ada", uid=70001)["objects"]))
    watcher.send("changes", after=-1, ids=[user], wait_seconds=20)
    other.send("changes", after=-1, ids=["u-999"], wait_seconds=0.5)
    assert watcher.silent(0.2)
    began = time.monotonic()
    admin.ok("user.remove", name="ada")
    entries = watcher.reply()["ok"]["entries"]
    assert time.monotonic() - began < 10, "it was told when its wait was over"
    assert user in [entry["id"] for entry in entries]
    assert other.reply()["ok"]["entries"] == []


def test_watchers_of_everything_are_answered_a_few_times_a_second(controller: Controller, admin: Asker) -> None:
    watcher = controller.local()
    revision, polls, seen = 0, 0, []
    end = time.monotonic() + 1.2
    number = 0
    watcher.send("changes", after=0, limit=1000, wait_seconds=5)
    while time.monotonic() < end:
        number += 1
        admin.ok("user.add", name=f"user{number}", uid=70000 + number)
        if not watcher.silent(0):
            answer = watcher.reply()["ok"]
            seen += [entry["revision"] for entry in answer["entries"]]
            revision, polls = answer["revision"], polls + 1
            watcher.send("changes", after=revision, limit=1000, wait_seconds=5)
    head = admin.ok("status")["revision"]
    while revision < head:
        answer = watcher.reply()["ok"]
        seen += [entry["revision"] for entry in answer["entries"]]
        revision = answer["revision"]
        watcher.send("changes", after=revision, limit=1000, wait_seconds=5)
    assert seen == list(range(1, head + 1)), "every change once, in order"
    assert number > polls and polls <= 8


def test_nobody_parks_readers_without_end(admin: Asker) -> None:
    for _ in range(70):
        admin.send("changes", after=-1, wait_seconds=2)
    busy = [admin.reply()["error"]["code"] for _ in range(6)]
    assert busy == ["busy"] * 6
    assert all("ok" in admin.reply() for _ in range(64))


def test_a_reader_reads_the_log_from_its_beginning(controller: Controller, admin: Asker) -> None:
    for number in range(30):
        admin.ok("user.add", name=f"user{number}", uid=70000 + number)
    head = admin.ok("status")["revision"]
    controller.kill()
    controller.start()
    for limit in (7, 1000):
        revision, seen = 0, list[int]()
        while revision < head:
            page = admin.ok("changes", after=revision, limit=limit, wait_seconds=0)
            assert len(page["entries"]) <= limit
            seen += [entry["revision"] for entry in page["entries"]]
            revision = page["revision"]
        assert seen == list(range(1, head + 1))


# -- starting -------------------------------------------------------------------------------------------------------
def refused(controller: Controller) -> tuple[int, str]:
    """Start where it can't: the exit status, and the one line that says why."""
    status = controller.spawn().wait(PATIENCE)
    (line,) = [each for each in controller.log.splitlines() if " error: " in each]
    return status, line


@pytest.mark.fault(9)
def test_two_controllers_on_one_store(controller: Controller, admin: Asker) -> None:
    status, line = refused(controller)
    assert status == 75
    assert "in use by process" in line and str(controller.process.pid if controller.process else 0) in line
    assert admin.ok("status")["epoch"] == 1


@pytest.mark.attack(35)
@pytest.mark.parametrize(
    ("path", "mode", "words"),
    [
        ("state", 0o750, "state: mode 0750: others may read or write it"),
        ("state/server.key", 0o644, "server.key: mode 0644: others may read it"),
        ("run", 0o777, "run: mode 0777: others may write to it"),
    ],
)
def test_what_others_can_touch_is_not_used(controller: Controller, path: str, mode: int, words: str) -> None:
    assert controller.stop() == 0
    (controller.folder / path).chmod(mode)
    status, line = refused(controller)
    assert status == 77
    assert words in line and "chmod" in line


def test_a_mistake_in_the_configuration_is_one_line(controller: Controller) -> None:
    controller.stop()
    controller.config.write_text("[controller]\nsate = 1\n")
    status, line = refused(controller)
    assert status == 2
    assert "[controller] sate: no such key" in line


def test_a_port_in_use_is_one_line(controller: Controller) -> None:
    other = Controller()
    try:
        other.config.write_text(
            other.config.read_text().replace(
                f"admin_port = {other.ports['admin']}", f"admin_port = {controller.ports['admin']}"
            )
        )
        status, line = refused(other)
        assert status == 1 and "Address already in use" in line and str(controller.ports["admin"]) in line
    finally:
        other.close()


def test_it_refuses_to_start_with_a_verb_missing(tmp_path: Path) -> None:
    script = (
        "from tashi.core import verbs; del verbs.VERBS['vm.migrate']; from tashid.controller import main; exit(main())"
    )
    (tmp_path / "tashi.toml").write_text(f'[controller]\nstate = "{tmp_path}/s"\nrun = "{tmp_path}/r"\nlisten = []\n')
    ended = subprocess.run(
        [sys.executable, "-c", script],
        env={**environment(), "TASHI_CONFIG": str(tmp_path / "tashi.toml")},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ended.returncode == 1
    assert "no verb takes VmMigrate: refusing to start" in ended.stderr


@pytest.mark.parametrize("command", ["tashi-controller", "tashi-agent"])
def test_help_says_what_it_does(command: str) -> None:
    ended = subprocess.run(
        [sys.executable, ROOT / "cmd" / command, "-h"],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert ended.returncode == 0
    assert "--config FILE" in ended.stdout


def test_its_log_can_be_objects() -> None:
    controller = Controller(more='log_format = "json"')
    try:
        controller.process = controller.spawn()
        until(lambda: '"event": "serving"' in controller.log, "it serves")
        assert controller.stop() == 0
        told = [json.loads(line) for line in controller.log.splitlines()]
        assert told[-1]["event"] == "stopped" and {each["daemon"] for each in told} == {"tashi-controller"}
    finally:
        controller.close()
