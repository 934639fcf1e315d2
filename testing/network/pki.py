"""An authority of its own for a test, and certificates that are good, or wrong in one way."""

from __future__ import annotations

import datetime
import ipaddress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


class Identity:
    """A certificate and its key, as PEM texts and as files."""

    def __init__(
        self, folder: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ):
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.key_pem = _key_pem(key, serialization.NoEncryption())
        self.encrypted_key_pem = _key_pem(key, serialization.BestAvailableEncryption(b"secret"))
        stem = f"{certificate.serial_number:x}"[:12]
        self.cert, self.key = folder / f"{stem}.crt", folder / f"{stem}.key"
        self.cert.write_text(self.pem)
        self.key.write_text(self.key_pem)


class Authority:
    """Issues certificates into `folder`; `ca` is the file to trust."""

    def __init__(self, folder: Path, name: str = "test authority") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        certificate = self._sign(self._name, self._key, days=30, is_authority=True)
        self.pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
        self.ca = folder / f"{certificate.serial_number:x}-ca.crt"
        self.ca.write_text(self.pem)

    def issue(self, name: str, *, host: str = "", days: float = 30) -> Identity:
        """For a server when `host` is given; `days` below 0: it has expired so long ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        return Identity(self._folder, self._sign(_named(name), key, days, host), key)

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        days: float,
        host: str = "",
        is_authority: bool = False,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 60 * _DAY)
            .not_valid_after(now + days * _DAY)
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        )
        if host:
            names = x509.SubjectAlternativeName([_general(host)])
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def listener(self, server: Identity, clients: bool = True) -> str:
        """Lines for a Mosquitto whose listener wants TLS, and certificates of its clients."""
        lines = f"certfile {server.cert}\nkeyfile {server.key}\n"
        if clients:
            lines += f"cafile {self.ca}\nrequire_certificate true\nuse_identity_as_username true\n"
        return lines


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _key_pem(
    key: ec.EllipticCurvePrivateKey, encryption: serialization.KeySerializationEncryption
) -> str:
    kind = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, kind, encryption).decode()
