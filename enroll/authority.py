"""The authority: a key that never leaves its folder, its certificate, and the ledger."""

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
from enroll.ledger import Ledger
from enroll.words import day, say


class Authority:
    """Opens what the folder holds; at first use makes it. The caller holds the folder's lock.

    Raises:
        SettingsError: something is missing there or damaged.
    """

    def __init__(self, folder: Path, days: int) -> None:
        self._key_file, self._cert_file = folder / "ca.key", folder / "ca.crt"
        self._days = days
        self.ledger = Ledger(folder / "ledger.json")
        self._key = self._read_key() or self._make_key()
        self._identity = self._read_certificate()
        self.renewed = False
        if self._identity is None or certificates.near_its_end(self._identity.certificate):
            self.renew()

    def _read_key(self) -> Key | None:
        content = files.read(self._key_file)
        if content is None:
            return None
        if not self.ledger.exists:
            raise _lost(self._key_file.with_name("ledger.json"))
        try:
            key = serialization.load_pem_private_key(content.encode(), password=None)
        except (ValueError, TypeError) as error:
            raise SettingsError([f"{self._key_file} is damaged: {error}"]) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise SettingsError([f"{self._key_file} is no key on an elliptic curve"])
        return key

    def _make_key(self) -> Key:
        if self._cert_file.exists() or self.ledger.entries:
            raise _lost(self._key_file)
        # In this order: after a kill between any two of them, the next run goes on from there.
        self.ledger.save()
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
        """Certify the same key anew: whoever trusts the old certificate trusts its work."""
        first = self._identity is None
        self._identity = certificates.authority(self._key, self._days)
        files.write(self._cert_file, self.pem, files.PUBLIC)
        self.renewed = True
        made = "made the authority" if first else "made the authority's certificate anew"
        say(f"{made}, until {day(self.identity.certificate.not_valid_after_utc)}")
        if first:
            say(f"{self._key_file.parent} holds its key: keep a backup where nobody else reads it")

    @property
    def identity(self) -> Identity:
        assert self._identity is not None  # noqa: S101 - made by the constructor
        return self._identity

    @property
    def pem(self) -> str:
        return cert_pem(self.identity.certificate)

    def enrol(
        self,
        name: str,
        days: int,
        purposes: Iterable[x509.ObjectIdentifier] = CLIENT,
        hosts: Iterable[str] = (),
    ) -> Identity:
        """A new identity, in the ledger before it is anywhere else."""
        life = datetime.timedelta(days=days)
        made = certificates.issue(self.identity, name, life, purposes, hosts)
        self.ledger.add(name, made.certificate)
        return made

    def bundle(self, own: Identity) -> str:
        """All that its owner needs, in one file. Tools show the first certificate: its own."""
        return own.pem + self.pem

    def issue_temporary(self, name: str) -> Identity:
        """An identity for one hour, which is never written to a disk."""
        return certificates.issue(self.identity, name, datetime.timedelta(hours=1))


def _lost(file: Path) -> SettingsError:
    return SettingsError([f"{file} is gone: restore it from the backup of its folder"])
