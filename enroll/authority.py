"""The authorities: keys that never leave their folder, their certificates, and the ledger.

There are three, each self-signed. The root vouches for the broker to all its clients; `devices` and
`services` vouch for these two to the broker, so that each of its listeners trusts one of them. They
are no intermediates of the root: Mosquitto does not set X509_V_FLAG_PARTIAL_CHAIN, so it would have
to trust the root, and with that both.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from common.settings import SettingsError
from enroll import certificates, files
from enroll.certificates import CLIENT, Identity, Key, cert_pem
from enroll.ledger import DEVICES, ROOT, SERVICES, Ledger
from enroll.words import day, say

SUBJECTS = {  # never to be changed: bundles look for an issuer of this name
    ROOT: "facepipe authority",
    DEVICES: "facepipe devices",
    SERVICES: "facepipe services",
}


class Issuer:
    """One authority: its key and its certificate, which are created at first use.

    Raises:
        SettingsError: a file is missing or damaged.
    """

    def __init__(self, folder: Path, name: str, days: int, ledger: Ledger) -> None:
        stem = "ca" if name == ROOT else name
        self.name = name
        self._key_file, self._cert_file = folder / f"{stem}.key", folder / f"{stem}.crt"
        self._days = days
        self._key = self._read_key(ledger) or self._create_key(ledger)
        self._identity = self._read_certificate()
        self.renewed = False
        if self._identity is None or certificates.near_its_end(self._identity.certificate):
            self.renew()

    def _read_key(self, ledger: Ledger) -> Key | None:
        content = files.read(self._key_file)
        if content is None:
            return None
        if not ledger.exists:
            raise _lost(self._key_file.with_name("ledger.json"))
        try:
            key = serialization.load_pem_private_key(content.encode(), password=None)
        except (ValueError, TypeError) as error:
            raise SettingsError([f"{self._key_file} is damaged: {error}"]) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SettingsError([f"{self._key_file} is not an elliptic-curve key"])
        return key

    def _create_key(self, ledger: Ledger) -> Key:
        if self._cert_file.exists() or any(one.authority == self.name for one in ledger.entries):
            raise _lost(self._key_file)
        # In this order: after a kill between any two of them, the next run continues from there.
        ledger.save()
        key = certificates.new_key()
        files.write(self._key_file, certificates.key_pem(key), files.SECRET)
        return key

    def _read_certificate(self) -> Identity | None:
        content = files.read(self._cert_file)
        if content is None:
            return None
        try:
            certificate = x509.load_pem_x509_certificate(content.encode())
        except ValueError as error:
            raise SettingsError([f"{self._cert_file} is damaged: {error}"]) from None
        if certificate.public_key() != self._key.public_key():
            raise SettingsError([f"{self._cert_file} does not belong to {self._key_file}"])
        return Identity(certificate, self._key)

    def renew(self) -> None:
        """Certify the same key again: who trusts the old certificate trusts what it has signed."""
        first = self._identity is None
        self._identity = certificates.authority(self._key, self._days, SUBJECTS[self.name])
        files.write(self._cert_file, self.pem, files.PUBLIC)
        self.renewed = True
        until = day(self.identity.certificate.not_valid_after_utc)
        say(f"{'created' if first else 'renewed'} the authority {self.name!r}, until {until}")

    @property
    def identity(self) -> Identity:
        assert self._identity is not None  # noqa: S101 - created by the constructor
        return self._identity

    @property
    def pem(self) -> str:
        return cert_pem(self.identity.certificate)


class Authority:
    """The three issuers of a folder, and its ledger. The caller holds the folder's lock.

    Raises:
        SettingsError: something in the folder is missing or damaged.
    """

    def __init__(self, folder: Path, days: int) -> None:
        self.ledger = Ledger(folder / "ledger.json")
        first = not self.ledger.exists
        self.root, self.devices, self.services = self.issuers = tuple(
            Issuer(folder, name, days, self.ledger) for name in (ROOT, DEVICES, SERVICES)
        )
        if first:
            say(
                f"{folder} holds the authorities' keys: keep a backup where nobody else can read it"
            )

    def renew(self) -> None:
        for issuer in self.issuers:
            if not issuer.renewed:
                issuer.renew()

    def enrol(
        self,
        name: str,
        days: int,
        issuer: Issuer | None = None,
        purposes: Iterable[x509.ObjectIdentifier] = CLIENT,
        hosts: Iterable[str] = (),
    ) -> Identity:
        """A new identity, by default of a device; the ledger has it before anything else does."""
        issuer = issuer or self.devices
        life = datetime.timedelta(days=days)
        issued = certificates.issue(issuer.identity, name, life, purposes, hosts)
        self.ledger.add(name, issued.certificate, issuer.name)
        return issued

    def bundle(self, own: Identity) -> str:
        """One file with all that its owner needs. Tools show the first certificate: its own."""
        return own.pem + self.root.pem

    def issue_temporary(self, name: str) -> Identity:
        """An identity for one hour at the inner listener, which is never written to a disk."""
        return certificates.issue(self.services.identity, name, datetime.timedelta(hours=1))


def _lost(file: Path) -> SettingsError:
    return SettingsError([f"{file} is gone: restore it from the backup of its folder"])
