"""The relay: what goes up, what comes down, and what stays as it is on the way."""

from __future__ import annotations

import json
import os
import signal
from functools import partial
from typing import Any

import pytest

from testing.host.wait import until, until_equal
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.received import PublishProperties
from testing.network.proxy import Proxy
from testing.services.forwarder import DEVICE, connected
from testing.services.forwarder import forwarder as started
from testing.services.process import Service

STATUS = f"faces/status/{DEVICE}"
OWN = f"{STATUS}/forwarder/main"

DROPPED = "facepipe_forwarder_messages_dropped_total"


def test_faces_go_up_byte_for_byte_and_in_order(
    forwarder: Service, edge: Mosquitto, cloud: Mosquitto
) -> None:
    payloads = [os.urandom(size) for size in (0, 1, 100, 70_000, 2_000_000, 3_900_000)]
    with Mqtt(cloud.port, "faces") as watcher, Mqtt(edge.port) as camera:
        for payload in payloads:
            camera.publish("faces", payload)
        until(lambda: len(watcher.messages) == len(payloads))
    assert [bytes(message.payload) for message in watcher.messages] == payloads


def test_the_properties_that_mqtt_forwards_arrive(
    forwarder: Service, edge: Mosquitto, cloud: Mosquitto
) -> None:
    user = [("id", "1"), ("id", "twice"), ("face", "\N{GRINNING FACE}" * 2500)]
    properties: PublishProperties = {
        "ContentType": "image/png",
        "ResponseTopic": "faces/receipts/box-1",
        "CorrelationData": bytes(range(256)),
        "PayloadFormatIndicator": 1,
        "MessageExpiryInterval": 100,
    }
    with Mqtt(cloud.port, "faces") as watcher, Mqtt(edge.port) as camera:
        camera.publish("faces", b"face", user=user, **properties)
        camera.publish("faces", b"bare")
        until(lambda: len(watcher.messages) == 2)
    got, bare = watcher.messages
    assert got.user == tuple(user)
    left = got.properties["MessageExpiryInterval"]
    assert 90 <= left <= 100
    assert got.properties == {**properties, "MessageExpiryInterval": left}
    assert (bare.user, bare.properties) == ((), {})


def test_the_expiry_is_less_by_the_time_in_the_buffer(edge: Mosquitto, cloud: Mosquitto) -> None:
    with (
        Proxy(cloud.port) as wan,
        Mqtt(cloud.port, "faces") as watcher,
        started(edge.port, wan.port) as service,
        Mqtt(edge.port) as camera,
    ):
        wan.refuse()
        service.says("edge broker .*: connected")
        camera.publish("faces", b"short", MessageExpiryInterval=1)
        camera.publish("faces", b"long", MessageExpiryInterval=100)
        until(lambda: service.metric("facepipe_forwarder_buffer_messages") == 2)
        # From the first to the fourth failure the back-off waits 1.75 s at least.
        until(lambda: service.metric("facepipe_mqtt_failures_total", broker="cloud") >= 4)
        wan.mode = "pass"
        until(lambda: watcher.messages)
        (message,) = watcher.messages
        assert message.payload == b"long"
        assert 80 <= message.properties["MessageExpiryInterval"] <= 99
        assert service.metric("facepipe_forwarder_messages_dropped_total", reason="expired") == 1


def test_faces_are_never_retained_on_the_other_side(
    forwarder: Service, edge: Mosquitto, cloud: Mosquitto
) -> None:
    with Mqtt(cloud.port, "faces") as watcher, Mqtt(edge.port) as camera:
        camera.publish("faces", b"face", retain=True)
        until(lambda: watcher.messages)
        assert not watcher.messages[0].retain
    with Mqtt(cloud.port, "faces", "marker") as later:
        later.publish("marker")
        until(lambda: later.on("marker"))
        assert not later.on("faces")


def test_a_retained_face_does_not_come_again_with_each_start(
    edge: Mosquitto, cloud: Mosquitto
) -> None:
    with Mqtt(edge.port) as camera, Mqtt(cloud.port, "faces") as watcher:
        camera.publish("faces", b"retained", retain=True)
        with started(edge.port, cloud.port) as service:
            connected(service)
            camera.publish("faces", b"fresh")
            until(lambda: watcher.messages)
        assert [message.payload for message in watcher.messages] == [b"fresh"]


