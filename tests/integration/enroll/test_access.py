"""Who may do what at the cloud broker, and who comes in at all."""

from __future__ import annotations

import datetime
import json
import subprocess
from pathlib import Path

import pytest

from enroll import certificates
from enroll.authority import SUBJECTS, Authority
from enroll.ledger import DEVICES
from testing.host.wait import until
from testing.network.pki import Authority as Stranger
from testing.services.enrolment import (
    CloudBroker,
    Enrolment,
    Peer,
    openssl,
    passing_bundle,
    refusal,
    running,
)

pytestmark = pytest.mark.attack


def broker_bundle(enrolment: Enrolment) -> Path:
    """The broker's own certificate, as its health check comes with it."""
    return enrolment.broker / "broker.pem"


FOREIGN = [
    "faces",
    "faces/from/jetson-2",
    "faces/from/jetson-1/x",
    "faces/status/jetson-2/detector/main",
    "faces/status/jetson-1",
    "faces/status/jetson-1/detector",
    "faces/status/jetson-1/detector/main/more",
    "faces/status/jetson-1/anything/main",
    "faces/status/cloud/processor/x",
    "faces/status/cloud/gallery/x",
    "faces/receipts/jetson-1",
    "faces/receipts/jetson-2",
    "faces/stored",
    "anything",
    "$CONTROL/dynamic-security/v1",
]
WIDE = [
    "#",
    "+/#",
    "faces",
    "faces/#",
    "faces/+/jetson-1",
    "faces/from/+",
    "faces/from/jetson-1",
    "faces/receipts/#",
    "faces/receipts/+",
    "faces/receipts/jetson-2",
    "faces/status/#",
    "faces/status/jetson-1/#",
    "faces/stored",
    "$SYS/#",
    "$SYS/broker/uptime",
    "$share/processors/faces",
    "$share/processors/faces/from/+",
    "$share/x/faces/receipts/jetson-1",
    "$share/x/#",
    "$CONTROL/#",
    "$CONTROL/dynamic-security/v1/response",
]


def test_a_device_may_do_what_is_its_own_and_nothing_else(cloud: CloudBroker, device: Path) -> None:
    with Peer(cloud.port, device) as peer:
        for topic in ("faces/from/jetson-1", "faces/status/jetson-1/detector/main"):
            assert peer.may_publish(topic), topic
        assert peer.may_subscribe("faces/receipts/jetson-1")
        assert [topic for topic in FOREIGN if peer.may_publish(topic)] == []
        assert [topic for topic in WIDE if peer.may_subscribe(topic)] == []
    cloud.says(r"Denied PUBLISH from jetson-1 .*'faces/from/jetson-2'")


def test_a_processor_may_do_what_is_its_own_and_nothing_else(
    enrolment: Enrolment, cloud: CloudBroker
) -> None:
    bundle = enrolment.processor / "processor.pem"
    with Peer(cloud.inner_port, bundle, "processor-a") as peer:
        for topic in ("faces/receipts/jetson-1", "faces/stored", "faces/status/cloud/processor/a"):
            assert peer.may_publish(topic), topic
        own = ["$share/processors/faces", "$share/processors/faces/from/+"]
        own += ["faces", "faces/from/+"]
        assert [topic for topic in own if not peer.may_subscribe(topic)] == []
        others = [
            topic for topic in FOREIGN if topic.partition("/")[2][:8] not in ("receipts", "stored")
        ]
        others = [topic for topic in others if "status/cloud/processor" not in topic]
        assert [topic for topic in others if peer.may_publish(topic)] == []
        assert [topic for topic in WIDE if topic not in own and peer.may_subscribe(topic)] == []


def test_the_gallery_may_do_what_is_its_own_and_nothing_else(
    enrolment: Enrolment, cloud: CloudBroker
) -> None:
    with Peer(cloud.inner_port, enrolment.gallery / "gallery.pem", "gallery-a") as peer:
        own = "faces/status/cloud/gallery/x"
        assert peer.may_publish(own)
        others = [topic for topic in FOREIGN if topic != own]
        assert [topic for topic in others if peer.may_publish(topic)] == []
        figures = ("$SYS/broker/heap/current", "$SYS/broker/retained messages/count")
        for topic in ("faces/stored", "faces/status/#", "faces/status/+/+/+", *figures):
            assert peer.may_subscribe(topic), topic
        read = ("faces/stored", "faces/status/")
        others = [topic for topic in WIDE if not topic.startswith(read)]
        assert [topic for topic in others if peer.may_subscribe(topic)] == []


