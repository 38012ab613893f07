"""The server's certificate, and the root certificate that clients copy once.

The root lives for ten years and signs the server's certificate, which lives for one: renewing that, or adding a name
to it, asks nothing of the clients.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from studies.errors import ClockBehind
from studies.files import write_secret, write_whole

ROOT_LIFE, SERVER_LIFE = timedelta(days=3650), timedelta(days=365)
RENEW_BEFORE = timedelta(days=30)
CLOCK_SKEW = timedelta(days=1)  # a client's clock may be behind by so much


class Certificates:
    """The certificates in a directory. `root.crt` is what clients copy.

    A key and its certificate are one file, of mode 0600, so that there is never one of them without the other.
    """

    def __init__(self, directory: Path) -> None:
        self.root = directory / "root.crt"
        self._root = directory / "root.pem"
        self.server = directory / "server.pem"

    def ensure(self, names: Sequence[str], now: datetime | None = None) -> bool:
        """Make what is missing, ends within RENEW_BEFORE, or lacks a name; return whether anything was made.

        names: host names and addresses that clients may type. now: default: this machine's clock.
        Raises ClockBehind, and ValueError for a file that is no certificate.
        """
        now = now or datetime.now(UTC)
        if self._root.exists() and now < _read(self._root).not_valid_before_utc:
            raise ClockBehind(now=f"{now:%Y-%m-%d %H:%M}", file=self._root)  # not a reason to make another root
        if not _lasts(self._root, now):
            self._make_root(now)
        public = _read(self._root).public_bytes(Encoding.PEM)
        if not self.root.exists() or self.root.read_bytes() != public:
            write_whole(self.root, public)
        if _lasts(self.server, now) and self._is_for(names):
            return False
        self._make_server(names, now)
        return True

    def _is_for(self, names: Sequence[str]) -> bool:
        server, root = _read(self.server), _read(self._root)
        there = server.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        return server.issuer == root.subject and {_general(name) for name in names} <= set(there)

    def _make_root(self, now: datetime) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        # A serial number in the name: roots of two servers, or of two decades, are not taken for each other.
        name = _named(f"studies on {socket.gethostname()}"[:48] + f" {x509.random_serial_number() % 10**12}")
        made = (
            _begun(name, name, key, now, ROOT_LIFE)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(signs_certificates=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        _write(self._root, key, made)

    def _make_server(self, names: Sequence[str], now: datetime) -> None:
        root = _read(self._root)
        root_key = load_pem_private_key(self._root.read_bytes(), password=None)
        assert isinstance(root_key, ec.EllipticCurvePrivateKey)
        key = ec.generate_private_key(ec.SECP256R1())
        life = min(SERVER_LIFE, root.not_valid_after_utc - now)
        made = (
            _begun(_named("studies storage serve"), root.subject, key, now, life)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
            .sign(root_key, hashes.SHA256())
        )
        _write(self.server, key, made)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + life)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _write(file: Path, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate) -> None:
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    write_secret(file, private + certificate.public_bytes(Encoding.PEM))


def _read(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def _lasts(file: Path, now: datetime) -> bool:
    if not file.exists():
        return False
    certificate = _read(file)
    return certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc - RENEW_BEFORE


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
