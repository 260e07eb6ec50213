"""Where a guest may be migrated to: TLS, plain tcp in a laboratory, and no address that carries more than a host."""

from __future__ import annotations

import pytest

from tashid.driver.interface import DriverError
from tashid.driver.peer import Peer, check_peer, explain

GOOD = {
    "qemu+tls://h2/system": "h2",
    "qemu+tls://10.0.0.2:16514/system": "10.0.0.2",
    "qemu+tls://[fd00::2]/system": "[fd00::2]",
    "qemu+tls://[fd00::2]:16514/system": "[fd00::2]",
}
BAD = [
    "",
    "h2",
    "qemu:///system",
    "qemu+tls:///system",
    "qemu+tls://h2/session",
    "qemu+tls://h2/system?no_verify=1",
    "qemu+tls://h2/system#x",
    "qemu+tls://root@h2/system",
    "qemu+tls://h2:port/system",
    "qemu+tls://[fd00::2/system",
    "qemu+ssh://h2/system",
    "qemu+ext://h2/system?command=/bin/sh",
    "qemu+unix:///system?socket=/tmp/x",
    "test:///default",
    "QEMU+TLS://h2/system",
    "qemu+tls://h2/system\n",
]


@pytest.mark.parametrize("uri", GOOD)
def test_tls_is_taken(uri: str) -> None:
    assert check_peer(uri, lab=False) == check_peer(uri, lab=True) == Peer(uri, GOOD[uri], encrypted=True)


@pytest.mark.parametrize("uri", BAD)
def test_anything_else_is_refused(uri: str) -> None:
    for lab in (False, True):
        with pytest.raises(DriverError):
            check_peer(uri, lab)


def test_plain_tcp_is_for_a_laboratory() -> None:
    assert check_peer("qemu+tcp://10.0.0.2/system", lab=True) == Peer(
        "qemu+tcp://10.0.0.2/system", "10.0.0.2", encrypted=False
    )
    with pytest.raises(DriverError, match="laboratory"):
        check_peer("qemu+tcp://10.0.0.2/system", lab=False)


def test_what_libvirt_says_of_certificates_is_said_plainly() -> None:
    told = "Unable to read TLS confirmation: Input/output error"
    assert explain(told) == (
        f"the destination does not believe this host's certificate (ended, revoked, of another cluster): {told}"
    )
    assert explain("no route to host") == "no route to host"