def test_the_gallery_hears_what_is_stored_and_how_everybody_is(
    enrolment: Enrolment, cloud: CloudBroker, device: Path
) -> None:
    processor, gallery = (
        enrolment.processor / "processor.pem",
        enrolment.gallery / "gallery.pem",
    )
    with (
        Peer(cloud.inner_port, gallery, "gallery-a") as peer,
        Peer(cloud.inner_port, processor, "processor-a") as sender,
        Peer(cloud.port, device) as box,
    ):
        assert peer.may_subscribe("faces/stored")
        assert peer.may_subscribe("faces/status/#")
        assert sender.may_publish("faces/stored", b"{}")
        assert box.may_publish("faces/status/jetson-1/detector/camera-0", b"{}", retain=True)
        assert box.may_publish("faces/from/jetson-1", b"face")
        assert sender.may_publish("faces/status/cloud/processor/a", b"{}", retain=True)
        until(lambda: peer.on("faces/status/cloud/processor/a"))
    assert sorted(message.topic for message in peer.messages) == [
        "faces/status/cloud/processor/a",
        "faces/status/jetson-1/detector/camera-0",
        "faces/stored",
    ]


@pytest.mark.parametrize("words", [("jetson-1",), ("renew",)])
def test_a_broker_that_was_started_before_there_was_a_gallery_is_told_of_it(
    enrolment: Enrolment, device: Path, words: tuple[str, ...]
) -> None:
    file, bundle = enrolment.broker / "access.json", enrolment.gallery / "gallery.pem"
    access = json.loads(file.read_text())
    access["roles"] = [role for role in access["roles"] if role["rolename"] != "gallery"]
    access["clients"] = [one for one in access["clients"] if one["username"] != "gallery"]
    file.write_text(json.dumps(access))
    with running(enrolment) as cloud:
        with Peer(cloud.inner_port, bundle) as stranger:
            assert not stranger.may_subscribe("faces/stored")
        enrolment.run(*words)
        with Peer(cloud.inner_port, bundle) as peer:
            assert peer.may_subscribe("faces/stored")
            assert peer.may_publish("faces/status/cloud/gallery/x")


def test_the_health_check_may_read_the_uptime_and_nothing_else(
    enrolment: Enrolment, cloud: CloudBroker
) -> None:
    with Peer(cloud.inner_port, broker_bundle(enrolment)) as peer:
        assert peer.may_subscribe("$SYS/broker/uptime")
        until(lambda: peer.on("$SYS/broker/uptime"))
        assert [topic for topic in FOREIGN if peer.may_publish(topic)] == []
        others = [topic for topic in WIDE if topic != "$SYS/broker/uptime"]
        assert [topic for topic in others if peer.may_subscribe(topic)] == []


def test_enrolment_may_command_and_nothing_else(enrolment: Enrolment, cloud: CloudBroker) -> None:
    with Peer(cloud.inner_port, passing_bundle(enrolment, "enroll")) as peer:
        answers = "$CONTROL/dynamic-security/v1/response"
        assert peer.may_subscribe(answers)
        assert peer.may_publish(FOREIGN[-1], b'{"commands": [{"command": "listClients"}]}')
        until(lambda: peer.on(answers))
        # The status of who was revoked is its own to take away.
        status = "faces/status/"
        others = [topic for topic in FOREIGN[:-1] if not topic.startswith(status)]
        assert [topic for topic in others if peer.may_publish(topic)] == []
        others = [t for t in WIDE if t != answers and not t.startswith(status)]
        assert [topic for topic in others if peer.may_subscribe(topic)] == []


def test_a_name_that_nobody_enrolled_may_do_nothing(
    enrolment: Enrolment, cloud: CloudBroker
) -> None:
    authority = Authority(enrolment.authority, 3650)
    life = datetime.timedelta(days=1)
    bundle = enrolment.folder / "canary.pem"
    made = certificates.issue(authority.devices.identity, "canary", life)
    bundle.write_text(authority.bundle(made))
    with Peer(cloud.port, bundle) as peer:
        assert not peer.may_publish("faces/from/canary")
        assert not peer.may_subscribe("faces/receipts/canary")


