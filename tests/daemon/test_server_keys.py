"""The controller's key is replaced while hosts and users work: both are good meanwhile, and nobody is lost."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import socket
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tashi.agent.lines import Line, learned
from tashi.run.keys import new_pair, read_pair, write_pair
from tashi.run.server_keys import drop_old, make_next, server_keys
from tashi.wire.errors import Refused
from tashi.wire.messages import ServerKey
from tests.daemon.processes import ROOT, Controller, Host, environment, until
from tests.daemon.test_backup import run


@pytest.fixture
def quick() -> Iterator[Controller]:
    made = Controller(more="heartbeat_seconds = 0.3\nmissed = 20")
    try:
        yield made.start()
    finally:
        made.close()


def again(controller: Controller) -> None:
    """systemctl restart tashi-controller."""
    controller.stop()
    controller.start()


def host(controller: Controller, name: str) -> Host:
    made = Host(controller, name)
    assert made.enroll() == (0, f"{name}: enrolled\n")
    return made.start()


def believed(host: Host) -> list[str]:
    """The keys that a host's agent keeps, the newest first."""
    kept = tomllib.loads((host.folder / "state/enrolled.toml").read_text())
    return [kept["server_key"], *(each["server_key"] for each in kept.get("former", ()))]


def behind(controller: Controller) -> int:
    return int(controller.local().ok("status")["with_old_key"])


def findings(controller: Controller) -> list[dict[str, Any]]:
    return [json.loads(row) for row in controller.local().ask("list", noun="finding")["rows"].splitlines()]


def up(controller: Controller) -> list[str]:
    rows = controller.local().ask("list", noun="host", where=["health=up"], format="name")["rows"]
    return sorted(str(rows).split())


def next_key(controller: Controller) -> str:
    return read_pair(f"{controller.folder}/state/server-next.key").public


def test_hosts_follow_from_key_to_key_and_back_to_the_first_ports(quick: Controller) -> None:
    first, hosts = quick.server_key, [host(quick, "h1"), host(quick, "h2")]
    try:
        for ports in ("second_agent", "agent"):
            old = quick.server_key
            assert f":{quick.ports[ports]} " not in quick.log
            run(quick, "tashi-keygen", "--next")
            new = next_key(quick)
            again(quick)
            until(lambda: behind(quick) == 0, "both hosts come with the new key")
            assert [believed(each) for each in hosts] == [[new, old]] * 2
            assert f'server_key = "{new}"' in run(quick, "tashi-keygen", "--drop-old")
            assert quick.server_key == new
            again(quick)
            until(lambda: up(quick) == ["h1", "h2"], "both are there")
            until(lambda alone=[new]: [believed(each) for each in hosts] == [alone] * 2, "the old key is forgotten")
            other = quick.ports["agent" if ports == "second_agent" else "second_agent"]
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", other), 10)
            assert quick.local().ok("status")["server_keys"] == [new] != [first]
        hosts.append(host(quick, "h3"))
    finally:
        for each in hosts:
            each.close()


def test_whoever_would_be_cut_off_is_named_and_keeps_the_old_key(quick: Controller) -> None:
    h1, h2, ann = host(quick, "h1"), host(quick, "h2"), new_pair()
    quick.local().ok("user.add", name="ann", key=ann.public)
    h2.kill()
    try:
        run(quick, "tashi-keygen", "--next")
        assert "the controller does not use it yet" in run(quick, "tashi-keygen", "--drop-old", status=1)
        assert "there is a next key already" in run(quick, "tashi-keygen", "--next", status=1)
        again(quick)
        assert quick.remote("user", ann).ok("status")["you"] == "ann"
        until(lambda: behind(quick) == 2, "h1 comes with the new key, h2 and ann don't")
        told = {each["name"]: each for each in findings(quick) if "next key" in each["what"]}
        assert told.keys() == {"h2", "ann"}
        assert told["h2"]["kind"] == "host" and str(quick.ports["second_agent"]) in told["h2"]["help"]
        assert "last used 20" in told["ann"]["what"]
        assert f"127.0.0.1:{quick.ports['second_user']}" in told["ann"]["help"]
        assert next_key(quick) in told["ann"]["help"]
        assert "2 hosts and keys have not come" in run(quick, "tashi-keygen", "--drop-old", status=1)
        assert quick.remote("second_user", ann).ok("status")["you"] == "ann"
        h2.start()
        until(lambda: behind(quick) == 0, "all come with the new key")
        assert not [each for each in findings(quick) if "next key" in each["what"]]
        run(quick, "tashi-keygen", "--drop-old")
    finally:
        h1.close()
        h2.close()


