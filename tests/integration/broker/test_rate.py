"""The rate that the cloud broker allows each device: broker/limits.c."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from testing.clips import clips
from testing.host.wait import until
from testing.mqtt.attacker import Attacker
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.publish import encode_publish
from testing.services.enrolment import CloudBroker, Enrolment, FilteredBroker, Peer, context
from testing.services.forwarder import connected, forwarder
from testing.services.outbox import fill
from testing.services.process import Service
from testing.services.receipts import start
from testing.store.nanio import Store

pytestmark = pytest.mark.attack

BURST = 5  # seconds of its rate that a device may send at once: broker/limits.c
FACES, STATUS = "faces/from/box-1", "faces/status/box-1/detector/door"
REPORT = "faces/status/cloud/broker/main"
DROPPED = "facepipe_forwarder_messages_dropped_total"


def test_what_goes_beyond_a_devices_rate_is_denied_until_time_has_passed(tmp_path: Path) -> None:
    enrolment = Enrolment(tmp_path)
    box, other = enrolment.enrol("box-1"), enrolment.enrol("jetson-2")
    with (
        CloudBroker(enrolment.broker, messages_per_second=1, retained_per_second=1) as it,
        Peer(it.port, box) as device,
        Peer(it.port, other) as neighbour,
    ):
        granted = [device.may_publish(FACES) for _ in range(4 * BURST)]
        assert granted[:BURST] == [True] * BURST
        assert not all(granted)
        # Statuses and other devices have a rate of their own.
        assert device.may_publish(STATUS, b"{}", retain=True)
        assert neighbour.may_publish("faces/from/jetson-2")
        until(lambda: device.may_publish(FACES), what="its rate allows one more")
        statuses = [device.may_publish(STATUS, b"{}", retain=True) for _ in range(4 * BURST)]
        assert not all(statuses)


def test_large_messages_count_by_their_bytes(tmp_path: Path) -> None:
    enrolment = Enrolment(tmp_path)
    box = enrolment.enrol("box-1")
    with (
        CloudBroker(enrolment.broker, bytes_per_second=1_000_000) as it,
        Peer(it.port, box) as device,
    ):
        assert device.may_publish(FACES, bytes(4_000_000))
        assert not device.may_publish(FACES, bytes(4_000_000))
        assert device.may_publish(FACES, b"small")


def test_the_processor_has_no_rate(tmp_path: Path) -> None:
    enrolment = Enrolment(tmp_path)
    enrolment.enrol("box-1")
    processor = enrolment.processor / "processor.pem"
    with (
        CloudBroker(enrolment.broker, messages_per_second=1) as it,
        Peer(it.inner_port, processor, "processor-a") as peer,
    ):
        assert all(peer.may_publish("faces/receipts/box-1") for _ in range(10 * BURST))


@pytest.mark.timeout(200)
def test_a_device_is_named_while_it_floods_and_for_a_minute_after(tmp_path: Path) -> None:
    enrolment = Enrolment(tmp_path)
    box = enrolment.enrol("box-1")
    gallery = enrolment.gallery / "gallery.pem"
    with (
        FilteredBroker(enrolment.broker) as it,
        Peer(it.inner_port, gallery, "gallery-a") as reader,
    ):
        assert reader.may_subscribe("faces/status/#")
        with Attacker(it.port, context(box)) as thief:
            assert thief.send(encode_publish(FACES) * 20_000)
        until(lambda: reader.on(REPORT), 30, "it is named")
        assert b'"reasons":{"sender_box-1":"floods"}' in reader.on(REPORT)[0]
        until(lambda: reader.on(REPORT)[-1] == b"", 100, "it is not named any more")
        until(lambda: re.search(r"Client box-1 sends too much: \d+ messages refused", it.log))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("qos", [0, 1])
def test_an_outbox_that_drains_beyond_the_rate_arrives_wholly_and_once(
    tmp_path: Path, store: Store, edge: Mosquitto, qos: int
) -> None:
    count = 2000
    enrolment = Enrolment(tmp_path)
    box = enrolment.enrol("box-1")
    outbox = tmp_path / "outbox"
    outbox.mkdir()
    pictures = {
        entry.id: picture.png for entry, picture in fill(outbox / "camera-0.db", count, sound=True)
    }
    nothing = clips.write(tmp_path / "nothing.avi", [clips.faces(1)[0] * 0] * 3, "MJPG")
    with FilteredBroker(enrolment.broker, messages_per_second=40) as cloud:
        inner = {"MQTT_HOST": "localhost", "MQTT_PORT": cloud.inner_port, "MQTT_QOS": qos}
        identity = {"MQTT_BUNDLE": enrolment.processor / "processor.pem"}
        up = {"CLOUD_BUNDLE": box, "CLOUD_TOPIC": FACES, "MQTT_QOS": qos}
        up["CLOUD_HOST"] = "localhost"
        gallery = enrolment.gallery / "gallery.pem"
        with (
            Service("processor", **inner, **identity, **store.settings) as processor,
            Peer(cloud.inner_port, gallery, "gallery-a") as reader,
            forwarder(edge.port, cloud.port, **up) as relay,
        ):
            assert reader.may_subscribe("faces/status/#")
            processor.says("cloud broker .*: connected")
            connected(relay)
            with start(edge, nothing, OUTBOX_PATH=outbox, MQTT_QOS=qos) as detector:
                all_ = rf"{count} captured, {count} confirmed, 0 rejected, 0 dropped, 0 waiting"
                detector.says(all_, 180)
            cloud.says("Client box-1 sends too much")
            assert not reader.on(REPORT), "a device that drains does not flood"
            # At QoS 1 it is told, and counts what the broker denies.
            assert (relay.metric(DROPPED, kind="face", reason="refused") > 0) == (qos == 1)
    found = store.objects()
    assert len(found) == count
    stored = {key.rpartition("_")[2].removesuffix(".png"): body for key, body in found.items()}
    assert stored == pictures
