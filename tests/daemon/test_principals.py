"""Who is who at the controller's doors: keys and uids, what each may, and tricks to be somebody else."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import zmq

from tashi.config import Controller as Settings
from tashi.run.keys import new_pair
from tashi.run.log import Log
from tashid.principal import Peer, uid_of_address
from tashid.sockets import Sockets
from tests.daemon.processes import PORTS, Asker, Controller, Person, enrolled, run_as, start_as, until
from tests.daemon.raw import frame, one_property, zmtp_null

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another uid")


@pytest.mark.attack(4)
@pytest.mark.parametrize("port", ["user", "admin", "agent"])
def test_a_key_that_nobody_registered_gets_no_answer(controller: Controller, port: str) -> None:
    stranger = controller.remote(port)
    stranger.send("status")
    assert stranger.silent(1.0)
    until(lambda: f"key refused port={port}" in controller.log, "the refusal is told")
    stranger.close()


@pytest.mark.attack(3)
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


@pytest.mark.attack(5)
def test_a_right_that_is_taken_away_ends_at_once_on_a_live_connection(controller: Controller, admin: Asker) -> None:
    pair = new_pair()
    admin.ok("user.add", name="ada", key=pair.public)
    ada = controller.remote("user", pair)
    assert ada.ok("status")["you"] == "ada"
    admin.ok("user.remove", name="ada")
    assert ada.code("status") == "denied"


@pytest.mark.attack(38)
def test_a_key_on_two_machines_shows_and_nothing_is_stored_for_that(controller: Controller, admin: Asker) -> None:
    pair = new_pair()
    admin.ok("user.add", name="ada", key=pair.public)

    def key() -> dict[str, Any]:
        found: dict[str, Any] = json.loads(admin.ask("list", noun="key", full=True)["rows"])
        return found

    assert (key()["last_used_at"], key()["last_address"], key()["addresses"]) == (None, None, [])
    before = admin.ok("status")["revision"]
    for address in ("127.0.0.1", "127.0.0.7"):  # the second one is a cloned home
        ada = controller.remote("user", pair, f"{address}:0;127.0.0.1")
        assert ada.ok("status")["you"] == "ada"
    assert (key()["last_address"], key()["addresses"]) == ("127.0.0.7", ["127.0.0.7", "127.0.0.1"])
    assert key()["last_used_at"] > key()["created_at"]
    assert admin.ok("status")["revision"] == before


@pytest.mark.attack(32)
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


@pytest.mark.attack(6, 7)
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


def ask_as(uid: int, controller: Controller, name: str, verb: str, body: dict[str, Any]) -> dict[str, Any]:
    """What another uid is answered; an empty answer when it can't even connect."""
    return Person(uid, controller, verb, name, body=body).answer()


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
def test_the_group_of_the_settings_makes_a_user_also_beside_an_account_s_own_group(grouped: Controller) -> None:
    stranger = NOBODY - 5
    assert Person(stranger, grouped, "status").answer() == {}
    assert Person(stranger, grouped, "status", group=NOBODY).you() == f"uid:{stranger}"
    assert Person(stranger, grouped, "status", "admin.sock", group=NOBODY).answer() == {}


class Worker:
    """Somebody with another uid who stays connected to the user socket and asks one thing after the other."""

    SCRIPT = (
        "asker = Asker(zmq.Context(), sys.argv[1])\n"
        "for line in sys.stdin:\n"
        "    verb, body = json.loads(line)\n"
        "    print(json.dumps(asker.ask(verb, **body)), flush=True)\n"
    )

    def __init__(self, uid: int, controller: Controller) -> None:
        self.process = start_as(uid, self.SCRIPT, f"ipc://{controller.folder}/run/user.sock", group=NOBODY)

    def ask(self, verb: str, **body: Any) -> dict[str, Any]:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([verb, body]) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        assert self.process.wait(20) == 0


@needs_root
@pytest.mark.attack(5)
def test_another_uid_loses_its_role_in_the_middle_of_its_work(grouped: Controller) -> None:
    admin, uid = grouped.local(), NOBODY - 7
    admin.ok("user.add", name="olga", uid=uid, role="operator")
    enrolled(grouped, "h1", new_pair())
    olga = Worker(uid, grouped)
    assert olga.ask("host.drain", name="h1", dry_run=True).get("error") is None
    admin.ok("user.set", name="olga", role="user")
    assert olga.ask("host.drain", name="h1")["error"]["code"] == "denied"
    assert olga.ask("status")["ok"]["role"] == "user"
    admin.ok("user.remove", name="olga")
    assert olga.ask("status")["ok"]["you"] == f"uid:{uid}"
    olga.close()


@pytest.mark.attack(5)
def test_a_key_that_is_revoked_ends_what_waits_for_changes_too(controller: Controller, admin: Asker) -> None:
    first, second = new_pair(), new_pair()
    admin.ok("user.add", name="olga", key=first.public, role="operator")
    token = admin.ok("user.enroll", name="olga")["extra"]["token"]
    known = json.loads(admin.ask("list", noun="key")["rows"])
    controller.remote("enroll", second).ok("key.register", token=token, user="olga")
    lost, kept = controller.remote("user", first), controller.remote("user", second)
    after = admin.ok("status")["revision"]
    for asker in (lost, kept):
        asker.send("changes", after=after, wait_seconds=20)
        asker.silent(0.2)
    admin.ok("key.revoke", name=known["id"])
    told = kept.reply()["ok"]
    assert [each["verb"] for each in told["entries"]] == ["key.revoke", "key.revoke"]
    nothing = lost.reply()["ok"]
    assert (nothing["entries"], nothing["revision"]) == ([], after)
    assert lost.code("changes", after=after) == "denied"
    assert kept.ok("status")["you"] == "olga"


@needs_root
def test_another_uid_is_denied_even_where_the_admin_socket_lies_open(grouped: Controller) -> None:
    (grouped.folder / "run/admin.sock").chmod(0o666)
    assert ask_as(NOBODY, grouped, "admin.sock", "status", {})["error"]["code"] == "denied"


@needs_root
def test_an_account_is_the_user_of_its_name_unless_that_has_another_uid(grouped: Controller) -> None:
    grouped.local().ok("user.add", name="nobody", key=new_pair().public, role="operator")
    status = ask_as(NOBODY, grouped, "user.sock", "status", {})["ok"]
    assert (status["you"], status["role"]) == ("nobody", "operator")
    grouped.local().ok("user.set", name="nobody", uid=NOBODY + 1)
    status = ask_as(NOBODY, grouped, "user.sock", "status", {})["ok"]
    assert (status["you"], status["role"]) == (f"uid:{NOBODY}", "user")


def test_root_is_an_operator_at_most_on_the_user_socket(controller: Controller) -> None:
    controller.local().ok("user.add", name=pwd.getpwuid(os.geteuid()).pw_name, uid=os.geteuid(), role="admin")
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
    sockets = Sockets(context, Settings(run=str(run), listen=(), group="nogroup"), [], Log("test"))
    (user,) = [socket for socket in sockets.all if "user.sock" in str(socket.last_endpoint)]
    script = (
        "c = zmq.Context(); s = c.socket(zmq.DEALER); s.connect(sys.argv[1]); s.send(b'question'); s.close(); c.term()"
    )
    try:
        before = open_sockets()
        seen = []
        for uid in (NOBODY, 0):
            run_as(uid, script, f"ipc://{run}/user.sock")
            assert user.poll(20_000), "it was let in, before it is seen to be gone"
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
