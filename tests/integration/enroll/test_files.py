"""The first use, and the files that broker and services read."""

from __future__ import annotations

import datetime
import os
import stat
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from common.mqtt import tls
from enroll import certificates
from testing.host.disk import needs_root
from testing.services.enrolment import Enrolment, certificate, openssl


def key(file: Path) -> certificates.Key:
    found = serialization.load_pem_private_key(file.read_bytes(), None)
    assert isinstance(found, ec.EllipticCurvePrivateKey)
    return found


def test_the_first_use_makes_all_that_broker_and_services_read(enrolment: Enrolment) -> None:
    out, said = enrolment.run("jetson-1")
    assert sorted(os.listdir(enrolment.broker)) == [
        "access.json",
        "broker.pem",
        "ca.crt",
        "crl.pem",
        "devices.crl",
        "devices.crt",
        "server.pem",
        "services.crl",
        "services.crt",
    ]
    assert os.listdir(enrolment.processor) == ["processor.pem"]
    assert os.listdir(enrolment.gallery) == ["gallery.pem"]
    keys = [f"{name}.{kind}" for name in ("ca", "devices", "services") for kind in ("crt", "key")]
    assert sorted(os.listdir(enrolment.authority)) == sorted([*keys, "ledger.json", "lock"])
    assert out.count("BEGIN CERTIFICATE") == 2
    assert out.count("PRIVATE KEY") == 2
    assert "tar -xf jetson-1.tar" in said
    assert "the broker is not running: it will know jetson-1 when it starts" in said


def test_what_holds_a_key_is_for_its_owner_alone(enrolment: Enrolment, device: Path) -> None:
    folders = (enrolment.broker, enrolment.processor, enrolment.gallery)
    for folder in (enrolment.authority, *folders):
        for file in folder.iterdir():
            mode = stat.S_IMODE(file.stat().st_mode)
            assert mode == 0o600 or "KEY" not in file.read_text(), file
    assert (enrolment.broker / "ca.crt").stat().st_mode & 0o444 == 0o444


def test_the_authoritys_key_is_nowhere_but_in_its_folder(
    enrolment: Enrolment, device: Path
) -> None:
    keys = [file.read_text().split("\n")[1] for file in enrolment.authority.glob("*.key")]
    services = (enrolment.broker, enrolment.processor, enrolment.gallery)
    others = [device, *(file for folder in services for file in folder.iterdir())]
    assert len(keys) == 3
    assert not [file for file in others if any(key in file.read_text() for key in keys)]


def test_files_belong_to_whom_their_folder_belongs(enrolment: Enrolment) -> None:
    enrolment.broker.mkdir(parents=True)
    needs_root(["chown", "1234:1234", str(enrolment.broker)])
    enrolment.run("jetson-1")
    assert {file.stat().st_uid for file in enrolment.broker.iterdir()} == {1234}
    assert (enrolment.authority / "ca.key").stat().st_uid == 0


def test_openssl_agrees_about_chain_purpose_and_names(enrolment: Enrolment, device: Path) -> None:
    ca = enrolment.broker / "ca.crt"
    server, processor = enrolment.broker / "server.pem", enrolment.processor / "processor.pem"
    gallery = enrolment.gallery / "gallery.pem"
    strict: tuple[object, ...] = ("verify", "-x509_strict", "-CAfile", ca, "-crl_check")
    strict += ("-CRLfile", enrolment.broker / "crl.pem")
    for file in (device, processor, gallery):
        assert f"{file}: OK" in openssl(*strict, "-purpose", "sslclient", file)
        assert "unsuitable certificate purpose" in openssl(*strict, "-purpose", "sslserver", file)
    for name in ("vsi.example.com", "broker", "localhost"):
        checked = openssl(*strict, "-purpose", "sslserver", "-verify_hostname", name, server)
        assert f"{server}: OK" in checked
    assert "hostname mismatch" in openssl(*strict, "-verify_hostname", "example.com", server)


def test_a_device_cannot_certify_others(enrolment: Enrolment, device: Path, tmp_path: Path) -> None:
    own = certificates.Identity(certificate(device), key(device))
    life = datetime.timedelta(days=1)
    forged = tmp_path / "forged.crt"
    forged.write_text(certificates.cert_pem(certificates.issue(own, "processor", life).certificate))
    chain = ("-CAfile", enrolment.broker / "ca.crt", "-untrusted", device)
    assert "invalid CA certificate" in openssl("verify", *chain, forged)


def test_a_bundle_is_what_the_services_read(device: Path) -> None:
    authorities, identity = tls.read_bundle(str(device))
    assert authorities.count("BEGIN CERTIFICATE") == 1
    own = x509.load_pem_x509_certificate(identity.encode())
    assert own.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value == "jetson-1"
    assert own.not_valid_before_utc < datetime.datetime.now(datetime.UTC) - datetime.timedelta(
        minutes=50
    )


def test_no_certificate_outlives_its_authority(enrolment: Enrolment) -> None:
    device = enrolment.enrol("jetson-1", AUTHORITY_DAYS="100")
    end = certificate(enrolment.broker / "ca.crt").not_valid_after_utc
    issuer = certificate(enrolment.authority / "devices.crt")  # made a moment after the root
    assert certificate(device).not_valid_after_utc == issuer.not_valid_after_utc
    crl = x509.load_pem_x509_crl((enrolment.broker / "crl.pem").read_bytes())
    assert crl.next_update_utc == end
