"""A face that arrives at the processor is an object, and its sender hears of it."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from testing.host.wait import until
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.sender import Sender
from testing.pictures import png
from testing.services.process import Service
from testing.store.nanio import Store

PLACE = "box-1/cam-1/2026-03-01"  # of a Sender's faces
REJECTED = "facepipe_processor_faces_rejected_total"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path_factory.mktemp("broker")) as mosquitto:
        yield mosquitto


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with Store(tmp_path_factory.mktemp("store")) as server:
        yield server


@pytest.fixture(scope="module")
def service(broker: Mosquitto, bucket: Store) -> Iterator[Service]:
    settings = {**bucket.settings, "DEVICE": "server", "INSTANCE": "one"}
    with Service("processor", MQTT_PORT=broker.port, **settings) as processor:
        processor.says("cloud broker .*: connected")
        yield processor


@pytest.fixture
def sender(broker: Mosquitto, service: Service) -> Iterator[Sender]:
    with Sender(broker.port) as device:
        yield device


def noise(side: int) -> bytes:
    """A sound PNG of about 3 x side x side bytes."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def facts_of(bucket: Store, key: str) -> dict[str, str]:
    return {name.removeprefix("x-amz-meta-"): v for name, v in bucket.metadata(key).items()}


def test_a_face_is_stored_with_its_facts_and_answered(sender: Sender, bucket: Store) -> None:
    face = noise(100)
    id = sender.send(face, facts={"score": "12.5", "frame": "1920x1080"})
    receipt = sender.receipt(id)
    key = f"{PLACE}/face_1772409599123_{id}.png"
    assert receipt.pop("at") > "2026"
    assert receipt == {
        "topic": "faces/receipts/box-1",
        "id": id,
        "sha256": digest(face),
        "outcome": "stored",
        "key": key,
        "reason": None,
    }
    assert bucket.objects()[key] == face
    facts = {
        "id": id,
        "device": "box-1",
        "camera": "cam-1",
        "captured": "2026-03-01T23:59:59.123456Z",
        "score": "12.5",
        "frame": "1920x1080",
    }
    assert facts_of(bucket, key) == {**facts, "content_type": "image/png"}
    told = [json.loads(m.payload) for m in until(lambda: sender.on("faces/stored"))]
    stored = next(message for message in told if message["id"] == id)
    assert stored.pop("stored") > "2026"
    assert stored == {"key": key, **facts, "sha256": digest(face), "bytes": len(face)}


BAD: list[tuple[str, bytes, dict[str, str]]] = [
    ("empty", b"", {}),
    ("not_png", b"x", {}),
    ("truncated", png()[:-20], {}),
    ("not_png", cv2.imencode(".jpg", np.zeros((8, 8, 3), np.uint8))[1].tobytes(), {}),
    ("bad_crc", png()[:-1] + b"?", {}),
    ("dimensions", png(claim=(60000, 60000)), {}),
    ("too_large", noise(1024), {}),
    ("bad_property", png(), {"note": "smile \U0001f600"}),
    ("bad_property", png(), {"note": "x" * 10_000}),
    ("bad_property", png(), {"captured": "9999-12-31T23:59:59.999999Z"}),
]


@pytest.mark.parametrize(("reason", "payload", "facts"), BAD, ids=range(len(BAD)))
def test_what_is_no_face_is_kept_apart_with_its_reason_and_the_rest_flows_on(
    sender: Sender,
    service: Service,
    bucket: Store,
    reason: str,
    payload: bytes,
    facts: dict[str, str],
) -> None:
    before = service.metric(REJECTED, reason=reason)
    id = sender.send(payload, facts=facts)
    after = sender.send(png())
    receipt = sender.receipt(id)
    assert (receipt["outcome"], receipt["reason"]) == ("rejected", reason)
    assert receipt["key"] == f"rejected/box-1/{reason}_{id}"
    assert receipt["sha256"] == digest(payload)
    assert receipt["topic"] == "faces/receipts/box-1"
    assert bucket.objects("rejected/")[receipt["key"]] == payload
    assert facts_of(bucket, receipt["key"])["reason"] == reason
    assert not any(id in key for key in bucket.objects())
    assert service.metric(REJECTED, reason=reason) == before + 1
    assert sender.receipt(after)["outcome"] == "stored"
    assert "Traceback" not in service.log


def test_a_message_that_the_broker_refuses_harms_nobody_else(
    tmp_path: Path, broker: Mosquitto, service: Service, sender: Sender
) -> None:
    big = tmp_path / "big"
    big.write_bytes(bytes(5_000_000))
    command = ["mosquitto_pub", "-V", "5", "-p", str(broker.port), "-t", "faces"]
    received = service.metric("facepipe_processor_faces_received_total")
    subprocess.run([*command, "-f", str(big)], capture_output=True, timeout=20, check=False)
    newline = ["-D", "publish", "user-property", "note", "two\nlines", "-m", "x"]
    subprocess.run([*command, *newline], capture_output=True, timeout=20, check=False)
    assert sender.receipt(sender.send(png()))["outcome"] == "stored"
    assert service.metric("facepipe_processor_faces_received_total") == received + 1


