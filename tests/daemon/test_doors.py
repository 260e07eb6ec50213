"""The controller's doors under attack: whoever is not known gets nothing, and nobody else has to wait for that."""

from __future__ import annotations

import contextlib
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from tashi.config import Controller as Settings
from tashi.run.keys import new_pair
from tashi.run.log import Log
from tashid.principal import Peer, uid_of_address
from tashid.sockets import Sockets, addresses
from tests.daemon.processes import PORTS, Asker, Controller, environment, until

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another uid")
GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00"  # ZMTP 3.0 (RFC 23): signature and version; mechanism follows


def connected(controller: Controller, port: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", controller.ports[port]), 10)


def closed_by_peer(plain: socket.socket) -> bool:
    with contextlib.suppress(ConnectionError):
        while plain.recv(65536):
            pass
    return True


@pytest.mark.parametrize("port", PORTS)
def test_random_bytes_close_the_connection_and_nothing_else(controller: Controller, admin: Asker, port: str) -> None:
    noise = [
        os.urandom(100_000),
        b"GET / HTTP/1.1\r\n\r\n" * 10,
        b"\xff" * 100_000,
        GREETING + os.urandom(10_000),
        b"\n",
    ]
    plain = [connected(controller, port) for _ in noise]
    for each, bytes_ in zip(plain, noise, strict=True):
        with contextlib.suppress(ConnectionError):
            each.sendall(bytes_)
    assert admin.ok("status")
    for each in plain:
        each.settimeout(15)  # three times the time that a handshake may take
        assert closed_by_peer(each)
        each.close()
    assert admin.ok("status")


def test_random_bytes_on_local_sockets(controller: Controller, admin: Asker) -> None:
    for name in ("admin.sock", "user.sock"):
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(f"{controller.folder}/run/{name}")
            plain.settimeout(15)
            plain.sendall(b"\xff" * 10_000)
            assert closed_by_peer(plain)
    assert admin.ok("status")


def test_thousands_of_silent_connections_are_cut_and_keep_nobody_waiting(controller: Controller, admin: Asker) -> None:
    """Half of the descriptors that we may have, at most 5,000, spread over the ports."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    count = min(5000, hard // 2 - 200)
    user = new_pair()
    admin.ok("user.add", name="ada", key=user.public)
    before = controller.descriptors()
    silent: list[socket.socket] = []
    try:
        silent.extend(connected(controller, PORTS[number % len(PORTS)]) for number in range(count))
        began = time.monotonic()
        newcomer = controller.remote("user", user)
        assert newcomer.ok("status")
        assert admin.ok("status")
        assert time.monotonic() - began < 1.0
        newcomer.close()
        until(lambda: controller.descriptors() < before + 100, "the silent are cut off", 30)
    finally:
        for each in silent:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert admin.ok("status")


def zmtp_null(plain: socket.socket, metadata: bytes = b"") -> None:
    """Greet as a client of ZMTP 3.0 without security (RFC 23), with these properties in READY."""
    plain.sendall(GREETING[:10] + b"\x03\x00" + b"NULL".ljust(20, b"\0") + b"\0" + bytes(31))
    ready = b"\x05READY" + metadata
    plain.sendall(b"\x04" + bytes([len(ready)]) + ready)
    exactly(plain, 64)
    frame(plain)


def exactly(plain: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = plain.recv(count - len(data))
        assert piece, "closed"
        data += piece
    return data


def frame(plain: socket.socket) -> bytes:
    """The content of the next frame, message or command."""
    flags = exactly(plain, 1)[0]
    size = struct.unpack(">Q", exactly(plain, 8))[0] if flags & 2 else exactly(plain, 1)[0]
    return exactly(plain, size)


def one_property(name: bytes, value: bytes) -> bytes:
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


@pytest.mark.parametrize("name", ["admin.sock", "user.sock"])
def test_a_message_of_a_gibibyte_is_cut_off_on_a_local_socket(controller: Controller, admin: Asker, name: str) -> None:
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(f"{controller.folder}/run/{name}")
        zmtp_null(plain, one_property(b"Socket-Type", b"DEALER"))
        assert flood(controller, plain) < 64 * 2**20
    assert admin.ok("status")


def flood(controller: Controller, plain: socket.socket) -> int:
    """Send one frame of 1 GiB for as long as the other side takes it; returns by how much its memory grew."""
    before = controller.resident_bytes()
    plain.settimeout(10)
    piece = b"x" * 2**20
    with pytest.raises(OSError):
        plain.sendall(b"\x02" + struct.pack(">Q", 2**30))
        for _ in range(1024):
            plain.sendall(piece)
    return controller.resident_bytes() - before


LIMITS = {"user": 2**20, "admin": 2**20, "agent": 16 * 2**20, "enroll": 4096}


def send_too_much(controller: Controller, port: str, size: int) -> None:
    """Encrypted, and by somebody whom the port lets in: the connection goes, the controller's memory stays."""
    pair = new_pair()
    if port == "agent":
        enrolled(controller, "h1", pair)
    else:
        controller.local().ok("user.add", name="ada", key=pair.public, role="admin")
    before = controller.resident_bytes()
    sender = controller.remote(port, pair)
    monitor = sender.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    sender.socket.send(bytes(size))
    assert monitor.poll(60_000), "it was not cut off"
    assert controller.resident_bytes() - before < 2 * LIMITS[port] + 64 * 2**20
    sender.socket.disable_monitor()
    sender.close()
    assert controller.local().ok("status")


@pytest.mark.parametrize("port", PORTS)
def test_a_message_too_large_is_cut_off_on_a_tcp_port(controller: Controller, port: str) -> None:
    send_too_much(controller, port, 2 * LIMITS[port])


@pytest.mark.soak
@pytest.mark.parametrize("port", PORTS)
def test_a_message_of_a_gibibyte_is_cut_off_on_a_tcp_port(controller: Controller, port: str) -> None:
    """Encrypting it takes the sender many seconds."""
    send_too_much(controller, port, 2**30)


def enrolled(controller: Controller, name: str, pair: Any) -> None:
    token = controller.local().ok("host.add", name=name)["extra"]["token"]
    controller.remote("enroll").ok("enroll", token=token, host=name, key=pair.public)


# -- who is who -------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("port", ["user", "admin", "agent"])
def test_a_key_that_nobody_registered_gets_no_answer(controller: Controller, port: str) -> None:
    stranger = controller.remote(port)
    stranger.send("status")
    assert stranger.silent(1.0)
    until(lambda: f"key refused port={port}" in controller.log, "the refusal is told")
    stranger.close()


def test_without_encryption_there_is_no_answer(controller: Controller) -> None:
    for port in PORTS:
        plain = Asker(controller.context, f"tcp://127.0.0.1:{controller.ports[port]}")
        plain.send("status")
        assert plain.silent(0.5)
        plain.close()


def test_a_user_by_key_is_an_operator_at_most_on_the_user_port(controller: Controller, admin: Asker) -> None:
    pair = new_pair()
    admin.ok("user.add", name="ada", key=pair.public, role="admin")
    assert controller.remote("user", pair).ok("status")["role"] == "operator"
    assert controller.remote("user", pair).code("user.add", name="eve", uid=1) == "denied"
    assert controller.remote("admin", pair).ok("status")["role"] == "admin"


def test_a_right_that_is_taken_away_ends_at_once_on_a_live_connection(controller: Controller, admin: Asker) -> None:
    pair = new_pair()
    admin.ok("user.add", name="ada", key=pair.public)
    ada = controller.remote("user", pair)
    assert ada.ok("status")["you"] == "ada"
    admin.ok("user.remove", name="ada")
    assert ada.code("status") == "denied"


def test_the_enrolment_port_knows_one_verb_and_a_token_buys_one_place(controller: Controller, admin: Asker) -> None:
    token = admin.ok("host.add", name="h1")["extra"]["token"]
    stranger, pair, other = controller.remote("enroll"), new_pair(), new_pair()
    for verb in ("status", "list", "user.add", "host.remove"):
        assert stranger.code(verb) == "denied"
    assert stranger.code("enroll", token="0" * 32, host="h1", key=pair.public) == "denied"
    assert stranger.code("enroll", token=token, host="h2", key=pair.public) == "denied"
    assert stranger.ok("enroll", token=token, host="h1", key=pair.public)["done"]
    assert stranger.code("enroll", token=token, host="h1", key=other.public) == "denied"


def test_an_enrolment_that_was_not_answered_may_be_asked_for_again(controller: Controller, admin: Asker) -> None:
    token = admin.ok("host.add", name="h1")["extra"]["token"]
    host, pair = controller.remote("enroll"), new_pair()
    first = host.ask("enroll", "request-one", token=token, host="h1", key=pair.public)
    assert host.ask("enroll", "request-one", token=token, host="h1", key=pair.public) == first


def test_enrolments_come_a_few_at_a_time(controller: Controller) -> None:
    stranger, codes = controller.remote("enroll"), list[str]()
    for _ in range(100):
        codes.append(stranger.code("enroll", token="0" * 32, host="h1", key="x" * 40))
    assert codes.count("busy") > 20 and codes.count("denied") >= 50


def test_an_agent_speaks_for_its_own_host_only(controller: Controller, admin: Asker) -> None:
    pair = new_pair()
    enrolled(controller, "h1", pair)
    admin.ok("host.add", name="h2")
    agent = controller.remote("agent", pair)
    facts = {"cores": 1, "memory_bytes": 2**30}
    hello = {"say": "hello", "uuid": "m", "boot_id": "b", "incarnation": 1, "epoch": 0, "facts": facts}
    agent.socket.send(json.dumps({**hello, "host": "h2"}).encode())
    assert agent.reply()["say"] == "rejected"
    agent.socket.send(json.dumps({"id": "abcdefgh", "verb": "user.add", "body": {"name": "eve", "uid": 1}}).encode())
    agent.socket.send(json.dumps({**hello, "host": "h1"}).encode())
    assert agent.reply()["say"] == "welcome"
    assert admin.ask("list", noun="user")["ok"]["rows"] == 0


def run_as(uid: int, script: str, *argv: str) -> str:
    """What a script prints that is another uid. It is root until it has loaded what root's folders hold."""
    become = f"import json, os, sys, zmq\nfrom tests.daemon.processes import Asker\nos.setresgid({uid}, {uid}, {uid})\n"
    become += f"os.setgroups([]); os.setresuid({uid}, {uid}, {uid})\n"
    ended = subprocess.run(
        [sys.executable, "-c", become + script, *argv],
        env=environment(), capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    return ended.stdout


def ask_as(uid: int, controller: Controller, name: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
    """What another uid is answered; an empty answer when it can't even connect."""
    script = (
        "asker = Asker(zmq.Context(), sys.argv[1]); asker.send(sys.argv[2], **json.loads(sys.argv[3]))\n"
        "print('{}' if asker.silent(3.0) else json.dumps(asker.reply()))"
    )
    printed = run_as(uid, script, f"ipc://{controller.folder}/run/{name}", verb, json.dumps(body))
    answer: dict[str, Any] = json.loads(printed)
    return answer


@pytest.fixture
def grouped() -> Iterator[Controller]:
    """A controller whose user socket is for the group that nobody is in."""
    made = Controller(group="nogroup")
    try:
        yield made.start()
    finally:
        made.close()


@needs_root
def test_another_uid_is_a_user_on_the_user_socket_and_nobody_on_the_other(grouped: Controller) -> None:
    status = ask_as(NOBODY, grouped, "user.sock", "status", {})["ok"]
    assert (status["you"], status["role"]) == ("nobody", "user")
    assert ask_as(NOBODY, grouped, "user.sock", "user.add", {"name": "eve", "uid": NOBODY})["error"]["code"] == "denied"
    assert ask_as(NOBODY, grouped, "admin.sock", "status", {}) == {}
    assert ask_as(NOBODY + 5, grouped, "user.sock", "status", {}) == {}


@needs_root
def test_another_uid_is_denied_even_where_the_admin_socket_lies_open(grouped: Controller) -> None:
    (grouped.folder / "run/admin.sock").chmod(0o666)
    assert ask_as(NOBODY, grouped, "admin.sock", "status", {})["error"]["code"] == "denied"


@needs_root
def test_nobody_is_called_like_a_registered_user(grouped: Controller) -> None:
    grouped.local().ok("user.add", name="nobody", key=new_pair().public, role="operator")
    status = ask_as(NOBODY, grouped, "user.sock", "status", {})["ok"]
    assert (status["you"], status["role"]) == (f"uid:{NOBODY}", "user")


def test_root_is_an_operator_at_most_on_the_user_socket(controller: Controller) -> None:
    controller.local().ok("user.add", name="chief", uid=os.geteuid(), role="admin")
    assert controller.local("user.sock").ok("status")["role"] == "operator"


def test_properties_that_a_client_sends_are_not_believed(controller: Controller, admin: Asker) -> None:
    """A raw client says that it is somebody else, in its handshake."""
    admin.ok("user.add", name="ada", key=(pair := new_pair()).public, role="admin")
    with socket.socket(socket.AF_UNIX) as plain:
        plain.connect(f"{controller.folder}/run/user.sock")
        plain.settimeout(10)
        claims = one_property(b"Peer-Address", b"localhost:4242:0:1") + one_property(b"User-Id", pair.public.encode())
        zmtp_null(plain, one_property(b"Socket-Type", b"DEALER") + claims)
        request = json.dumps({"id": "abcdefgh", "verb": "status"}).encode()
        plain.sendall(b"\x00" + bytes([len(request)]) + request)
        you = json.loads(frame(plain))["ok"]["you"]
    assert you not in ("ada", "uid:4242")


@needs_root
def test_a_descriptor_taken_over_by_root_does_not_make_its_first_owner_root() -> None:
    """A client of another uid asks and goes; root comes and gets its descriptor; only then the questions are read."""
    folder = Controller(group="nogroup")
    context = zmq.Context()
    run = folder.folder / "run"
    run.mkdir(mode=0o755)
    sockets = Sockets(context, Settings(run=str(run), listen=(), group="nogroup"), new_pair(), Log("test"))
    (user,) = [socket for socket in sockets.all if "user.sock" in str(socket.last_endpoint)]
    script = "s = zmq.Context().socket(zmq.DEALER); s.connect(sys.argv[1]); s.send(b'question')"
    try:
        before = open_sockets()
        seen = []
        for uid in (NOBODY, 0):
            run_as(uid, script, f"ipc://{run}/user.sock")
            until(lambda: open_sockets() == before, "its descriptor is closed")
        for _ in range(2):
            assert user.poll(20_000)
            user.recv()
            question = user.recv(copy=False)
            seen.append((question.get(zmq.SRCFD), uid_of_address(str(question.get("Peer-Address")))))
        (first, one), (second, other) = seen
        assert first == second, "the number was used again"
        assert {one, other} == {NOBODY, 0}
    finally:
        context.destroy(linger=0)
        folder.close()


def open_sockets() -> set[str]:
    found = set()
    for fd in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):
            if os.readlink(f"/proc/self/fd/{fd}").startswith("socket:"):
                found.add(fd)
    return found


def test_uids_are_read_from_peer_addresses_alone() -> None:
    assert uid_of_address("localhost:1000:1000:77") == 1000
    for other in ("127.0.0.1", "", "localhost:x:0:1", "localhost:0", "::1"):
        assert uid_of_address(other) == -1
    assert Peer("user").uid == -1


# -- addresses --------------------------------------------------------------------------------------------------------
def test_it_is_reached_by_ipv4_and_ipv6() -> None:
    if not os.path.exists("/proc/net/if_inet6"):
        pytest.skip("this machine has no IPv6")
    controller = Controller(listen='["0.0.0.0", "::"]')
    try:
        controller.start()
        pair = new_pair()
        controller.local().ok("user.add", name="ada", key=pair.public)
        for host in ("127.0.0.1", "[::1]"):
            assert controller.remote("user", pair, host).ok("status")["you"] == "ada"
    finally:
        controller.close()


def test_two_families_are_one_address_where_there_is_ipv6() -> None:
    assert addresses(("127.0.0.1", "::1")) == ["127.0.0.1", "::1"]
    assert addresses(("0.0.0.0", "::")) in (["::"], ["0.0.0.0"])


def test_without_addresses_there_is_no_tcp() -> None:
    controller = Controller(listen="[]")
    try:
        controller.start()
        assert controller.local().ok("status")
        for port in PORTS:
            with pytest.raises(ConnectionRefusedError):
                connected(controller, port)
    finally:
        controller.close()