def test_a_status_that_is_none_by_its_size_is_dropped_and_counted(
    forwarder: Service, edge: Mosquitto
) -> None:
    with Mqtt(edge.port) as device:
        device.publish("faces/status/box-1/x/0", bytes(100_000), retain=True)
        until(lambda: forwarder.metric(DROPPED, kind="status", reason="too_large") == 1)


def test_status_stays_retained_and_a_cleared_one_is_cleared(
    forwarder: Service, edge: Mosquitto, cloud: Mosquitto
) -> None:
    topic = f"{STATUS}/detector/camera-0"
    with Mqtt(edge.port) as camera:
        camera.publish(topic, b"online", retain=True)
        until(lambda: retained(cloud, topic) == b"online")
        camera.publish(topic, b"", retain=True)
        until(lambda: retained(cloud, topic) is None)


def retained(broker: Mosquitto, topic: str) -> bytes | None:
    """The retained message of a topic, and that of a marker behind it, which ends the wait."""
    with Mqtt(broker.port, topic, "marker") as reader:
        reader.publish("marker", b"x")
        until(lambda: reader.on("marker"))
        found = [bytes(message.payload) for message in reader.on(topic) if message.retain]
    return found[0] if found else None


def test_its_own_status_stands_at_the_cloud_broker_only(
    forwarder: Service, edge: Mosquitto, cloud: Mosquitto
) -> None:
    status = until(lambda: well(retained(cloud, OWN)))
    assert (status["state"], status["reasons"], status["waiting"]) == ("online", {}, 0)
    assert retained(edge, OWN) is None


def well(payload: bytes | None) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(payload or b"{}")
    return status if status.get("status") == "well" else {}


def test_killed_it_is_offline_and_stopped_it_is_gone(edge: Mosquitto, cloud: Mosquitto) -> None:
    with started(edge.port, cloud.port) as first:
        connected(first)
        first.signal(signal.SIGKILL)
        until(lambda: json.loads(retained(cloud, OWN) or b"{}").get("state") == "offline")
    with started(edge.port, cloud.port) as second:
        connected(second)
        until(lambda: json.loads(retained(cloud, OWN) or b"{}").get("state") == "online")
        assert second.stop() == 0
        assert retained(cloud, OWN) is None


def test_stopped_amid_receipts_on_a_slow_link_it_is_gone_too(
    edge: Mosquitto, cloud: Mosquitto
) -> None:
    with Proxy(cloud.port) as wan, started(edge.port, wan.port) as service:
        connected(service)
        wan.rate = 30_000
        with Mqtt(cloud.port) as processor:
            for _ in range(50):
                processor.publish(f"faces/receipts/{DEVICE}", bytes(1000))
            assert service.stop() == 0
        until(lambda: retained(cloud, OWN) is None)


def test_an_emptied_cloud_broker_is_told_all_statuses_anew(
    forwarder: Service, edge: Mosquitto, cloud: Mosquitto
) -> None:
    topics = [f"{STATUS}/detector/camera-{number}" for number in range(5)]
    with Mqtt(edge.port) as camera:
        for topic in topics:
            camera.publish(topic, topic.encode(), retain=True)
        until(lambda: retained(cloud, topics[-1]))
        cloud.kill()
        camera.publish(topics[0], b"", retain=True)  # cleared while the cloud is away
        cloud.start()
        for topic in topics[1:]:
            until_equal(partial(retained, cloud, topic), topic.encode())
        until(lambda: retained(cloud, OWN))
        assert retained(cloud, topics[0]) is None


def test_only_receipts_of_its_own_device_come_down(
    forwarder: Service, edge: Mosquitto, cloud: Mosquitto
) -> None:
    with Mqtt(edge.port, "#") as detector, Mqtt(cloud.port) as processor:
        for topic in ("faces", "faces/stored", "faces/receipts/box-2", "faces/status/box-1/x/y"):
            processor.publish(topic, b"not for the edge")
        receipt: PublishProperties = {"CorrelationData": b"id", "ContentType": "application/json"}
        processor.publish(f"faces/receipts/{DEVICE}", b"{}", retain=True, **receipt)
        until(lambda: detector.messages)
        (message,) = detector.messages
    assert (message.topic, message.payload) == (f"faces/receipts/{DEVICE}", b"{}")
    assert message.properties == receipt