def test_kills_between_the_steps_lose_nobody(quick: Controller) -> None:
    one = host(quick, "h1")
    try:
        run(quick, "tashi-keygen", "--next")
        new = next_key(quick)
        quick.kill()
        quick.start()
        until(lambda: believed(one)[0] == new, "the host knows the new key")
        one.kill()
        one.start()
        until(lambda: behind(quick) == 0, "it comes with it")
        one.kill()
        run(quick, "tashi-keygen", "--drop-old")
        quick.kill()
        quick.start()
        one.start()
        until(lambda: up(quick) == ["h1"], "it is there")
        assert believed(one) == [new]
    finally:
        one.close()


def test_a_key_that_is_withdrawn_before_it_has_taken_over(quick: Controller) -> None:
    one, old = host(quick, "h1"), quick.server_key
    try:
        run(quick, "tashi-keygen", "--next")
        again(quick)
        until(lambda: behind(quick) == 0, "the host comes with the new key")
        os.unlink(quick.folder / "state/server-next.key")
        again(quick)
        until(lambda: up(quick) == ["h1"], "it comes with the old one again")
        until(lambda: believed(one) == [old], "and forgets the new one")
    finally:
        one.close()


def on_terminal(config: Path, *argv: str) -> str:
    """What a command says on standard error, that is a terminal."""
    ours, theirs = pty.openpty()
    with open(ours, "rb") as screen, open(theirs, "wb") as terminal:
        path = f"{ROOT / '.venv/bin'}:{os.environ['PATH']}"
        env = environment() | {"TASHI_CONFIG": str(config), "PATH": path}
        subprocess.run([ROOT / "cmd" / argv[0], *argv[1:]], env=env, stderr=terminal, stdout=subprocess.PIPE)
        terminal.write(b"\0")
        terminal.flush()
        said = b""
        while not said.endswith(b"\0"):
            said += screen.read1()
        return said[:-1].decode().replace("\r\n", "\n")


def test_a_user_with_the_old_key_is_told_what_to_put_where(quick: Controller) -> None:
    ann, config = new_pair(), quick.folder / "ann.toml"
    key = quick.folder / "ann.key"
    write_pair(str(key), ann)
    quick.local().ok("user.add", name="ann", key=ann.public)
    old = f'controller = ["tcp://127.0.0.1:{quick.ports["user"]}"], server_key = "{quick.server_key}"'
    config.write_text(f'[client]\nkey = "{key}"\n{old}\n'.replace(", server_key", "\nserver_key"))
    assert on_terminal(config, "tvm-list") == ""
    run(quick, "tashi-keygen", "--next")
    again(quick)
    new = f'controller = ["tcp://127.0.0.1:{quick.ports["second_user"]}"], server_key = "{next_key(quick)}"'
    said = on_terminal(config, "tvm-list")
    assert said == f"tvm-list: the controller's key is about to end\nhint: put into tashi.toml: {new}\n"
    assert behind(quick) == 1
    config.write_text(f'[client]\nkey = "{key}"\n{new}\n'.replace(", server_key", "\nserver_key"))
    assert on_terminal(config, "tvm-list") == ""
    assert behind(quick) == 0


class Way:
    """A port of 127.0.0.2 that leads to the same one of 127.0.0.1."""

    def __init__(self, port: int) -> None:
        self._port, self._socket = port, socket.create_server(("127.0.0.2", port))
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._socket.accept()
                try:
                    far = socket.create_connection(("127.0.0.1", self._port))
                except ConnectionRefusedError:
                    near.close()
                    continue
                for pair in ((near, far), (far, near)):
                    threading.Thread(target=_carry, args=pair, daemon=True).start()

    def close(self) -> None:
        self._socket.close()


