"""The files that the cloud broker, the processor and the gallery read."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from common.protocol.topics import DOCTOR
from enroll import access, certificates, files
from enroll.authority import Authority, Issuer
from enroll.certificates import CLIENT, SERVER, Identity
from enroll.ledger import RESERVED, ROOT
from enroll.settings import EnrollSettings
from enroll.words import day, say

INSIDE = ("broker", "localhost")  # names of the broker for our own services
Revoked = list[tuple[int, datetime.datetime]]


def keep(authority: Authority, settings: EnrollSettings, force: bool = False) -> None:
    """Create what is missing, and renew what is near its end, or everything if `force`."""
    broker = Path(settings.broker_dir)
    reason = "requested" if force else ""
    # What the broker trusts comes first, so that it knows the issuer of what follows.
    _write_trust(authority, broker)
    _write_lists(authority, broker)
    admit(authority, settings)
    _keep_server(authority, settings, broker / "server.pem", reason)
    folders = {
        "broker": settings.broker_dir,  # as a client of itself, for its health check
        "processor": settings.processor_dir,
        "gallery": settings.gallery_dir,
        DOCTOR: settings.doctor_dir,
    }
    for name, folder in folders.items():
        if folder:
            _keep_client(authority, settings, name, Path(folder) / f"{name}.pem", reason)
    _write_trust(authority, broker)
    _write_lists(authority, broker)


def admit(authority: Authority, settings: EnrollSettings) -> None:
    """Write who may connect, for the broker's next start."""
    access_file = Path(settings.broker_dir) / "access.json"
    _put(access_file, access.configuration(authority.ledger.devices), files.SECRET)


def write_revocation(authority: Authority, settings: EnrollSettings) -> Identity:
    """Write the revocation lists; returns a canary: a new certificate that is revoked as well.

    A broker that refuses the canary has read these lists.
    """
    canary = authority.issue_temporary("canary")
    admit(authority, settings)
    _write_trust(authority, Path(settings.broker_dir))
    _write_lists(authority, Path(settings.broker_dir), canary)
    return canary


def _write_trust(authority: Authority, broker: Path) -> None:
    """Which authorities each listener trusts: one, and the root while it has clients left."""
    root = authority.root.pem
    left = authority.ledger.from_root
    old_devices = any(entry.name not in RESERVED for entry in left)
    _put(broker / "devices.crt", authority.devices.pem + root * old_devices, files.PUBLIC)
    _put(broker / "services.crt", authority.services.pem + root * bool(left), files.PUBLIC)
    # The broker's own, and what a broker from before reads for both of its listeners.
    everything = "".join(issuer.pem for issuer in authority.issuers)
    _put(broker / "ca.crt", everything, files.PUBLIC)


def _write_lists(authority: Authority, broker: Path, canary: Identity | None = None) -> None:
    """The revocation lists of each listener; that of services comes last, with the canary."""
    revoked = {one.name: authority.ledger.revoked(one.name) for one in authority.issuers}
    # The root's certificates of our services must not be accepted from outside.
    inner = [e for e in authority.ledger.entries if e.authority == ROOT and e.name in RESERVED]
    outside = revoked | {ROOT: revoked[ROOT] + [(e.serial, e.since) for e in inner if e.good]}
    _put_lists(broker / "devices.crl", (authority.root, authority.devices), outside)
    if canary is not None:
        fresh = (canary.certificate.serial_number, certificates.now())
        revoked[authority.services.name] = [*revoked[authority.services.name], fresh]
    _put_lists(broker / "crl.pem", authority.issuers, revoked)
    _put_lists(broker / "services.crl", (authority.root, authority.services), revoked)


def _keep_server(authority: Authority, settings: EnrollSettings, file: Path, reason: str) -> None:
    names = tuple(dict.fromkeys((*settings.public_host, *INSIDE)))
    if reason := reason or _due(file, authority.root, names) or "":
        days = settings.service_days
        issued = authority.enrol("broker", days, authority.root, SERVER, names)
        # Certificate and key in one file, so that both are replaced at once.
        files.write(file, issued.pem, files.SECRET)
        _report("broker", issued, reason, f" for {', '.join(names)}")


def _keep_client(
    authority: Authority, settings: EnrollSettings, name: str, file: Path, reason: str
) -> None:
    reason = reason or _due(file, authority.services) or ""
    if reason or authority.root.renewed:
        issued = authority.enrol(name, settings.service_days, authority.services, CLIENT)
        files.write(file, authority.bundle(issued), files.SECRET)
        _report(name, issued, reason or "the root is new")


def _report(name: str, issued: Identity, reason: str, names: str = "") -> None:
    until = day(issued.certificate.not_valid_after_utc)
    say(f"created the {name}'s certificate{names}, until {until} ({reason})")


def _due(file: Path, issuer: Issuer, names: Iterable[str] = ()) -> str | None:
    """Why a file has to be created; None for one that is as it should be."""
    content = files.read(file)
    if content is None:
        return "none existed"
    try:
        certificate = x509.load_pem_x509_certificate(content.encode())
        certificate.verify_directly_issued_by(issuer.identity.certificate)
    except (ValueError, TypeError, InvalidSignature):
        return f"the existing one is not from the authority {issuer.name!r}"
    if certificates.hosts_of(certificate) != set(names):
        return "PUBLIC_HOST has changed"
    if issuer.renewed or certificates.near_its_end(certificate):
        return "the authority is new" if issuer.renewed else "the old one expires soon"
    return None


def _put_lists(file: Path, issuers: Iterable[Issuer], revoked: Mapping[str, Revoked]) -> None:
    """Write a file with a list of each issuer, unless the one there says the same or more."""
    pairs = [(issuer, revoked[issuer.name]) for issuer in issuers]
    try:
        present = certificates.load_crls(files.read(file) or "")
    except ValueError:
        present = []
    if len(present) == len(pairs) and all(map(_covers, present, pairs)):
        return
    lists = [certificates.revocations(issuer.identity, serials) for issuer, serials in pairs]
    files.write(file, "".join(map(certificates.crl_pem, lists)), files.PUBLIC)


def _covers(crl: x509.CertificateRevocationList, pair: tuple[Issuer, Revoked]) -> bool:
    issuer, revoked = pair
    return (
        {entry.serial_number for entry in crl} >= {serial for serial, _ in revoked}
        and crl.is_signature_valid(issuer.identity.key.public_key())
        and crl.next_update_utc == issuer.identity.certificate.not_valid_after_utc
    )


def _put(file: Path, content: str, mode: int) -> None:
    """Write what differs: the broker reads its files again when they change."""
    if files.read(file) != content:
        files.write(file, content, mode)
