"""What the cloud broker, processor and gallery read, kept as it should be at each run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from enroll import access, certificates, files
from enroll.authority import Authority
from enroll.certificates import CLIENT, SERVER, Identity
from enroll.settings import EnrollSettings
from enroll.words import day, say

INSIDE = ("broker", "localhost")  # names of the broker to our own services


def keep(authority: Authority, settings: EnrollSettings, anew: bool = False) -> None:
    """Make what is missing, and renew what is near its end, or everything if `anew`."""
    broker = Path(settings.broker_dir)
    asked = "as asked" if anew else "the authority's is new" if authority.renewed else ""
    _keep_broker(authority, settings, broker / "server.pem", asked)
    for name, folder in (("processor", settings.processor_dir), ("gallery", settings.gallery_dir)):
        _keep_client(authority, settings, name, Path(folder) / f"{name}.pem", asked)
    _put(broker / "ca.crt", authority.pem, files.PUBLIC)
    admit(authority, settings)
    if _list_is_due(broker / "crl.pem", authority):
        _put_list(broker / "crl.pem", authority)


def admit(authority: Authority, settings: EnrollSettings) -> None:
    """Write who may come in, for the broker's next start."""
    access_file = Path(settings.broker_dir) / "access.json"
    _put(access_file, access.configuration(authority.ledger.devices), files.SECRET)


def write_revocation(authority: Authority, settings: EnrollSettings) -> Identity:
    """Write the revocation list; returns a canary: a new certificate that is on the list as well.

    A broker that refuses the canary has read this list.
    """
    canary = authority.issue_temporary("canary")
    admit(authority, settings)
    _put_list(Path(settings.broker_dir) / "crl.pem", authority, canary)
    return canary


def _keep_broker(authority: Authority, settings: EnrollSettings, file: Path, asked: str) -> None:
    names = tuple(dict.fromkeys((*settings.public_host, *INSIDE)))
    if reason := asked or _due(file, authority, names):
        made = authority.enrol("broker", settings.service_days, SERVER, names)
        # Certificate and key in one file, so that the two are renewed at once.
        files.write(file, made.pem, files.SECRET)
        _tell("broker", made, reason, f" for {', '.join(names)}")


def _keep_client(
    authority: Authority, settings: EnrollSettings, name: str, file: Path, asked: str
) -> None:
    """A service that is a client of the broker, and nothing else."""
    if reason := asked or _due(file, authority):
        made = authority.enrol(name, settings.service_days, CLIENT)
        files.write(file, authority.bundle(made), files.SECRET)
        _tell(name, made, reason)


def _tell(name: str, made: Identity, reason: str, names: str = "") -> None:
    until = day(made.certificate.not_valid_after_utc)
    say(f"made the {name}'s certificate{names}, until {until} ({reason})")


def _due(file: Path, authority: Authority, names: Iterable[str] = ()) -> str | None:
    """Why a file has to be made; None for one that is as it should be."""
    content = files.read(file)
    if content is None:
        return "there was none"
    try:
        certificate = x509.load_pem_x509_certificate(content.encode())
        certificate.verify_directly_issued_by(authority.identity.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return "what was there is not of this authority"
    if certificates.hosts_of(certificate) != set(names):
        return "PUBLIC_HOST has changed"
    if certificates.near_its_end(certificate):
        return "the old one is near its end"
    return None


def _list_is_due(file: Path, authority: Authority) -> bool:
    """Is there no list, or one from before what the ledger and the authority say now?"""
    content = files.read(file)
    try:
        crl = x509.load_pem_x509_crl((content or "").encode())
    except ValueError:
        return True
    listed = {entry.serial_number for entry in crl}
    issuer = authority.identity
    return (
        not listed >= {serial for serial, _ in authority.ledger.revoked}
        or not crl.is_signature_valid(issuer.key.public_key())
        or crl.next_update_utc != issuer.certificate.not_valid_after_utc
    )


def _put_list(file: Path, authority: Authority, canary: Identity | None = None) -> None:
    revoked = authority.ledger.revoked
    if canary is not None:
        revoked.append((canary.certificate.serial_number, certificates.now()))
    crl = certificates.revocations(authority.identity, revoked)
    files.write(file, certificates.crl_pem(crl), files.PUBLIC)


def _put(file: Path, content: str, mode: int) -> None:
    """Write what differs: the broker reads anew when its files change."""
    if files.read(file) != content:
        files.write(file, content, mode)
