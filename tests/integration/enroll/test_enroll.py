"""Enrolment: one command gives a device its identity, and the broker and processor theirs."""

from __future__ import annotations

import datetime
import json
import os
import random
import re
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from common.mqtt import tls
from common.settings import SettingsError, read
from enroll import certificates
from enroll.authority import Authority
from enroll.settings import EnrollSettings
from testing.host.disk import needs_root
from testing.host.wait import until
from testing.network.pki import Authority as Stranger
from testing.services.enrolment import CloudBroker, Enrolment, Peer, openssl, refusal, running


def certificate(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def key(file: Path) -> certificates.Key:
    found = serialization.load_pem_private_key(file.read_bytes(), None)
    assert isinstance(found, ec.EllipticCurvePrivateKey)
    return found


def ledger(enrolment: Enrolment) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((enrolment.authority / "ledger.json").read_text())[
        "certificates"
    ]
    return found


# The first use, and the files.


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
    assert "set CLOUD_BUNDLE" in said
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
    assert certificate(device).not_valid_after_utc == end
    crl = x509.load_pem_x509_crl((enrolment.broker / "crl.pem").read_bytes())
    assert crl.next_update_utc == end


# Names and settings.


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["Jetson 1"], "'Jetson 1' must be 1 to 63 of a-z, 0-9 and -"),
        (["../../etc"], "must be 1 to 63"),
        (["jetson+1"], "must be 1 to 63"),
        (["x" * 64], "must be 1 to 63"),
        (["processor"], "'processor' is a name of our own"),
        (["broker"], "'broker' is a name of our own"),
        (["enroll"], "is a name of our own"),
        (["cloud"], "is a name of our own"),
        (["gallery"], "is a name of our own"),
        (["unknown"], "not be 'unknown'"),
        (["revoke", "broker"], "is a name of our own"),
        (["revoke", "jetson-9"], "there is no device 'jetson-9'"),
        (["revoke"], "usage: python -m enroll NAME"),
        (["a", "b"], "usage: "),
        ([], "usage: "),
    ],
)
def test_wrong_words_end_it_with_2_and_a_sentence(
    enrolment: Enrolment, words: list[str], sentence: str
) -> None:
    out, said = enrolment.run(*words, code=2)
    assert sentence in said
    assert not out
    assert not (enrolment.authority / "ledger.json").exists() or words[0] == "revoke"


def test_help_names_every_word_and_setting(enrolment: Enrolment) -> None:
    out, _ = enrolment.run("--help")
    for word in ("NAME", "revoke NAME", "list", "renew", "retire", "PUBLIC_HOST", "SERVICE_DAYS"):
        assert word in out


@pytest.mark.parametrize(
    "wrong",
    ["", "https://x.example", "x.example:8883", "*.x.example", "a,,b", "300.1.2.3", "fe80::1%eth0"],
)
def test_a_public_host_that_is_none_is_named(enrolment: Enrolment, wrong: str) -> None:
    _, said = enrolment.run("jetson-1", PUBLIC_HOST=wrong, code=2)
    assert said.startswith("enroll: PUBLIC_HOST ")


def test_names_are_brought_into_one_spelling() -> None:
    value = "VSI.example.com., 203.0.113.7,2001:DB8:0::1,vsi.example.com"
    hosts = read(EnrollSettings, {"PUBLIC_HOST": value}).public_host
    assert hosts == ("vsi.example.com", "203.0.113.7", "2001:db8::1")


