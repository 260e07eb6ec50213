"""The client against a controller that is slow, silent, gone, back again, or somebody else."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import zmq

from tashi.client import WINDOW, Client, local_socket
from tashi.run.keys import new_pair, write_pair
from tashi.wire.envelope import Answer, Ask, request
from tashi.wire.errors import Code, Fault, NotFound, TashiError
from tashi.wire.messages import Request
from tests.cmd.fake_controller import FakeController, controller, error


@contextmanager
def connect(*where: str, seconds: float = 3.0, server_key: str = "", key: str = "") -> Iterator[Client]:
    client = Client(where, seconds, server_key, key)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    with connect(f"ipc://{tmp_path}") as made:
        yield made


def test_the_daemons_decoder_reads_what_is_sent() -> None:
    import msgspec

    frame = request("0123456789", "vm.create", {"name": "web"}, "because")
    decoded = msgspec.json.decode(frame, type=Request)
    assert (decoded.id, decoded.verb, bytes(decoded.body), decoded.why) == (
        "0123456789",
        "vm.create",
        b'{"name":"web"}',
        "because",
    )


def test_an_answer_with_rows(fake: FakeController, client: Client) -> None:
    fake.scripts["list"] = lambda body: ({"rows": 1, "noun": body["noun"]}, b"web\n")
    assert client.ask("list", {"noun": "vm"}, why="to see") == Answer({"rows": 1, "noun": "vm"}, 7, b"web\n")
    assert fake.asked[0]["why"] == "to see"


def test_an_error_is_raised_with_its_code(fake: FakeController, client: Client) -> None:
    fake.scripts["vm.start"] = lambda body: error("not-found", "web: no such vm", "tvm-list")
    fake.scripts["vm.destroy"] = lambda body: error("too-hot", "web: it burns")
    with pytest.raises(NotFound) as found:
        client.ask("vm.start", {})
    assert (found.value.code, found.value.text, found.value.hint) == (Code.NOT_FOUND, "web: no such vm", "tvm-list")
    with pytest.raises(TashiError, match=r"it burns.*too-hot"):
        client.ask("vm.destroy", {})


def test_many_at_once_each_answered_once_in_any_order(fake: FakeController, client: Client) -> None:
    fake.scripts["vm.start"] = lambda body: {"n": body["n"]} if body["n"] % 7 else error("locked", "locked")
    asks = [Ask("vm.start", {"n": n}) for n in range(3 * WINDOW)]
    answers = dict(client.ask_many(asks))
    assert len(answers) == len(fake.asked) == 3 * WINDOW
    for n, answer in answers.items():
        assert isinstance(answer, Answer) is bool(n % 7)
        assert not isinstance(answer, Answer) or answer.ok == {"n": n}


def test_a_lost_connection_is_noticed_and_the_same_request_sent_again(fake: FakeController, tmp_path: Path) -> None:
    answered = threading.Event()

    def script(body: dict[str, Any]) -> dict[str, Any] | None:
        return {"job": "j-1"} if answered.is_set() else None

    fake.scripts["vm.start"] = script

    def crash() -> None:
        while not fake.asked:
            time.sleep(0.01)
        answered.set()
        fake.restart()

    crashing = threading.Thread(target=crash)
    crashing.start()
    began = time.monotonic()
    with connect(f"ipc://{tmp_path}", seconds=30) as patient:
        assert patient.ask("vm.start", {"name": "web"}).ok == {"job": "j-1"}
    crashing.join()
    assert time.monotonic() - began < 15, "it waited for its patience to end"
    assert len(fake.asked) == 2
    assert fake.asked[0] == fake.asked[1]


def test_silence_makes_a_new_socket_ask_with_the_same_id(fake: FakeController, client: Client) -> None:
    fake.scripts["status"] = lambda body: {"epoch": 1} if len(fake.asked) > 1 else None
    assert client.ask("status", {}).ok == {"epoch": 1}
    assert len({each["id"] for each in fake.asked}) == 1


def test_the_next_controller_on_the_list_is_asked(fake: FakeController, tmp_path: Path) -> None:
    fake.scripts["status"] = lambda body: {"epoch": 1}
    with connect(f"ipc://{tmp_path}/nobody", f"ipc://{tmp_path}") as client:
        assert client.ask("status", {}).ok == {"epoch": 1}


def test_no_answer_says_where_how_long_and_what_it_may_be(tmp_path: Path) -> None:
    began = time.monotonic()
    with connect(f"ipc://{tmp_path}", seconds=0.3) as hasty, pytest.raises(TashiError) as silence:
        hasty.ask("status", {})
    assert 0.25 < time.monotonic() - began < 3
    assert silence.value.code == Code.NO_ANSWER
    expected = f"no answer from ipc://{tmp_path} in 0.3 s: not running"
    assert silence.value.text == expected


def test_a_full_house_is_asked_again(fake: FakeController, client: Client) -> None:
    page = {"entries": [], "revision": 9}
    fake.scripts["changes"] = lambda body: page if len(fake.asked) > 1 else error("busy", "too many readers")
    assert client.watch(3, wait=0).revision == 9


def test_somebody_else_on_that_socket(fake: FakeController, client: Client) -> None:
    fake.garbage = True
    with pytest.raises(Fault, match="not a controller"):
        client.ask("status", {})


def test_no_folder_is_told_at_once_without_a_word_on_keys(tmp_path: Path) -> None:
    began = time.monotonic()
    with connect(f"ipc://{tmp_path}/nobody", seconds=20) as client, pytest.raises(TashiError) as absent:
        client.ask("status", {})
    assert time.monotonic() - began < 10, "it waited for its patience to end"
    assert absent.value.code == Code.NO_ANSWER
    expected = f"ipc://{tmp_path}/nobody: not running; {tmp_path}/nobody: No such file or directory"
    assert absent.value.text == f"no answer from {expected}"


@pytest.mark.parametrize(
    ("mode", "text", "hint"),
    [(0o660, ": you are not in its group", "adduser YOU"), (0o600, "", "[controller] group in tashi.toml")],
)
def test_a_socket_that_may_not_be_opened_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, text: str, hint: str
) -> None:
    user = tmp_path / "user.sock"
    user.touch()
    user.chmod(mode)
    monkeypatch.setattr("os.access", lambda path, asked: str(path) == str(tmp_path) and asked == os.X_OK)
    began = time.monotonic()
    with connect(f"ipc://{tmp_path}", seconds=20) as client, pytest.raises(TashiError) as denied:
        client.ask("status", {})
    assert time.monotonic() - began < 10, "it waited for its patience to end"
    assert (denied.value.code, denied.value.text) == (Code.DENIED, f"permission denied on {user}{text}")
    assert hint in denied.value.hint


def test_a_controller_that_is_about_to_start_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "late").mkdir()
    with connect(f"ipc://{tmp_path}", seconds=10) as client, controller(tmp_path / "late") as fake:
        fake.scripts["status"] = lambda body: {"epoch": 1}
        link = threading.Timer(0.3, lambda: (tmp_path / "admin.sock").symlink_to(tmp_path / "late/admin.sock"))
        link.start()
        assert client.ask("status", {}).ok == {"epoch": 1}
        link.join()


def test_an_address_that_is_none() -> None:
    with connect("bogus") as client, pytest.raises(TashiError, match="bogus") as wrong:
        client.ask("status", {})
    assert wrong.value.code == Code.BAD_REQUEST


@pytest.mark.parametrize(
    ("there", "may_open", "expected"),
    [(True, True, "admin"), (True, False, "user"), (False, True, "admin"), (False, False, "user")],
)
def test_which_local_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool, may_open: bool, expected: str
) -> None:
    if there:
        (tmp_path / "admin.sock").touch()
    monkeypatch.setattr("os.access", lambda path, mode: may_open)
    assert local_socket(f"ipc://{tmp_path}") == f"ipc://{tmp_path}/{expected}.sock"
    assert local_socket("ipc:///run/x.sock") == "ipc:///run/x.sock"


def test_over_tcp_with_the_right_server_key_and_not_with_another(tmp_path: Path) -> None:
    server, user, other = new_pair(), new_pair(), new_pair()
    key = tmp_path / "user.key"
    write_pair(str(key), user)
    with zmq.Context() as context, context.socket(zmq.PAIR) as probe:
        port = probe.bind_to_random_port("tcp://127.0.0.1")
    address = f"tcp://127.0.0.1:{port}"
    with controller(tmp_path, server.secret.encode(), address) as fake:
        fake.scripts["status"] = lambda body: {"epoch": 1}
        with connect(address, server_key=server.public, key=str(key)) as client:
            assert client.ask("status", {}).ok == {"epoch": 1}
        with (
            connect(address, seconds=0.5, server_key=other.public, key=str(key)) as client,
            pytest.raises(TashiError, match="wrong server key"),
        ):
            client.ask("status", {})
        with connect(address) as client, pytest.raises(TashiError, match=r"needs client\.server_key"):
            client.ask("status", {})
