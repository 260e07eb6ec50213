"""Hosts speak TLS with one another: whom they believe, whom not any more, and that a guest stays where it is then."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tashi.lab import libvirtd, namespace_host
from tashi.lab.call import wait_until
from tashi.lab.lab import Lab, down
from tashi.run.authority import CertificateAuthority, new_request, read_or_make_authority
from tests.lab import guest
from tests.lab.commands import Shell

NAME = "test-tls"
WITHOUT = "root" if os.geteuid() != 0 else namespace_host.missing()
pytestmark = [pytest.mark.lab, pytest.mark.skipif(bool(WITHOUT), reason=f"needs {WITHOUT}")]
# Where a certificate and its key are, below /etc/pki.
OURS = ("libvirt/clientcert", "libvirt/private/clientkey")
THEIRS = ("libvirt/servercert", "libvirt/private/serverkey")
QEMUS = ("qemu/server-cert", "qemu/server-key")
AUTHORITY = ("CA/cacert", "CA/cacrl")
RELOAD = ("virt-admin", "-c", "libvirtd:///system", "server-update-tls", "libvirtd")


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    down(NAME)
    try:
        yield Lab.up(NAME, 2, "libvirt")
    finally:
        down(NAME)


@pytest.fixture(scope="module")
def shell(lab: Lab) -> Shell:
    shell = Shell(NAME)
    shell.run("tvm-create", "-q", "web", "--image", "tiny", "--cores", "1", "--memory", "4M", "--host", "h1")
    return shell


def pki(lab: Lab, host: str) -> Path:
    """The host's /etc/pki."""
    return lab.folders.data / "hosts" / host / "pki"


def certify(authority: CertificateAuthority, lab: Lab, host: str, seconds: float) -> tuple[str, str]:
    """A certificate of a host and its key, good for so long from now."""
    key, request = new_request()
    addresses = (host, lab.plan.machine(lab.record.hosts[host].number))
    return authority.certify(request, host, "h-0", addresses, 99, time.time(), time.time() + seconds), key


@contextmanager
def having(lab: Lab, host: str, names: tuple[str, ...], certified: tuple[str, ...]) -> Iterator[None]:
    """Other content in these places of a host, for a while."""
    files = [pki(lab, host) / f"{name}.pem" for name in names]
    own = [file.read_text() for file in files]
    try:
        for file, text in zip(files, certified, strict=True):
            file.write_text(text)
        assert "error" not in inside(lab, host, *RELOAD)
        yield
    finally:
        for file, text in zip(files, own, strict=True):
            file.write_text(text)
        inside(lab, host, *RELOAD)


