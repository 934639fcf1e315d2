"""Certificates and revocation lists as RFC 5280 wants them, by the library `cryptography`."""

from __future__ import annotations

import dataclasses
import datetime
import ipaddress
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
SERVER = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
# A Jetson has no battery for its clock: one that is a little behind must not find a certificate
# that it has just been given, or the broker's new one, to be of the future.
BACKDATED = datetime.timedelta(hours=1)

Key = ec.EllipticCurvePrivateKey


@dataclasses.dataclass(frozen=True)
class Identity:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: Key

    @property
    def pem(self) -> str:
        return cert_pem(self.certificate) + key_pem(self.key)


def now() -> datetime.datetime:
    """Certificates know whole seconds."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0)


def new_key() -> Key:
    return ec.generate_private_key(ec.SECP256R1())


def authority(key: Key, days: int, subject_name: str) -> Identity:
    """A self-signed authority. All certificates of one key vouch for the same others."""
    subject = _named(subject_name)
    since = now() - BACKDATED
    usage = _usage(key_cert_sign=True, crl_sign=True)
    certificate = (
        _builder(subject, subject, key, since, now() + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )
    return Identity(certificate, key)


def issue(
    issuer: Identity,
    name: str,
    life: datetime.timedelta,
    purposes: Iterable[x509.ObjectIdentifier] = CLIENT,
    hosts: Iterable[str] = (),
    at: datetime.datetime | None = None,
) -> Identity:
    """A new key, certified for `life` from `at` (now) on, but not beyond its issuer's end."""
    key, at = new_key(), at or now()
    until = min(at + life, issuer.certificate.not_valid_after_utc)
    builder = (
        _builder(_named(name), issuer.certificate.subject, key, at - BACKDATED, until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(digital_signature=True), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(_issuer_key(issuer), critical=False)
    )
    if names := [_general(host) for host in hosts]:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return Identity(builder.sign(issuer.key, hashes.SHA256()), key)


def revocations(
    issuer: Identity, revoked: Iterable[tuple[int, datetime.datetime]]
) -> x509.CertificateRevocationList:
    """The list of `revoked` serial numbers with their times.

    It is valid for as long as the authority: with an expired list, OpenSSL refuses everybody.
    """
    at = now()
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(issuer.certificate.subject)
        .last_update(at - BACKDATED)
        .next_update(issuer.certificate.not_valid_after_utc)
        .add_extension(_issuer_key(issuer), critical=False)
        # Must grow (RFC 5280, section 5.2.3), and time does.
        .add_extension(x509.CRLNumber(int(at.timestamp())), critical=False)
    )
    for serial, moment in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(moment)
        builder = builder.add_revoked_certificate(entry.build())
    return builder.sign(issuer.key, hashes.SHA256())


def near_its_end(certificate: x509.Certificate) -> bool:
    """Whether less than a third of its life is left."""
    end = certificate.not_valid_after_utc
    return end - now() < (end - certificate.not_valid_before_utc) / 3


def hosts_of(certificate: x509.Certificate) -> set[str]:
    """The names and addresses that it is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return set()
    return {str(name.value) for name in names}


def cert_pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: Key) -> str:
    kind = serialization.PrivateFormat.PKCS8
    encryption = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, kind, encryption).decode()


def load_crls(content: str) -> list[x509.CertificateRevocationList]:
    """All revocation lists of a PEM file.

    Raises:
        ValueError: one of them is damaged.
    """
    end = "-----END X509 CRL-----\n"
    parts = [part + end for part in content.split(end) if part.strip()]
    return [x509.load_pem_x509_crl(part.encode()) for part in parts]


def crl_pem(crl: x509.CertificateRevocationList) -> str:
    return crl.public_bytes(serialization.Encoding.PEM).decode()


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: Key,
    since: datetime.datetime,
    until: datetime.datetime,
) -> x509.CertificateBuilder:
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(since)
        .not_valid_after(until)
        .add_extension(identifier, critical=False)
    )


def _issuer_key(issuer: Identity) -> x509.AuthorityKeyIdentifier:
    """By its key alone: a serial number would tie it to one of the authority's certificates."""
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _usage(**on: bool) -> x509.KeyUsage:
    off = dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "key_cert_sign",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    )
    return x509.KeyUsage(**(off | on))
