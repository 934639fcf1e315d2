"""Renewal: of devices, of the services' certificates, and of the authority."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import pytest
from cryptography import x509

from enroll import certificates
from enroll.authority import Authority
from testing.host.wait import until
from testing.network.pki import Authority as Stranger
from testing.services.enrolment import CloudBroker, Enrolment, Peer, certificate, openssl


def test_the_same_command_again_renews_and_the_old_certificate_stays_good(
    enrolment: Enrolment, cloud: CloudBroker, device: Path
) -> None:
    out, said = enrolment.run("--pem", "jetson-1")
    new = device.with_name("new.pem")
    new.write_text(out)
    assert "its old certificate stays valid until" in said
    old, young = certificate(device), certificate(new)
    assert old.serial_number != young.serial_number
    assert old.public_key() != young.public_key()
    for bundle in (device, new):
        with Peer(cloud.port, bundle) as peer:
            assert peer.may_publish("faces/from/jetson-1")


def test_a_run_leaves_alone_what_is_as_it_should_be(enrolment: Enrolment, device: Path) -> None:
    folders = (enrolment.broker, enrolment.processor, enrolment.gallery)
    files = [file for folder in folders for file in folder.iterdir()]
    before = {file: file.stat().st_ino for file in files}
    _, said = enrolment.run("jetson-1")
    assert {file: file.stat().st_ino for file in files} == before
    assert "created" not in said


def test_other_names_of_the_server_renew_the_brokers_certificate_alone(
    enrolment: Enrolment, device: Path
) -> None:
    processor = (enrolment.processor / "processor.pem").read_text()
    _, said = enrolment.run("jetson-2", PUBLIC_HOST="new.example.com,203.0.113.7")
    assert "created the broker's certificate for new.example.com, 203.0.113.7" in said
    assert "(PUBLIC_HOST has changed)" in said
    names = certificates.hosts_of(certificate(enrolment.broker / "server.pem"))
    assert names == {"new.example.com", "203.0.113.7", "broker", "localhost"}
    assert (enrolment.processor / "processor.pem").read_text() == processor


def test_an_installation_from_before_the_gallery_gets_its_identity_from_the_next_run(
    enrolment: Enrolment, device: Path
) -> None:
    (enrolment.gallery / "gallery.pem").unlink()
    processor = (enrolment.processor / "processor.pem").read_text()
    _, said = enrolment.run("jetson-1")
    assert "created the gallery's certificate" in said
    assert "(none existed)" in said
    assert "OK" in openssl(
        "verify", "-CAfile", enrolment.broker / "ca.crt", enrolment.gallery / "gallery.pem"
    )
    assert (enrolment.processor / "processor.pem").read_text() == processor


def aged(enrolment: Enrolment, name: str, days_left: int) -> str:
    """A certificate of 90 days that has so many left, with its key."""
    authority = Authority(enrolment.authority, 3650)
    at = certificates.now() - datetime.timedelta(days=90 - days_left)
    hosts = ("vsi.example.com", "broker", "localhost") if name == "broker" else ()
    life = datetime.timedelta(days=90)
    issuer = (authority.root if hosts else authority.services).identity
    made = certificates.issue(issuer, name, life, certificates.SERVER, hosts, at)
    return authority.bundle(made)


@pytest.mark.parametrize(("days_left", "renewed"), [(40, False), (20, True), (-3, True)])
def test_services_are_renewed_when_less_than_a_third_of_their_life_is_left(
    enrolment: Enrolment, device: Path, days_left: int, renewed: bool
) -> None:
    files = {
        "broker": enrolment.broker / "server.pem",
        "processor": enrolment.processor / "processor.pem",
        "gallery": enrolment.gallery / "gallery.pem",
    }
    before = {name: aged(enrolment, name, days_left) for name in files}
    for name, file in files.items():
        file.write_text(before[name])
    _, said = enrolment.run("jetson-1")
    for name, file in files.items():
        assert (file.read_text() != before[name]) is renewed
        assert (f"created the {name}'s certificate" in said) is renewed


def test_what_is_damaged_or_of_another_authority_is_made_anew(
    enrolment: Enrolment, device: Path, tmp_path: Path
) -> None:
    (enrolment.broker / "server.pem").write_text("nonsense")
    (enrolment.processor / "processor.pem").write_text(Stranger(tmp_path / "x").issue("x").pem)
    (enrolment.broker / "crl.pem").unlink()
    (enrolment.broker / "access.json").write_text("{}")
    _, said = enrolment.run("jetson-1")
    assert said.count("is not from the authority") == 2
    assert "OK" in openssl(
        "verify", "-CAfile", enrolment.broker / "ca.crt", enrolment.broker / "server.pem"
    )
    assert "jetson-1" in (enrolment.broker / "access.json").read_text()
    assert (enrolment.broker / "crl.pem").exists()


def test_renewing_the_authority_leaves_bundles_given_out_before_at_work(
    enrolment: Enrolment, cloud: CloudBroker, device: Path
) -> None:
    old_ca, old_server = (
        (enrolment.broker / name).read_text() for name in ("ca.crt", "server.pem")
    )
    _, said = enrolment.run("renew", AUTHORITY_DAYS="5000")
    assert "existing bundles keep working" in said
    assert (enrolment.broker / "ca.crt").read_text() != old_ca
    assert (enrolment.broker / "server.pem").read_text() != old_server
    new = enrolment.enrol("jetson-2")
    serial = f"{certificate(enrolment.broker / 'server.pem').serial_number:X}"

    def served() -> bool:
        line = openssl("s_client", "-connect", f"localhost:{cloud.port}", "-showcerts", "-ign_eof")
        pem = re.search(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", line, re.DOTALL)
        return pem is not None and (
            f"{x509.load_pem_x509_certificate(pem[0].encode()).serial_number:X}" == serial
        )

    until(served, what="the broker shows its new certificate")
    for bundle, name in ((device, "jetson-1"), (new, "jetson-2")):
        with Peer(cloud.port, bundle) as peer:
            assert peer.may_publish(f"faces/from/{name}")
    cloud.kill()
    cloud.start()
    with Peer(cloud.port, device) as peer:
        assert peer.is_in
