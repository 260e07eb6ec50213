"""The controller's doors under attack: whoever is not known gets nothing, and nobody else has to wait for that."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import struct
import time

import pytest
import zmq

from tashi.run.keys import KeyPair, new_pair
from tashid.sockets import addresses
from tests.daemon.processes import PORTS, Asker, Controller, enrolled, until
from tests.daemon.raw import GREETING, one_property, wire, zmtp_null


def connected(controller: Controller, port: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", controller.ports[port]), 10)


def closed_by_peer(plain: socket.socket) -> bool:
    with contextlib.suppress(ConnectionError):
        while plain.recv(65536):
            pass
    return True


@pytest.mark.attack(1)
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


@pytest.mark.attack(1)
def test_random_bytes_on_local_sockets(controller: Controller, admin: Asker) -> None:
    for name in ("admin.sock", "user.sock"):
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(f"{controller.folder}/run/{name}")
            plain.settimeout(15)
            plain.sendall(b"\xff" * 10_000)
            assert closed_by_peer(plain)
    assert admin.ok("status")


@pytest.mark.attack(2)
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
        assert time.monotonic() - began < 4.0, "they waited until the silent were cut off"
        newcomer.close()
        until(lambda: controller.descriptors() < before + 100, "the silent are cut off", 30)
    finally:
        for each in silent:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert admin.ok("status")


@pytest.mark.attack(10)
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
    with pytest.raises(ConnectionError):
        plain.sendall(b"\x02" + struct.pack(">Q", 2**30))
        for _ in range(1024):
            plain.sendall(piece)
    return controller.resident_bytes() - before


LIMITS = {"user": 2**20, "admin": 2**20, "agent": 16 * 2**20, "enroll": 4096}


def let_in(controller: Controller, port: str) -> KeyPair:
    """A key that this port takes."""
    pair = new_pair()
    if port == "agent":
        enrolled(controller, "h1", pair)
    else:
        controller.local().ok("user.add", name="ada", key=pair.public, role="admin")
    return pair


@pytest.mark.parametrize("port", PORTS)
def test_a_message_too_large_is_cut_off_on_a_tcp_port(controller: Controller, port: str) -> None:
    """Encrypted, and by somebody whom the port lets in: the connection goes, the controller's memory stays."""
    sender = controller.remote(port, let_in(controller, port))
    before = controller.resident_bytes()
    monitor = sender.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    sender.socket.send(bytes(2 * LIMITS[port]))
    assert monitor.poll(60_000), "it was not cut off"
    assert controller.resident_bytes() - before < 2 * LIMITS[port] + 64 * 2**20
    sender.socket.disable_monitor()
    sender.close()
    assert controller.local().ok("status")


@pytest.mark.attack(10)
@pytest.mark.parametrize("port", PORTS)
def test_a_message_of_a_gibibyte_is_cut_off_on_a_tcp_port(controller: Controller, port: str) -> None:
    """After a good handshake. What it says is noise: to encrypt a GiB would take the sender three of memory."""
    pair = let_in(controller, port)
    with wire(controller.ports[port]) as line:
        sender = Asker(controller.context, f"tcp://127.0.0.1:{line.port}", controller.server_key, pair)
        monitor = sender.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        assert monitor.poll(20_000), "no handshake"
        sender.socket.disable_monitor()
        assert flood(controller, line.far) < 2 * LIMITS[port] + 64 * 2**20
        sender.close()
    assert controller.local().ok("status")


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
