"""The cluster's certificate authority: it says which machine is which host of this cluster, for TLS between them.

One file with the controller's state, ``ca.key``, mode 0600, has its private key and its certificate, both as PEM.
Hosts make their keys themselves and send a request (PKCS #10, RFC 2986); what that says of names is not believed: the
controller decides what goes into the certificate. Whoever holds a certificate of ours may do as root does on every
host, so each has a number, and the list of revocations (RFC 5280) has the numbers that are not to be believed any more.

The library takes a tenth of a second to load, so it is loaded when somebody asks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

from tashi.model.shorten import shorten
from tashi.run.files import write_durably
from tashi.run.keys import check_private
from tashi.wire.errors import Code, Refused

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

NAME = "ca.key"
YEARS = 20
SKEW_SECONDS = 3600.0  # clocks of hosts may be behind ours by so much
FILE_MAX = 65_536  # bytes
OTHER_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "encipher_only",
    "decipher_only",
)


class CertificateAuthority:
    """Signs. ``certificate`` is its own, as PEM."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, own: x509.Certificate, certificate: str) -> None:
        self._key, self._own, self.certificate = key, own, certificate
        self.until_wall = own.not_valid_after_utc.timestamp()
        self._list: tuple[int, str] = (-1, "")

    def certify(
        self, request: str, name: str, ident: str, addresses: tuple[str, ...], number: int, wall: float, until: float
    ) -> str:
        """A certificate as PEM for the key in ``request``, valid to ``until`` or as long as we are.

        ``name`` and ``ident`` are the host's, ``addresses`` (names, IPv4, IPv6) those where it may be believed to
        be. Raises Refused (bad-request) for what is no request.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

        try:
            asked = x509.load_pem_x509_csr(request.encode())
            key = asked.public_key()
            proven = asked.is_signature_valid
        except Exception as error:  # the library promises no one type for what others wrote
            raise Refused(Code.BAD_REQUEST, shorten(f"{name}: not a certificate request: {error}", 200)) from error
        if not proven or not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise Refused(Code.BAD_REQUEST, f"{name}: a certificate request is for a key on P-256, and signed by it")
        own_name = [x509.NameAttribute(NameOID.COMMON_NAME, name), x509.NameAttribute(NameOID.USER_ID, ident)]
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name(own_name))
            .issuer_name(self._own.subject)
            .public_key(key)
            .serial_number(number)
            .not_valid_before(_instant(wall - SKEW_SECONDS))
            .not_valid_after(_instant(min(until, self.until_wall)))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general(each) for each in addresses]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(self._issued(), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM).decode()

    def revoke(self, revoked: Mapping[str, float], number: int, wall: float) -> str:
        """The list of revocations as PEM: the keys of ``revoked`` are certificates' numbers. ``number`` is its own.

        It does not end before we do: an old list is better than none, and newer ones come by another way.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization

        if self._list[0] != number:
            builder = (
                x509.CertificateRevocationListBuilder()
                .issuer_name(self._own.subject)
                .last_update(_instant(wall - SKEW_SECONDS))
                .next_update(self._own.not_valid_after_utc)
                .add_extension(x509.CRLNumber(number), critical=False)
                .add_extension(self._issued(), critical=False)
            )
            for each in revoked:
                entry = x509.RevokedCertificateBuilder().serial_number(int(each))
                builder = builder.add_revoked_certificate(entry.revocation_date(_instant(wall)).build())
            signed = builder.sign(self._key, hashes.SHA256())
            self._list = (number, signed.public_bytes(serialization.Encoding.PEM).decode())
        return self._list[1]

    def _issued(self) -> x509.AuthorityKeyIdentifier:
        from cryptography import x509

        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key())


def read_or_make_authority(state: str, wall: float) -> CertificateAuthority:
    """The authority in ``state``, made now when there is none. Raises Refused: others may read its key, or nonsense."""
    path = os.path.join(state, NAME)
    if not os.path.lexists(path):
        write_durably(path, _made(wall), 0o600)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    with os.fdopen(fd, "rb") as file:
        check_private(path, os.fstat(fd))
        data = file.read(FILE_MAX)
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        key = serialization.load_pem_private_key(data, None)
        own = x509.load_pem_x509_certificate(data)
    except (ValueError, TypeError) as error:
        hint = "put it back from a backup; or move it away: hosts then have to be given new certificates"
        raise Refused(Code.BAD_REQUEST, shorten(f"{path}: not a certificate authority: {error}", 300), hint) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != own.public_key():
        raise Refused(Code.BAD_REQUEST, f"{path}: its certificate and its key don't belong together")
    return CertificateAuthority(key, own, own.public_bytes(serialization.Encoding.PEM).decode())


def _made(wall: float) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    number = x509.random_serial_number()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"tashi cluster {number & 0xFFFFFFFF:08x}")])
    usage = dict.fromkeys(OTHER_USAGES, False)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(number)
        .not_valid_before(_instant(wall - SKEW_SECONDS))
        .not_valid_after(_instant(wall) + timedelta(days=365 * YEARS))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return secret + made.public_bytes(serialization.Encoding.PEM)


def new_request() -> tuple[str, str]:
    """A host's side: a fresh private key, and the request for a certificate of its public half, both as PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
    return secret.decode(), asked.public_bytes(serialization.Encoding.PEM).decode()


def _instant(wall: float) -> datetime:
    return datetime.fromtimestamp(int(wall), UTC)


@lru_cache(1000)
def _general(address: str) -> x509.GeneralName:
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(address))
    except ValueError:
        return x509.DNSName(address)