@pytest.mark.parametrize("topic", ["faces/receipts/box-2", "faces/receipts/box-1/x", "elsewhere"])
def test_a_response_topic_that_is_not_the_devices_gets_nothing_and_is_counted(
    sender: Sender, service: Service, bucket: Store, topic: str
) -> None:
    refused = "facepipe_processor_receipts_refused_total"
    before = service.metric(refused)
    with Mqtt(sender.port, topic) as other:
        id = sender.send(png(), ResponseTopic=topic)
        until(lambda: service.metric(refused) == before + 1)
        assert sender.receipt(sender.send(png()))["outcome"] == "stored"
        assert other.messages == []
    assert any(id in key for key in bucket.objects())


def test_a_face_that_comes_again_is_answered_again_and_is_one_object(
    sender: Sender, service: Service, bucket: Store
) -> None:
    stored = service.metric("facepipe_processor_faces_stored_total")
    id = sender.send(png())
    first = sender.receipt(id)
    sender.send(png(), id)
    assert until(lambda: sender.receipts(id)[1:])[0] == first
    assert sum(id in key for key in bucket.objects()) == 1
    assert service.metric("facepipe_processor_faces_stored_total") == stored + 1


def test_a_rejected_message_that_comes_again_is_answered_again(sender: Sender) -> None:
    id = sender.send(b"no face")
    first = sender.receipt(id)
    sender.send(b"no face", id)
    assert until(lambda: sender.receipts(id)[1:])[0] == first


def test_a_device_may_speak_on_its_own_topic_for_itself_alone(
    sender: Sender, bucket: Store
) -> None:
    own = sender.send(png(), topic="faces/from/box-1")
    assert sender.receipt(own)["outcome"] == "stored"
    other = sender.send(png(), topic="faces/from/box-2", ResponseTopic="faces/receipts/box-2")
    receipt = sender.receipt(other)
    assert (receipt["outcome"], receipt["reason"]) == ("rejected", "device_mismatch")
    assert receipt["key"] == f"rejected/box-2/device_mismatch_{other}"
    assert not any(other in key for key in bucket.objects())


def test_a_plain_png_on_a_devices_topic_is_that_devices(sender: Sender, bucket: Store) -> None:
    sender.publish("faces/from/box-7", png())
    key = until(lambda: [key for key in bucket.objects() if key.startswith("box-7/unknown/")])[0]
    assert facts_of(bucket, key)["id"] == digest(png())[:32]


def test_several_processors_share_the_work(
    sender: Sender, broker: Mosquitto, service: Service, bucket: Store
) -> None:
    settings = {**bucket.settings, "DEVICE": "server", "INSTANCE": "two"}
    stored = "facepipe_processor_faces_stored_total"
    before = service.metric(stored)
    with Service("processor", MQTT_PORT=broker.port, **settings) as second:
        second.says("cloud broker .*: connected")
        ids = [sender.send(png(seed=seed)) for seed in range(40)]
        assert {sender.receipt(id)["outcome"] for id in ids} == {"stored"}
        shares = service.metric(stored) - before, second.metric(stored)
        assert sum(shares) == 40
        assert min(shares) > 0
        assert second.stop() == 0
    left = [sender.send(png(seed=seed)) for seed in range(10)]
    assert {sender.receipt(id)["outcome"] for id in left} == {"stored"}
    assert all(len(sender.receipts(id)) == 1 for id in ids + left)


def test_its_status_is_there_for_who_comes_later_and_gone_when_it_is(
    broker: Mosquitto, bucket: Store
) -> None:
    settings = {**bucket.settings, "DEVICE": "server", "INSTANCE": "three"}
    topic = "faces/status/server/processor/three"
    with Service("processor", MQTT_PORT=broker.port, **settings) as processor:
        processor.says("cloud broker .*: connected")
        with Mqtt(broker.port, topic) as checker:
            status = json.loads(until(lambda: checker.on(topic))[0].payload)
            assert (status["state"], status["status"]) == ("online", "well")
            assert (status["stored"], status["in_hand"]) == (0, 0)
            assert processor.stop() == 0
            until(lambda: checker.on(topic)[-1].payload == b"")
            assert processor.log.endswith("stopped with exit code 0\n")


def test_it_comes_back_to_a_broker_that_was_away(tmp_path: Path, store: Store) -> None:
    with (
        Mosquitto(tmp_path) as cloud,
        Service("processor", MQTT_PORT=cloud.port, **store.settings) as processor,
    ):
        processor.says("cloud broker .*: connected")
        cloud.kill()
        until(lambda: processor.health()["reasons"].get("cloud_broker"))
        cloud.start()
        until(lambda: processor.health()["status"] == "well")
        with Sender(cloud.port) as sender:
            assert sender.receipt(sender.send(png()))["outcome"] == "stored"
