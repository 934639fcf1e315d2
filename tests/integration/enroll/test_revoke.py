"""How somebody is let in and shut out while the cloud broker runs, and while it does not."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path

import pytest
from cryptography import x509

from enroll import certificates
from testing.host.wait import until
from testing.services.enrolment import (
    CloudBroker,
    Enrolment,
    Peer,
    context,
    passing_bundle,
    refusal,
    running,
)

pytestmark = pytest.mark.attack


def test_a_device_enrolled_while_the_broker_runs_comes_in_at_once(
    enrolment: Enrolment, cloud: CloudBroker, device: Path
) -> None:
    with Peer(cloud.port, device) as first:
        new = enrolment.enrol("jetson-2")
        with Peer(cloud.port, new) as peer:
            assert peer.may_publish("faces/from/jetson-2")
            assert not peer.may_publish("faces/from/jetson-1")
        assert first.is_in
    cloud.kill()
    cloud.start()
    with Peer(cloud.port, new) as peer:
        assert peer.may_publish("faces/from/jetson-2")


def test_revoking_ends_the_open_connection_and_none_of_its_certificates_comes_back(
    enrolment: Enrolment, cloud: CloudBroker, device: Path
) -> None:
    renewed, other = enrolment.enrol("jetson-1"), enrolment.enrol("jetson-2")
    bundle = enrolment.processor / "processor.pem"
    with (
        Peer(cloud.port, renewed) as peer,
        Peer(cloud.port, other) as bystander,
        Peer(cloud.inner_port, bundle, "processor-a") as processor,
    ):
        assert peer.may_publish("faces/from/jetson-1")
        _, said = enrolment.run("revoke", "jetson-1")
        assert "the broker closed the device's connection and refuses its certificates" in said
        until(lambda: peer.ended)
        for file in (device, renewed):
            assert "CERTIFICATE_REVOKED" in refusal(cloud.port, file)
            assert refusal(cloud.inner_port, file)
        assert bystander.may_publish("faces/from/jetson-2")
        assert processor.may_publish("faces/stored")
    cloud.kill()
    cloud.start()
    assert "CERTIFICATE_REVOKED" in refusal(cloud.port, renewed)
    assert refusal(cloud.port, other) == ""


def test_revoking_takes_away_the_status_of_the_device_and_of_no_other(
    enrolment: Enrolment, cloud: CloudBroker, device: Path
) -> None:
    """Nobody else would: whoever looked at it would see it online until the broker's next start."""
    own = ["faces/status/jetson-1/forwarder/jetson-1", "faces/status/jetson-1/detector/camera-0"]
    other = "faces/status/jetson-2/forwarder/jetson-2"
    for bundle, topics in ((device, own), (enrolment.enrol("jetson-2"), [other])):
        with Peer(cloud.port, bundle) as peer:
            for topic in topics:
                assert peer.may_publish(topic, b'{"state": "online"}', retain=True)
    with Peer(cloud.inner_port, passing_bundle(enrolment, "enroll")) as before:
        assert before.may_subscribe("faces/status/#")
        until(lambda: len(before.messages) == 3)
        enrolment.run("revoke", "jetson-1")
        until(lambda: all(before.on(topic)[1:] == [b""] for topic in own), what="watchers are told")
        assert len(before.on(other)) == 1
    with Peer(cloud.inner_port, passing_bundle(enrolment, "enroll")) as after:
        assert after.may_subscribe("faces/status/#")
        until(lambda: after.messages)
        assert [message.topic for message in after.messages] == [other]


def test_a_session_from_before_is_no_way_back(
    enrolment: Enrolment, cloud: CloudBroker, device: Path
) -> None:
    """TLS lets who was checked before come back without a certificate: RFC 8446, section 2.2."""
    made = context(device, tls13=False)

    def come(session: ssl.SSLSession | None) -> ssl.SSLSocket:
        plain = socket.create_connection(("localhost", cloud.port), 5)
        return made.wrap_socket(plain, server_hostname="localhost", session=session)

    with come(None) as first:
        session = first.session
    enrolment.run("revoke", "jetson-1")
    with pytest.raises(ssl.SSLError, match="CERTIFICATE_REVOKED"):
        come(session)


def test_a_revoked_device_enrolled_again_is_a_new_identity(
    enrolment: Enrolment, cloud: CloudBroker, device: Path
) -> None:
    enrolment.run("revoke", "jetson-1")
    out, said = enrolment.run("jetson-1")
    assert "it was revoked: this is a new identity" in said
    new = enrolment.folder / "again.pem"
    new.write_text(out)
    with Peer(cloud.port, new) as peer:
        assert peer.may_publish("faces/from/jetson-1")
        enrolment.run("revoke", "jetson-1")  # the second time, too, and at once
        until(lambda: peer.ended)
    for file in (device, new):
        assert "CERTIFICATE_REVOKED" in refusal(cloud.port, file)


def test_revoking_can_be_repeated(enrolment: Enrolment, cloud: CloudBroker, device: Path) -> None:
    for _ in range(2):
        enrolment.run("revoke", "jetson-1")
    assert "CERTIFICATE_REVOKED" in refusal(cloud.port, device)


def test_what_is_revoked_while_the_broker_is_down_stays_out_when_it_starts(
    enrolment: Enrolment, device: Path
) -> None:
    other = enrolment.enrol("jetson-2")
    _, said = enrolment.run("revoke", "jetson-1")
    assert "the broker is not running: this takes effect when it starts" in said
    with running(enrolment) as cloud:
        assert "CERTIFICATE_REVOKED" in refusal(cloud.port, device)
        assert refusal(cloud.port, other) == ""
    access = json.loads((enrolment.broker / "access.json").read_text())
    assert "jetson-1" not in json.dumps(access)


def test_a_list_that_a_kill_kept_from_being_written_is_written_by_the_next_run(
    enrolment: Enrolment, device: Path
) -> None:
    before = (enrolment.broker / "devices.crl").read_bytes()
    enrolment.run("revoke", "jetson-1")
    (enrolment.broker / "devices.crl").write_bytes(before)
    enrolment.run("jetson-2")
    _, crl = certificates.load_crls((enrolment.broker / "devices.crl").read_text())
    serial = x509.load_pem_x509_certificate(device.read_bytes()).serial_number
    assert crl.get_revoked_certificate_by_serial_number(serial) is not None