def inside(lab: Lab, host: str, *argv: str) -> str:
    """What a command prints in a host, good or bad."""
    done = subprocess.run(
        lab.host(host).command(argv),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    return done.stdout


def stays(lab: Lab, shell: Shell, reason: str) -> None:
    """A migration of web is refused for this reason, and the guest goes on where it is."""
    before = inside(lab, "h1", "pgrep", "-f", "guest=v-1,")
    done = shell.run("tvm-migrate", "--to", "h2", "web", check=False)
    assert done.returncode == 1 and reason in done.stderr, done.stderr
    vm = shell.row("vm", "web")
    assert (vm["host"], vm["state"]) == ("h1", "running")
    assert inside(lab, "h1", "pgrep", "-f", "guest=v-1,") == before != ""


def listening(lab: Lab, host: str) -> set[int]:
    return {int(line.split()[3].rsplit(":", 1)[1]) for line in inside(lab, host, "ss", "-Htln").splitlines()}


def test_libvirtd_listens_for_tls_alone(lab: Lab, shell: Shell) -> None:
    for host in ("h1", "h2"):
        assert listening(lab, host) & {libvirtd.TCP_PORT, libvirtd.TLS_PORT} == {libvirtd.TLS_PORT}
        assert shell.row("host", host)["migrate_uri"].startswith("qemu+tls://")


def test_a_guest_moves_over_tls(lab: Lab, shell: Shell) -> None:
    shell.run("tvm-migrate", "--to", "h2", "web")
    assert shell.row("vm", "web")["host"] == "h2"
    shell.run("tvm-migrate", "--to", "h1", "web")


def test_so_does_its_memory(lab: Lab, shell: Shell, tmp_path: Path) -> None:
    """The line between the two QEMUs has a certificate of its own to check."""
    other = read_or_make_authority(str(tmp_path), time.time())
    with having(lab, "h2", QEMUS, certify(other, lab, "h2", 3600)):
        stays(lab, shell, "/etc/pki/qemu/")


def test_nobody_gets_in_without_a_certificate(lab: Lab) -> None:
    context = ssl.create_default_context(cafile=str(pki(lab, "h1") / "CA/cacert.pem"))
    address = lab.plan.machine(1)
    with socket.create_connection((address, libvirtd.TLS_PORT), 5) as plain:
        plain.settimeout(5)
        with context.wrap_socket(plain, server_hostname=address) as line, suppress(ssl.SSLError, ConnectionError):
            assert line.recv(1) == b"", "libvirtd says a byte to whom it believes"


def test_another_authority_is_not_believed(lab: Lab, shell: Shell, tmp_path: Path) -> None:
    other = read_or_make_authority(str(tmp_path), time.time())
    alien = (other.certificate, other.revoke({}, 0, time.time()))
    with having(lab, "h2", (*AUTHORITY, *THEIRS), (*alien, *certify(other, lab, "h2", 3600))):
        stays(lab, shell, "the destination's certificate is not to be believed")
    with having(lab, "h1", OURS, certify(other, lab, "h1", 3600)):
        stays(lab, shell, "this host's certificate is not to be believed")


def test_a_certificate_that_has_ended_is_not_believed(lab: Lab, shell: Shell) -> None:
    own = read_or_make_authority(str(lab.folders.data / "controller"), time.time())
    end = time.time() + 3
    with having(lab, "h2", THEIRS, certify(own, lab, "h2", 3)):  # libvirtd would not load one that has ended
        wait_until(lambda: time.time() > end + 1, "it has ended", seconds=10)
        stays(lab, shell, "the destination's certificate is not to be believed (ended,")
    with having(lab, "h1", OURS, certify(own, lab, "h1", -1)):
        stays(lab, shell, "has expired")


def test_a_certificate_for_another_address_is_not_believed(lab: Lab, shell: Shell) -> None:
    own = read_or_make_authority(str(lab.folders.data / "controller"), time.time())
    with having(lab, "h2", THEIRS, certify(own, lab, "h1", 3600)):
        stays(lab, shell, "the destination's certificate is not to be believed")


def test_new_certificates_are_used_at_once(lab: Lab, shell: Shell) -> None:
    def served(host: str) -> str:
        address = lab.plan.machine(lab.record.hosts[host].number)
        return ssl.get_server_certificate((address, libvirtd.TLS_PORT), timeout=5)

    before = {host: served(host) for host in ("h1", "h2")}
    shell.run("thost-certify", "h1", "h2")
    for host, former in before.items():
        assert served(host) not in (former, "")
        assert served(host) == (pki(lab, host) / "libvirt/servercert.pem").read_text()
    shell.run("tvm-migrate", "--to", "h2", "web")
    shell.run("tvm-migrate", "--to", "h1", "web")


def test_what_was_overwritten_is_put_right_when_the_agent_starts(lab: Lab, shell: Shell) -> None:
    file = pki(lab, "h1") / "libvirt/clientcert.pem"
    good = file.read_text()
    file.write_text("nonsense")
    shell.run("tashi-lab", "kill-agent", "h1")
    shell.run("tashi-lab", "start-agent", "h1")
    wait_until(lambda: file.read_text() == good, "the agent has put its certificate back", seconds=20)
    shell.run("tvm-wait", "-q", "--timeout", "30", "--state", "running", "web")


def test_a_host_that_was_removed_is_not_believed_any_more(lab: Lab, shell: Shell) -> None:
    there = [f"qemu+tls://{lab.plan.machine(number)}/system" for number in (1, 2)]
    guest.create(lab, "h1", 7, "tiny")
    guest.create(lab, "h2", 8, "tiny")
    assert "error" not in inside(lab, "h2", "virsh", "-c", there[0], "list")
    shell.run("thost-remove", "-y", "h2")
    wait_until(lambda: "error" in inside(lab, "h2", "virsh", "-c", there[0], "list"), "h1 has heard of it", seconds=20)
    move = ("virsh", "migrate", "--live", "--p2p", "--tls", "--unsafe")
    assert "Failed to verify peer's certificate" in inside(lab, "h1", *move, "g7", there[1])
    assert "TLS confirmation" in inside(lab, "h2", *move, "g8", there[0])
    assert [guest.state(lab, host, number) for host, number in (("h1", 7), ("h2", 8))] == ["running", "running"]
