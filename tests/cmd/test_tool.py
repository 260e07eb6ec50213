"""What every command does whatever it is about: signals, full disks, usage, errors, the terminal."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.cmd.fake_controller import FakeController, accepted, environment, error, rows_of, run

WEB = {"name": "web", "id": "v-1", "state": "running"}


def start(folder: Path, *words: str, **more: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen(words, env=environment(folder), stderr=subprocess.PIPE, **more)


def until(condition: Any) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.01)


def test_a_closed_pipe_ends_it_by_the_signal(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["list"] = lambda body: ({"rows": 5, "cursor": "v-9:"}, b"x" * 100_000)
    endless = start(tmp_path, "tvm-list", stdout=subprocess.PIPE)
    assert endless.stdout is not None
    endless.stdout.read(10)
    endless.stdout.close()
    _, told = endless.communicate(timeout=10)
    assert (endless.returncode, told) == (-signal.SIGPIPE, b"")


def test_ctrl_c_ends_it_by_the_signal(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["list"] = lambda body: None
    listing = start(tmp_path, "tvm-list")
    until(lambda: fake.asked)
    listing.send_signal(signal.SIGINT)
    assert (listing.communicate(timeout=10)[1], listing.returncode) == (b"", -signal.SIGINT)


def test_ctrl_c_leaves_the_operation_running_and_says_its_id(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["vm.start"] = lambda body: accepted("j-17", "web")
    fake.scripts["changes"] = lambda body: None
    starting = start(tmp_path, "tvm-start", "web")
    until(lambda: fake.bodies("changes"))
    starting.send_signal(signal.SIGINT)
    told = starting.communicate(timeout=10)[1].decode()
    assert starting.returncode == -signal.SIGINT
    assert told == "tvm-start: interrupted; it goes on: j-17\nhint: tjob-wait j-17\n"
    assert {each["verb"] for each in fake.asked} == {"vm.start", "changes"}


def test_what_was_ignored_at_its_start_stays_ignored(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["list"] = lambda body: ({"rows": 0}, b"") if len(fake.asked) > 1 else None
    shell = ["sh", "-c", "trap '' INT; exec tvm-list --timeout 5"]
    listing = subprocess.Popen(shell, env=environment(tmp_path))
    until(lambda: fake.asked)
    listing.send_signal(signal.SIGINT)
    assert listing.wait(10) == 0


@pytest.mark.parametrize("words", [("tvm-list",), ("tvm-list", "-j"), ("tvm-list", "-h"), ("tvm-list", "-o", "help")])
def test_a_full_disk_is_told_in_one_line(fake: FakeController, tmp_path: Path, words: tuple[str, ...]) -> None:
    fake.scripts["list"] = rows_of(WEB)
    with open("/dev/full", "wb") as full:
        done = start(tmp_path, *words, stdout=full)
        told = done.communicate(timeout=10)[1]
    assert (done.returncode, told) == (1, b"tvm-list: standard output: No space left on device\n")


def test_nowhere_to_write_is_told_too(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["list"] = rows_of(WEB)
    done = run(tmp_path, "sh", "-c", "exec tvm-list >&-")
    assert (done.returncode, done.stderr) == (1, "tvm-list: standard output: Bad file descriptor\n")


def test_nobody_to_complain_to_changes_no_status(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["list"] = lambda body: error("denied", "not you")
    assert run(tmp_path, "sh", "-c", "exec tvm-list 2>/dev/full").returncode == 77
    assert run(tmp_path, "sh", "-c", "exec tvm-list 2>&-").returncode == 77


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["tvm-destroy"], "which vm? Give names or ids, or - to read them from standard input"),
        (["tvm-list", "--bogus"], "no such option '--bogus'"),
        (["tvm-list", "-j", "-H"], "-j or -H, not both"),
        (["tvm-create", "web", "--image", "i", "--cores", "1", "--memory", "much"], "'much' is not a size"),
        (["tvm-create", "web", "--image", "i", "--cores", "1", "--memory", "1G", "--hold=long"], "'long' is not a dur"),
        (["tvm-create", "web", "--image", "i", "--cores", "1", "--memory", "1G", "--hint", "fast"], "not KEY=VALUE"),
        (["tvm-migrate", "--to", "h2", "--abort", "web"], "--to or --abort, not both"),
        (["timg-add", "x", "/somewhere/x.raw", "--format", "raw"], "/somewhere/x.raw: not in the shared pool"),
        (["thost-add", "h1", "h2"], "an enrolment file is one host's"),
        (["tuser-add", "ann", "bob", "--uid", "7"], "--uid and --key are one user's"),
        (["timg-add", "x", "x.raw"], "missing option '--format'. Choose from: raw, qcow2"),
        (["timg-add", "x", "", "--format", "raw"], "an empty FILE"),
        (["timg-add", "x", "x.raw", "--format", "raw", "--kernel", ""], "an empty FILE"),
        (["timg-add", "", "x.raw", "--format", "raw"], "an empty name"),
        (["tvm-list", "--controller", "foo"], "'--controller': 'foo' is no address"),
        (["tvm-list", "--controller", ""], "'--controller': '' is no address"),
        (["tvm-list", "--controller", "ipc:///a,"], "'--controller': '' is no address"),
        (["tvm-list", "--controller", "tcp://host"], "'--controller': 'tcp://host' is no address"),
        (["tvm-start", "web", "--timeout", "0"], "'--timeout': '0' is no time at all"),
        (["tvm-start", "\udcff"], "'\\udcff': not text in UTF-8"),
        (["tvm-start", "w" * 81], "'wwwwwwwwwwwwwwwwwwww'...: 81 characters, which no name has"),
        (["tvm-start", "--a\nb\x1b[31m"], "\\x1b[31m"),
    ],
)
def test_wrong_usage_is_one_line_a_hint_and_2(tmp_path: Path, words: list[str], told: str) -> None:
    done = run(tmp_path, *words)
    assert done.returncode == 2
    first, hint = done.stderr.splitlines()
    assert first.startswith(f"{words[0]}: ")
    assert told in first
    assert hint == f"hint: {words[0]} -h"


@pytest.mark.parametrize(
    ("code", "status"),
    [("bad-request", 2), ("denied", 77), ("not-found", 1), ("no-room", 75), ("locked", 75), ("busy", 75), ("newer", 1)],
)
def test_an_error_has_the_status_of_its_code(fake: FakeController, tmp_path: Path, code: str, status: int) -> None:
    fake.scripts["vm.start"] = lambda body: error(code, "web: it is so", "do that")
    done = run(tmp_path, "tvm-start", "web")
    suffix = " (newer)" if code == "newer" else ""
    assert (done.returncode, done.stderr) == (status, f"tvm-start: web: it is so{suffix}\nhint: do that\n")


@pytest.mark.attack(34)
def test_an_error_is_one_line_whatever_the_name_is(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["vm.start"] = lambda body: error("not-found", f"{body['name']}: no such vm", "look\nthere")
    done = run(tmp_path, "tvm-start", "a\nb\x1b[31m\x9b\x7f")
    assert done.stderr == "tvm-start: a\\x0ab\\x1b[31m\\x9b\\x7f: no such vm\nhint: look\\x0athere\n"


def test_a_hint_is_given_once(fake: FakeController, tmp_path: Path) -> None:
    hints = {"a": "wait", "b": "wait", "c": "look"}
    fake.scripts["vm.start"] = lambda body: error("no-room", "full", hints[body["name"]])
    done = run(tmp_path, "tvm-start", "a", "b", "c")
    told = ["tvm-start: a: full", "hint: wait", "tvm-start: b: full", "tvm-start: c: full", "hint: look"]
    assert done.stderr.splitlines() == told


@pytest.mark.parametrize(
    ("words", "there"),
    [
        ("tvm-destroy web -o nope", "state"),
        ("tvm-start web --submit -o image", "by"),
        ("tvm-start web -n -o image", "note"),
        ("tvm-migrate web -o image", "downtime_seconds"),
        ("tvm-migrate web --abort -o bytes", "image"),
        ("tjob-cancel j-1 -o image", "phase"),
        ("tvm-wait web -o bytes", "image"),
    ],
)
def test_a_field_that_is_none_is_refused_before_anything_is_asked(
    fake: FakeController, tmp_path: Path, words: str, there: str
) -> None:
    done = run(tmp_path, words)
    wrong = words.split()[-1]
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"{words.split()[0]}: -o {wrong}: no such field\nhint: -o help lists them\n"
    keys = [line.split()[0] for line in run(tmp_path, f"{words.rpartition(' ')[0]} help").stdout.splitlines()]
    assert there in keys
    assert wrong not in keys
    assert fake.asked == []


def test_the_fields_are_told_whatever_is_missing(tmp_path: Path) -> None:
    done = run(tmp_path, "tvm-create", "-o", "help")
    assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, "name", "")


def test_json_has_the_error_as_a_record_too(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["vm.start"] = lambda body: error("locked", "web: locked by j-3")
    done = run(tmp_path, "tvm-start", "-j", "web")
    expected = {"name": "web", "error": {"code": "locked", "text": "web: locked by j-3", "retry": True}}
    assert json.loads(done.stdout) == expected
    assert run(tmp_path, "tvm-start", "-j", "-q", "web").stdout == ""


def test_silence_is_69(tmp_path: Path) -> None:
    done = run(tmp_path, "tvm-list", "--timeout", "0.2")
    assert done.returncode == 69
    assert done.stderr.startswith(f"tvm-list: no answer from ipc://{tmp_path} in 0.2 s: not running\n")


def test_the_name_that_got_no_answer_is_told(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["vm.start"] = lambda body: error("locked", "locked") if body["name"] == "a" else None
    done = run(tmp_path, "tvm-start", "a", "b", "c", "--timeout", "0.3")
    assert done.returncode == 69
    assert done.stderr.splitlines()[0] == "tvm-start: a: locked"
    assert done.stderr.splitlines()[1].startswith("tvm-start: b and 1 more: no answer from ")


def test_a_setting_that_is_none_names_the_file(tmp_path: Path) -> None:
    file = tmp_path / "tashi.toml"
    file.write_text("[client]\ncontroler = []\n")
    done = run(tmp_path, "tvm-list", "--config", str(file))
    assert done.returncode == 2
    assert f"{file}: [client] controler: no such key" in done.stderr


@pytest.mark.parametrize("more", ["[placement]\ncores_ratio = nan\n", "[pool]\nsize = 1\n", "[placment]\n"])
def test_a_mistake_in_a_section_of_the_daemons_ends_no_command(fake: FakeController, tmp_path: Path, more: str) -> None:
    file = tmp_path / "tashi.toml"
    file.write_text(more)
    fake.scripts |= {"status": lambda body: {"settings_refused": "so"}, "list": rows_of()}
    done = run(tmp_path, "tashi-status", "-j", "--config", str(file))
    assert (done.returncode, json.loads(done.stdout)["settings_refused"]) == (0, "so"), done.stderr
    check = run(tmp_path, "tashi-check", "-H", "-o", "name,what", "--config", str(file))
    assert f"{file}\t[{more[1:].partition(']')[0]}]" in check.stdout, check.stderr
    if "pool" in more:
        image = run(tmp_path, "timg-add", "x", "x.raw", "--format", "raw", "--config", str(file))
        assert (image.returncode, "size: no such key" in image.stderr) == (2, True)


@pytest.mark.parametrize("line", ["tvm-start -h", "tvm-list -h", "tashi-events -h"])
def test_help_and_pages_have_one_word_for_how_long(tmp_path: Path, line: str) -> None:
    assert "--timeout SPAN" in run(tmp_path, line).stdout


def on_terminal(folder: Path, answer: bytes, *words: str) -> tuple[int, str]:
    """A command with a terminal all around; (status, what was on the screen)."""
    master, slave = pty.openpty()
    child = subprocess.Popen(words, env=environment(folder, TERM="xterm"), stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    os.write(master, answer)
    screen = b""
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:  # EIO: the other end is closed
            break
        if not piece:
            break
        screen += piece
    os.close(master)
    return child.wait(10), screen.decode().replace("\r\n", "\n")


def test_destroying_many_asks_on_a_terminal(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["vm.destroy"] = lambda body: accepted("j-1", body["name"])
    fake.scripts["list"] = rows_of()
    status, screen = on_terminal(tmp_path, b"n\n", "tvm-destroy", "a", "b")
    assert status == 1
    assert "destroy 2: a, b, with their disks? [y/N]" in screen
    assert not fake.asked
    assert on_terminal(tmp_path, b"y\n", "tvm-destroy", "a", "b")[0] == 0
    assert len(fake.bodies("vm.destroy")) == 2
    assert "?" not in on_terminal(tmp_path, b"", "tvm-destroy", "-y", "a", "b")[1]
    assert "?" not in on_terminal(tmp_path, b"", "tvm-destroy", "a")[1]
    assert run(tmp_path, "tvm-destroy", "a", "b").returncode == 0


def test_to_confirm_that_a_host_is_off_is_asked_with_what_follows(fake: FakeController, tmp_path: Path) -> None:
    status, screen = on_terminal(tmp_path, b"n\n", "thost-confirm-off", "h1")
    assert status == 1 and not fake.asked
    assert "count as stopped what runs on 1: h1, so that it may start elsewhere? [y/N]" in screen


def test_progress_is_on_a_terminal_and_gone_at_the_end(fake: FakeController, tmp_path: Path) -> None:
    end = {"entries": [{"kind": "job", "id": "j-1", "name": "web", "state": "done"}], "revision": 9}
    fake.scripts["vm.migrate"] = lambda body: accepted("j-1", "web")
    fake.scripts["changes"] = lambda body: end if len(fake.bodies("changes")) > 1 else {"entries": [], "revision": 8}
    moving = {"id": "j-1", "parent": None, "verb": "vm.migrate", "name": "web", "phase": "copy", "children": 0}
    moving |= {"open_children": 0, "done_bytes": 2**30, "total_bytes": 2**32, "bytes_per_second": 2**28}
    fake.scripts["list"] = rows_of(moving)
    status, screen = on_terminal(tmp_path, b"", "tvm-migrate", "-q", "web")
    assert status == 0
    assert screen == "\r\x1b[Kvm.migrate web: copy, 1G of 4G, 256M/s, 12s left\r\x1b[K"
    assert run(tmp_path, "tvm-migrate", "-q", "web").stderr == ""


def test_no_colour_anywhere(tmp_path: Path) -> None:
    assert "\x1b" not in on_terminal(tmp_path, b"", "tvm-list", "-h")[1]
    assert "\x1b" not in on_terminal(tmp_path, b"", "tvm-list", "--bogus")[1]
