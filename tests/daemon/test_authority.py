"""The certificate authority: whom it certifies, what its certificates say, and what OpenSSL makes of them."""

from __future__ import annotations

import os
import stat
import subprocess
import time
from pathlib import Path

import pytest

from tashi.run.authority import CertificateAuthority, new_request, read_or_make_authority
from tashi.wire.errors import Refused

NOW = time.time()
HOUR = 3600.0


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return read_or_make_authority(str(tmp_path), NOW)


def openssl(*words: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(["openssl", *words], input=text, capture_output=True, text=True, timeout=20, check=False)


def verified(folder: Path, authority: CertificateAuthority, certificate: str, revoked: str) -> str:
    """What OpenSSL says of a certificate, as a client that reads the list of revocations."""
    (folder / "own.pem").write_text(certificate)
    (folder / "authority.pem").write_text(authority.certificate)
    (folder / "revoked.pem").write_text(revoked)
    files = ("-CAfile", str(folder / "authority.pem"), "-CRLfile", str(folder / "revoked.pem"))
    done = openssl("verify", "-crl_check", *files, "-x509_strict", str(folder / "own.pem"))
    return done.stdout + done.stderr


def test_it_is_made_once_and_is_private(tmp_path: Path, authority: CertificateAuthority) -> None:
    assert stat.S_IMODE((tmp_path / "ca.key").stat().st_mode) == 0o600
    assert read_or_make_authority(str(tmp_path), NOW + 1).certificate == authority.certificate
    assert "PRIVATE" not in authority.certificate
    (tmp_path / "ca.key").chmod(0o640)
    with pytest.raises(Refused, match="mode 0640"):
        read_or_make_authority(str(tmp_path), NOW)


def test_half_an_authority_is_none(tmp_path: Path, authority: CertificateAuthority) -> None:
    whole = (tmp_path / "ca.key").read_text()
    for part in (whole[: whole.index("-----BEGIN CERTIFICATE")], authority.certificate, "", new_request()[0]):
        (tmp_path / "ca.key").write_text(part)
        with pytest.raises(Refused, match="not a certificate authority"):
            read_or_make_authority(str(tmp_path), NOW)
    (tmp_path / "ca.key").write_text(new_request()[0] + authority.certificate)
    with pytest.raises(Refused, match="don't belong together"):
        read_or_make_authority(str(tmp_path), NOW)


def test_a_certificate_says_what_the_controller_says(authority: CertificateAuthority) -> None:
    _, asked = new_request()
    addresses = ("h1", "10.0.0.1", "fd00::1")
    made = authority.certify(asked, "h1", "h-7", addresses, 12, NOW, NOW + HOUR)
    shown = openssl("x509", "-noout", "-subject", "-serial", "-enddate", "-ext", "subjectAltName", text=made).stdout
    assert "CN = h1, UID = h-7" in shown
    assert "serial=0C" in shown
    assert "DNS:h1, IP Address:10.0.0.1, IP Address:FD00:0:0:0:0:0:0:1" in shown
    assert time.strftime("%b %e %H:%M:%S %Y", time.gmtime(NOW + HOUR)) in shown


def test_what_is_revoked_is_not_believed(tmp_path: Path, authority: CertificateAuthority) -> None:
    first, second = (
        authority.certify(new_request()[1], "h1", "h-1", ("h1",), number, NOW, NOW + HOUR) for number in (1, 2)
    )
    nothing, one = authority.revoke({}, 0, NOW), authority.revoke({"1": NOW + HOUR}, 1, NOW)
    assert verified(tmp_path, authority, first, nothing).endswith(": OK\n")
    assert "certificate revoked" in verified(tmp_path, authority, first, one)
    assert verified(tmp_path, authority, second, one).endswith(": OK\n")


def test_another_clusters_certificate_is_not_believed(tmp_path: Path, authority: CertificateAuthority) -> None:
    (tmp_path / "other").mkdir()
    other = read_or_make_authority(str(tmp_path / "other"), NOW)
    made = other.certify(new_request()[1], "h1", "h-1", ("h1",), 1, NOW, NOW + HOUR)
    assert "unable to get local issuer" in verified(tmp_path, authority, made, authority.revoke({}, 0, NOW))


def test_what_is_no_request_is_refused(authority: CertificateAuthority) -> None:
    _, asked = new_request()
    lines = asked.splitlines()
    forged = "\n".join([lines[0], *lines[1:-2], lines[-2][::-1], lines[-1]])
    key = ("-newkey", "rsa:2048", "-nodes", "-keyout", os.devnull)
    weak = openssl("req", "-new", *key, "-subj", "/CN=root").stdout
    assert weak.startswith("-----BEGIN")
    for wrong in ("", "-----BEGIN CERTIFICATE REQUEST-----", authority.certificate, forged, weak, "\N{SNOWMAN}"):
        with pytest.raises(Refused, match="certificate request"):
            authority.certify(wrong, "h1", "h-1", ("h1",), 1, NOW, NOW + HOUR)


def test_no_certificate_outlives_the_authority(authority: CertificateAuthority) -> None:
    made = authority.certify(new_request()[1], "h1", "h-1", ("h1",), 1, NOW, NOW + 100 * 365 * 86400)
    left = int(authority.until_wall - NOW)
    assert openssl("x509", "-noout", "-checkend", str(left - 86400), text=made).returncode == 0
    assert openssl("x509", "-noout", "-checkend", str(left + 86400), text=made).returncode == 1