def _carry(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    for each in (source, target):
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)


def test_a_host_that_the_second_ports_are_closed_to_stays_where_it_is(quick: Controller) -> None:
    ways = [Way(quick.ports["agent"])]
    one = Host(quick, "h1")
    assert one.enroll() == (0, "h1: enrolled\n")
    kept = one.folder / "state/enrolled.toml"
    kept.write_text(kept.read_text().replace("127.0.0.1", "127.0.0.2"))
    one.start()
    try:
        run(quick, "tashi-keygen", "--next")
        again(quick)
        until(lambda: len(believed(one)) == 2, "the host knows the new key")
        assert f"tcp://127.0.0.2:{quick.ports['second_agent']}" in kept.read_text()
        until(lambda: up(quick) == ["h1"], "it is there")
        asker, lost = quick.local(), one.log.count(" without controller ")
        for _ in range(30):
            (row,) = map(json.loads, asker.ask("list", noun="host", full=True)["rows"].splitlines())
            assert row["health"] == "up"
            asker.silent(0.1)
        assert behind(quick) == 1 and one.log.count(" without controller ") == lost
        ways.append(Way(quick.ports["second_agent"]))
        until(lambda: behind(quick) == 0, "it comes with the new key as soon as it can")
    finally:
        one.close()
        for way in ways:
            way.close()


def test_an_address_that_takes_calls_and_hangs_up_is_not_stayed_with(quick: Controller) -> None:
    ways = [Way(quick.ports["second_agent"])]  # leads to where nobody listens
    one = Host(quick, "h1")
    assert one.enroll() == (0, "h1: enrolled\n")
    kept = one.folder / "state/enrolled.toml"
    right = f'"tcp://127.0.0.1:{quick.ports["agent"]}"'
    assert right in kept.read_text()
    kept.write_text(kept.read_text().replace(right, f'"tcp://127.0.0.2:{quick.ports["second_agent"]}", {right}'))
    one.start()
    try:
        until(lambda: up(quick) == ["h1"], "it tries the other address", seconds=15)
    finally:
        one.close()
        for way in ways:
            way.close()


# -- the steps alone --------------------------------------------------------------------------------------------------
def test_keys_have_ports_in_turn(tmp_path: Path) -> None:
    state = str(tmp_path)
    (first,) = server_keys(state)
    assert not first.second
    for second in (True, False):
        with pytest.raises(Refused, match="one server key only"):
            drop_old(state)
        made = make_next(state)
        assert made.second is second
        with pytest.raises(Refused, match="a next key already"):
            make_next(state)
        newest, current = server_keys(state)
        assert (newest, current.second) == (made, not second)
        assert drop_old(state).pair == made.pair
        (only,) = server_keys(state)
        assert (only.pair, only.second) == (made.pair, second)
    assert sorted(os.listdir(state)) == ["server.key"]


def test_two_keys_for_the_same_ports_are_refused(tmp_path: Path) -> None:
    server_keys(str(tmp_path))
    (tmp_path / "server-next.key").write_bytes((tmp_path / "server.key").read_bytes())
    (tmp_path / "server-next.key").chmod(0o600)
    with pytest.raises(Refused, match="has the ports of"):
        server_keys(str(tmp_path))


def test_what_an_agent_believes() -> None:
    a, b, c = (ServerKey(letter * 40, port) for letter, port in (("a", 7402), ("b", 7406), ("c", 7402)))
    here = ("tcp://[fd00::1]:17402", "tcp://ctl:17402")
    line = Line(a.public, here)
    there = Line(b.public, ("tcp://[fd00::1]:7406", "tcp://ctl:7406"))
    assert learned((line,), line, []) == (line,)
    assert learned((line,), line, [a]) == (line,)
    assert learned((line,), line, [b, a]) == (there, line)
    assert learned((there, line), there, [b, a]) == (there, line)
    assert learned((there, line), line, [a]) == (line,)
    assert learned((there, line), there, [b]) == (there,)
    assert learned((line,), line, [c]) == (line,), "who says that its own key is not good is not believed"