def test_a_folder_that_cannot_be_written_is_named(enrolment: Enrolment, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    _, said = enrolment.run("jetson-1", AUTHORITY_DIR=str(tmp_path / "file" / "x"), code=2)
    assert f"{tmp_path}/file/x cannot be written" in said


def test_a_bundle_that_cannot_be_written_out_is_said(enrolment: Enrolment) -> None:
    with open("/dev/full", "w") as full, enrolment.start("jetson-1", stdout=full) as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == 2
    assert "the bundle could not be written out: No space left on device; run this again" in said


# Renewal.


def test_the_same_command_again_renews_and_the_old_certificate_stays_good(
    enrolment: Enrolment, cloud: CloudBroker, device: Path
) -> None:
    out, said = enrolment.run("jetson-1")
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
    assert "(there was none)" in said
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
    assert said.count("is not of the authority") == 2
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


# The list.


def test_the_list_says_who_since_when_and_until_when(enrolment: Enrolment) -> None:
    out, said = enrolment.run("list")
    assert out.split() == ["NAME", "SINCE", "UNTIL", "REVOKED", "AUTHORITY"]
    assert "nobody is enrolled yet" in said
    days = {f"{certificates.now():%Y-%m-%d}"}  # two, if midnight passes meanwhile
    enrolment.run("jetson-1")
    enrolment.run("jetson-1")
    enrolment.run("jetson-2")
    enrolment.run("revoke", "jetson-2")
    days.add(f"{certificates.now():%Y-%m-%d}")
    rows = [line.split() for line in enrolment.run("list")[0].splitlines()[1:]]
    devices = ["jetson-1", "jetson-1", "jetson-2"]
    assert [row[0] for row in rows] == ["broker", "broker", "gallery", *devices, "processor"]
    assert [row[4] for row in rows] == ["root", *["services"] * 2, *["devices"] * 3, "services"]
    name, since, until, revoked, _ = rows[3]
    assert (name, revoked) == ("jetson-1", "-")
    lasts = datetime.date.fromisoformat(until) - datetime.date.fromisoformat(since)
    assert lasts == datetime.timedelta(days=365)
    assert {since, rows[5][3]} <= days


# Faults.


def test_a_kill_at_any_point_leaves_a_ledger_that_the_next_run_goes_on_from(
    enrolment: Enrolment,
) -> None:
    chance = random.Random(7)
    for number in range(12):
        process = enrolment.start(f"jetson-{number}")
        # Python takes a part of a second to start; what matters is what follows.
        try:
            process.wait(chance.uniform(0.1, 0.6))
        except subprocess.TimeoutExpired:
            process.kill()
        out, _ = process.communicate()
        names = {entry["name"] for entry in ledger(enrolment)} if number_of(enrolment) else set()
        assert f"jetson-{number}" in names or not out
    bundle = enrolment.enrol("jetson-99")
    ca = enrolment.broker / "ca.crt"
    assert "OK" in openssl("verify", "-CAfile", ca, "-purpose", "sslclient", bundle)
    assert not list(enrolment.folder.rglob(".*.new"))
    good = {entry["name"] for entry in ledger(enrolment)} - {"broker", "processor", "gallery"}
    access = json.loads((enrolment.broker / "access.json").read_text())
    assert good <= {client["username"] for client in access["clients"]}


def number_of(enrolment: Enrolment) -> int:
    file = enrolment.authority / "ledger.json"
    return len(ledger(enrolment)) if file.exists() else 0


def test_enrolments_at_once_all_come_to_their_end(enrolment: Enrolment) -> None:
    names = [f"jetson-{number}" for number in range(4)]
    processes = [enrolment.start(name) for name in names]
    ends = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, ends
    entries = ledger(enrolment)
    assert {entry["name"] for entry in entries} == {*names, "broker", "processor", "gallery"}
    assert len(entries) == 8  # two of the broker: as a server, and as a client of itself
    assert len({entry["serial"] for entry in entries}) == 8


@pytest.mark.parametrize("lost", ["ca.key", "devices.key", "services.key", "ledger.json"])
def test_what_is_lost_is_not_begun_anew(enrolment: Enrolment, device: Path, lost: str) -> None:
    (enrolment.authority / lost).unlink()
    _, said = enrolment.run("jetson-1", code=2)
    assert f"{lost} is gone: restore it from the backup" in said


@pytest.mark.parametrize("damaged", ["ca.key", "ca.crt", "devices.key", "ledger.json"])
def test_what_is_damaged_is_said(enrolment: Enrolment, device: Path, damaged: str) -> None:
    (enrolment.authority / damaged).write_text('{"certificates": [{}]}')
    _, said = enrolment.run("jetson-1", code=2)
    assert f"{damaged} is damaged" in said


def test_a_backup_of_the_authoritys_folder_is_all_that_is_needed(
    enrolment: Enrolment, device: Path, tmp_path: Path
) -> None:
    enrolment.run("jetson-2")
    enrolment.run("revoke", "jetson-2")
    restored = Enrolment(tmp_path / "elsewhere")
    restored.folder.mkdir()
    subprocess.run(["cp", "-a", enrolment.authority, restored.authority], check=True)
    restored.run("renew")
    with running(restored) as cloud:
        assert refusal(cloud.port, device) == ""
        with Peer(cloud.port, device) as peer:
            assert peer.may_publish("faces/from/jetson-1")
    crls = certificates.load_crls((restored.broker / "devices.crl").read_text())
    assert [len(list(crl)) for crl in crls][1:] == [1]


def test_settings_are_read_before_anything_is_made() -> None:
    with pytest.raises(SettingsError) as caught:
        read(EnrollSettings, {"DEVICE_DAYS": "0", "BROKER_PORT": "x"})
    assert [problem.split()[0] for problem in caught.value.problems] == [
        "PUBLIC_HOST",
        "BROKER_PORT",
        "DEVICE_DAYS",
    ]