def test_each_gets_what_is_for_it_across_the_two_listeners(
    enrolment: Enrolment, cloud: CloudBroker, device: Path
) -> None:
    other = enrolment.enrol("jetson-2")
    bundle = enrolment.processor / "processor.pem"
    with (
        Peer(cloud.inner_port, bundle, "processor-a") as processor,
        Peer(cloud.port, device) as one,
        Peer(cloud.port, other) as two,
    ):
        assert processor.may_subscribe("$share/processors/faces/from/+")
        assert one.may_subscribe("faces/receipts/jetson-1")
        assert two.may_subscribe("faces/receipts/jetson-2")
        assert one.may_publish("faces/from/jetson-1", b"face")
        until(lambda: processor.on("faces/from/jetson-1") == [b"face"])
        assert processor.may_publish("faces/receipts/jetson-2", b"two")
        assert processor.may_publish("faces/receipts/jetson-1", b"one")
        until(lambda: one.messages and two.messages)
    assert [message.payload for message in one.messages] == [b"one"]
    assert [message.payload for message in two.messages] == [b"two"]


def test_two_processors_come_in_beside_each_other(enrolment: Enrolment, cloud: CloudBroker) -> None:
    bundle = enrolment.processor / "processor.pem"
    with (
        Peer(cloud.inner_port, bundle, "processor-a") as one,
        Peer(cloud.inner_port, bundle, "processor-b") as two,
    ):
        assert one.may_publish("faces/stored")
        assert two.may_publish("faces/stored")


def test_the_client_id_of_another_takes_over_nothing(
    enrolment: Enrolment, cloud: CloudBroker, device: Path
) -> None:
    bad = enrolment.enrol("jetson-2")
    bundle = enrolment.processor / "processor.pem"
    with (
        Peer(cloud.port, device, "jetson-1") as one,
        Peer(cloud.inner_port, bundle, "processor-a") as processor,
    ):
        for taken in ("jetson-1", "processor-a"):
            with Peer(cloud.port, bad, taken) as thief:
                assert thief.may_publish("faces/from/jetson-2")
                assert not thief.may_publish("faces/from/jetson-1")
        assert one.may_publish("faces/from/jetson-1")
        assert processor.may_publish("faces/stored")


def test_a_certificate_that_has_expired_or_is_a_strangers_is_refused(
    enrolment: Enrolment, cloud: CloudBroker, device: Path, tmp_path: Path
) -> None:
    authority = Authority(enrolment.authority, 3650)
    at = certificates.now() - datetime.timedelta(days=3)
    old = certificates.issue(
        authority.devices.identity,
        "jetson-1",
        datetime.timedelta(days=2),
        certificates.CLIENT,
        (),
        at,
    )
    expired = tmp_path / "expired.pem"
    expired.write_text(authority.bundle(old))
    assert "CERTIFICATE_EXPIRED" in refusal(cloud.port, expired)
    # The same name, from an authority that calls itself as ours does.
    other = Stranger(tmp_path / "other", SUBJECTS[DEVICES]).issue("jetson-1")
    strange = tmp_path / "strange.pem"
    strange.write_text(other.pem + other.key_pem + authority.root.pem)
    assert refusal(cloud.port, strange)
    assert refusal(cloud.port, device) == ""


def test_no_certificate_no_tls_and_old_tls_are_refused(
    enrolment: Enrolment, cloud: CloudBroker, device: Path
) -> None:
    ca = ("-CAfile", enrolment.broker / "ca.crt")
    for port in (cloud.port, cloud.inner_port):
        server = ("s_client", "-connect", f"localhost:{port}")
        assert "alert" in openssl(*server, *ca, "-tls1_2")
        own = ("-cert", device, "-key", device, "-cipher", "DEFAULT@SECLEVEL=0")
        assert "alert protocol version" in openssl(*server, *ca, *own, "-tls1_1")
        plain = ("mosquitto_pub", "-h", "localhost", "-p", str(port), "-t", "faces", "-m", "x")
        assert subprocess.run(plain, check=False, capture_output=True, timeout=20).returncode