def test_faces_go_up_on_the_topic_of_the_device_if_the_cloud_wants_that(
    edge: Mosquitto, cloud: Mosquitto
) -> None:
    with started(edge.port, cloud.port, CLOUD_TOPIC=f"faces/from/{DEVICE}") as service:
        connected(service)
        with Mqtt(cloud.port, "#") as watcher, Mqtt(edge.port) as camera:
            camera.publish("faces", b"face")
            camera.publish("faces/from/box-2", b"not this one")
            camera.publish("other", b"nor this")
            until(lambda: watcher.on(f"faces/from/{DEVICE}"))
            assert {message.topic for message in watcher.messages} <= {
                f"faces/from/{DEVICE}",
                OWN,
            }


@pytest.mark.parametrize("first", ["edge", "cloud"])
def test_one_broker_on_both_sides_is_no_circle(edge: Mosquitto, first: str) -> None:
    with Proxy(edge.port) as detour, Mqtt(edge.port, "#") as watcher:
        ports = (edge.port, detour.port) if first == "edge" else (detour.port, edge.port)
        with started(*ports) as service:
            service.says("(edge|cloud) broker .*: connected")
            watcher.publish("faces", b"face")
            assert service.wait() == 2
            assert "CLOUD_HOST and MQTT_HOST lead to the same broker" in service.log
            assert "Traceback" not in service.log
        watcher.publish("marker")
        until(lambda: watcher.on("marker"))
        assert len(watcher.on("faces")) < 50
        assert retained(edge, OWN) is None


def test_after_wrong_settings_were_mended_what_they_left_behind_does_no_harm(
    edge: Mosquitto, cloud: Mosquitto
) -> None:
    with Mqtt(edge.port) as broken:
        broken.publish(OWN, b'{"state":"offline"}', retain=True)
    with started(edge.port, cloud.port) as service:
        connected(service)
        with Mqtt(cloud.port, "faces") as watcher, Mqtt(edge.port) as camera:
            camera.publish("faces", b"face")
            until(lambda: watcher.messages)
        assert service.stop() == 0


@pytest.mark.parametrize("qos", [0, 1])
def test_every_face_is_relayed_at_the_qos_that_is_set(
    edge: Mosquitto, cloud: Mosquitto, qos: int
) -> None:
    with started(edge.port, cloud.port, MQTT_QOS=qos) as service:
        connected(service)
        with Mqtt(cloud.port, "faces") as watcher, Mqtt(edge.port) as camera:
            for number in range(200):
                camera.publish("faces", b"%d" % number, qos=1)
            until(lambda: len(watcher.messages) >= 200)
        assert [int(message.payload) for message in watcher.messages] == list(range(200))
        assert {message.qos for message in watcher.messages} == {qos}
        relayed = "facepipe_forwarder_messages_relayed_total"
        until(lambda: service.metric(relayed, kind="face") == 200)


def test_with_qos_1_only_what_the_cloud_has_is_acknowledged(
    edge: Mosquitto, cloud: Mosquitto
) -> None:
    with (
        Proxy(cloud.port) as wan,
        started(edge.port, wan.port, MQTT_QOS=1) as service,
        Mqtt(cloud.port, "faces") as watcher,
        Mqtt(edge.port) as camera,
    ):
        connected(service)
        wan.refuse()
        service.says(r"cloud broker .*trying again")
        for number in range(30):
            camera.publish("faces", b"%d" % number, qos=1)
        # The edge broker lets 20 go unacknowledged, and keeps the others itself.
        until(lambda: service.metric("facepipe_forwarder_buffer_messages") == 20)
        wan.mode = "pass"
        until(lambda: len(watcher.messages) == 30)
    assert [int(message.payload) for message in watcher.messages] == list(range(30))


def test_a_retained_status_that_nobody_reads_counts_as_relayed_with_qos_1(
    edge: Mosquitto, cloud: Mosquitto
) -> None:
    with started(edge.port, cloud.port, MQTT_QOS=1) as service:
        connected(service)
        with Mqtt(edge.port) as camera:
            camera.publish(f"{STATUS}/detector/camera-0", b"online", qos=1, retain=True)
        relayed = "facepipe_forwarder_messages_relayed_total"
        until(lambda: service.metric(relayed, kind="status") == 1)
        assert service.metric("facepipe_forwarder_messages_dropped_total") == 0
