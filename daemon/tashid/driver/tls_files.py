"""Certificates where libvirt and QEMU look for them, and libvirtd told to read them anew.

What the agent keeps is the truth; this is a copy of it that is made again whenever it differs. libvirtd as a server
reads its files at its start and when it is told to; as a client, and each QEMU that sends or receives a guest, when
they begin. Keys are root's; QEMU's own belong to its group too, for QEMU runs as nobody in particular.
"""

from __future__ import annotations

import grp
import os
import subprocess
from typing import NamedTuple

from tashi.agent.credential import Own
from tashi.run.files import write_durably
from tashid.credential_files import read_own
from tashid.driver.interface import DriverError

ROOT = "/etc/pki"
RELOAD_SECONDS = 10.0
QEMU_GROUPS = ("libvirt-qemu", "qemu")  # Debian's, Fedora's
MODES = {"all": 0o644, "root": 0o600, "qemu": 0o640}
OURS = "tls-placed"  # in the agent's state: what lies in these places is ours


class Place(NamedTuple):
    """One file below /etc/pki: what it has, and who may read it."""

    path: str
    what: str
    readers: str = "all"


# As in libvirt's "TLS" and QEMU's "TLS setup for network services"; a key before the certificate that belongs to it.
PLACES = (
    Place("CA/cacert.pem", "authority"),
    Place("CA/cacrl.pem", "revoked"),
    Place("libvirt/private/serverkey.pem", "key", "root"),
    Place("libvirt/private/clientkey.pem", "key", "root"),
    Place("libvirt/servercert.pem", "certificate"),
    Place("libvirt/clientcert.pem", "certificate"),
    Place("qemu/ca-cert.pem", "authority"),
    Place("qemu/ca-crl.pem", "revoked"),
    Place("qemu/server-key.pem", "key", "qemu"),
    Place("qemu/client-key.pem", "key", "qemu"),
    Place("qemu/server-cert.pem", "certificate"),
    Place("qemu/client-cert.pem", "certificate"),
)


def use_certificate(state: str) -> str:
    """Put what the agent keeps in ``state`` in place and have it read; returns why nobody reads it now, if so."""
    own = read_own(state)
    if own is None:
        raise DriverError("this host has no certificate yet")
    place(own, state)
    return reload()


def place(own: Own, state: str, root: str = ROOT) -> None:
    """Write what differs. Raises DriverError for files that are somebody else's, OSError."""
    content = {
        "key": own.key,
        "certificate": own.credential.certificate,
        "authority": own.credential.authority,
        "revoked": own.credential.revoked,
    }
    wrong = [each for each in PLACES if _read(os.path.join(root, each.path)) != content[each.what].encode()]
    mark = os.path.join(state, OURS)
    if not os.path.exists(mark):
        foreign = [each.path for each in wrong if os.path.lexists(os.path.join(root, each.path))]
        if foreign:
            raise DriverError(f"{os.path.join(root, foreign[0])} is not tashi's: move it away, it would be overwritten")
        write_durably(mark, b"", 0o600)
    group = _qemu_group()
    for each in wrong:
        path = os.path.join(root, each.path)
        _make_folder(os.path.dirname(path))
        write_durably(path, content[each.what].encode(), 0o600)
        if each.readers == "qemu" and group is not None:
            os.chown(path, -1, group)
        os.chmod(path, MODES[each.readers])


def reload() -> str:
    """Tell libvirtd; returns why there is nobody to tell, if so. Raises DriverError when it can't be told."""
    argv = ["virt-admin", "-c", "libvirtd:///system", "server-update-tls", "libvirtd"]
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RELOAD_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise DriverError("libvirtd can't be told of its new certificate: there is no virt-admin") from error
    except subprocess.TimeoutExpired as error:
        raise DriverError(f"libvirtd does not read its certificate: no answer in {RELOAD_SECONDS:g} s") from error
    words = " ".join(done.stderr.split())
    if done.returncode == 0:
        return ""
    if "no tls service found" in words:
        return "libvirtd serves no TLS"
    if "Failed to connect socket" in words:
        return "libvirtd is not there; it reads them at its start"
    raise DriverError(f"libvirtd does not read its certificate: {words}")


def _make_folder(path: str) -> None:
    """For all to pass, whatever the umask is."""
    if not os.path.isdir(path):
        _make_folder(os.path.dirname(path))
        os.mkdir(path)
        os.chmod(path, 0o755)


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def _qemu_group() -> int | None:
    for name in QEMU_GROUPS:
        try:
            return grp.getgrnam(name).gr_gid
        except KeyError:
            continue
    return None
