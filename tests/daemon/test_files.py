"""What daemons keep on disk beside the store, and what they print: keys, configuration, log lines."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tashi import config
from tashi.run import keys
from tashi.run.log import Log, quote
from tashi.wire.errors import TashiError


def test_a_key_is_made_once_and_read_again(tmp_path: Path) -> None:
    path = str(tmp_path / "agent.key")
    pair = keys.read_or_make_pair(path)
    assert keys.read_or_make_pair(path) == pair
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert pair.secret not in repr(pair)
    with pytest.raises(TashiError, match="there is a key already"):
        keys.write_pair(path, keys.new_pair())


@pytest.mark.attack(35)
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "server.key"
    keys.write_pair(str(path), keys.new_pair())
    path.chmod(mode)
    with pytest.raises(TashiError, match="others may") as caught:
        keys.read_pair(str(path))
    assert caught.value.code == "denied" and "chmod 600" in caught.value.hint


@pytest.mark.parametrize("text", ["", "public = 3", 'public = "a"\nsecret = "b"', "\xff", "x" * 5000])
def test_nonsense_is_not_a_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "server.key"
    path.write_text(text, encoding="latin-1")
    path.chmod(0o600)
    with pytest.raises(TashiError, match="not a key file"):
        keys.read_pair(str(path))


def test_halves_of_two_keys_are_no_key(tmp_path: Path) -> None:
    path = str(tmp_path / "key")
    keys.write_pair(path, keys.KeyPair(keys.new_pair().public, keys.new_pair().secret))
    with pytest.raises(TashiError, match="don't belong together"):
        keys.read_pair(path)


@pytest.mark.attack(34)
@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("a\nb", '"a\\nb"'),
        ("\x1b[31mred", '"\\x1b[31mred"'),
        ('quo"te', '"quo\\"te"'),
        ("", '""'),
        ("\u202eright to left", '"\\u202eright to left"'),
        (0.1234567890, "0.123457"),
        (b"\x00", "\"b'\\\\x00'\""),
    ],
)
def test_nobody_writes_our_log_for_us(value: object, written: str) -> None:
    assert quote(value) == written


def test_a_log_line_says_its_level_the_way_its_reader_wants_it(tmp_path: Path) -> None:
    with open(tmp_path / "log", "wb", buffering=0) as file:
        Log("tashi-agent", systemd=True, fd=file.fileno()).warning("host lost", host="h-1")
        Log("tashi-agent", systemd=False, fd=file.fileno()).error("store full", bytes=10)
    journal, terminal = (tmp_path / "log").read_text().splitlines()
    assert journal == "<4>host lost host=h-1"
    assert terminal.endswith("Z tashi-agent error: store full bytes=10")


def test_the_next_line_that_gets_through_says_how_many_did_not(tmp_path: Path) -> None:
    deaf = os.open("/dev/null", os.O_RDONLY)
    log = Log("tashi-agent", systemd=True, fd=deaf)
    log.info("one")
    log.info("two")
    with open(tmp_path / "log", "wb") as file:
        os.dup2(file.fileno(), deaf)
    log.info("three")
    log.info("four")
    os.close(deaf)
    assert (tmp_path / "log").read_text() == "<6>three lines_lost=2\n<6>four\n"


def test_a_log_line_can_be_an_object(tmp_path: Path) -> None:
    with open(tmp_path / "log", "wb", buffering=0) as file:
        for systemd in (False, True):
            log = Log("tashi-agent", systemd=systemd, fd=file.fileno())
            log.format = "json"
            log.warning("host lost", host="h-1\n\x1b[31m", seconds=5.25, again=True, why="x" * 600)
    terminal, journal = (tmp_path / "log").read_text().splitlines()
    assert journal.startswith("<4>{")
    for line in (terminal, journal.removeprefix("<4>")):
        assert "\x1b" not in line
        told = json.loads(line)
        assert told.pop("logged_at").endswith("Z") and len(told.pop("why")) == 503
        assert told == {
            "daemon": "tashi-agent", "level": "warning", "event": "host lost",
            "host": "h-1\n\x1b[31m", "seconds": 5.25, "again": True,
        }  # fmt: skip


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ({"client": {"sever_key": ""}}, "[client] sever_key: no such key"),
        ({"clent": {}}, "[clent]: no such section"),
        ({"controller": {"user_port": True}}, "[controller] user_port: wants a whole number, not True"),
        ({"controller": {"user_port": 0}}, "[controller] user_port: 0 is out of range"),
        ({"controller": {"listen": "::"}}, "[controller] listen: wants a list of texts"),
        ({"placement": {"policy": "random"}}, "[placement] policy: 'random' is not one of pack, spread"),
        ({"placement": {"weights": {"cheap": 1.0}}}, "[placement.weights] cheap: no such key"),
        ({"placement": {"weights": 3}}, "placement.weights: wants to be a section"),
        ({"agent": {"memory": "8Q"}}, "[agent] memory: '8Q' is not a size"),
        ({"agent": {"memory": 8}}, "[agent] memory: wants a size as text"),
        ({"network": {"bridge": "br0"}}, "[network]: wants a section for each network"),
        ({"network": {"a b": {}}}, "[network.a b]: 'a b' is not a name"),
        ({"agent": 3}, "agent: wants to be a section"),
    ],
)
def test_a_mistake_in_the_configuration_is_told_with_its_place(document: dict[str, Any], names: str) -> None:
    with pytest.raises(TashiError) as caught:
        config.parse(document, "/etc/tashi/tashi.toml")
    assert caught.value.code == "bad-request"
    assert caught.value.text.startswith("/etc/tashi/tashi.toml: " + names)


def test_configuration_comes_from_the_first_place_that_has_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(name: str, text: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
        return str(path)

    monkeypatch.delenv("TASHI_CONFIG", raising=False)
    monkeypatch.delenv("TASHI_CONTROLLER", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    write("tashi/tashi.toml", "[client]\ntimeout_seconds = 1")
    assert config.load().client.timeout_seconds == 1.0
    monkeypatch.setenv("TASHI_CONFIG", write("env.toml", "[client]\ntimeout_seconds = 2"))
    assert config.load().client.timeout_seconds == 2.0
    named = write("named.toml", '[controller]\nstore_limit = "4G"\n[network.lan]\nbridge = "br1"')
    assert config.load(named).controller.store_limit == 4 * 2**30
    assert config.load(named).networks == {"lan": config.Network("br1")}
    monkeypatch.setenv("TASHI_CONTROLLER", "ipc:///a, tcp://b:7400")
    assert config.load(named).client.controller == ("ipc:///a", "tcp://b:7400")
    with pytest.raises(TashiError, match="No such file"):
        config.load("/nowhere.toml")
    with pytest.raises(TashiError, match="not TOML"):
        config.load(write("broken.toml", "[client"))
