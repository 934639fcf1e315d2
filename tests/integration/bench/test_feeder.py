"""The load generator of the benches: what it sends are faces, and it hears of each once."""

from __future__ import annotations

import pytest

from bench.load.feeder import feed
from common.protocol.face import Face
from testing.host.wait import until
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto


@pytest.mark.parametrize("qos", [0, 1])
def test_each_face_that_is_sent_is_heard_of_once(edge: Mosquitto, qos: int) -> None:
    fed = feed(
        port=edge.port,
        hear_port=edge.port,
        hear_topic="faces",
        hear_qos=qos,
        qos=qos,
        devices=3,
        kb=2,
        seconds=0.5,
        window=16,
        patience=20.0,
    )
    assert fed.sent > 16
    assert (fed.heard, fed.doubles) == (fed.sent, 0)


def test_its_faces_are_sound_and_of_their_device(edge: Mosquitto) -> None:
    with Mqtt(edge.port, "faces/from/+") as watcher:
        fed = feed(
            port=edge.port,
            hear_port=edge.port,
            hear_topic="faces/from/+",
            topic="faces/from/{device}",
            device="bench",
            devices=2,
            kb=2,
            seconds=0.5,
            rate=40.0,
        )
        until(lambda: len(watcher.messages) == fed.sent)
    ids = set()
    for message in watcher.messages:
        facts = Face.decode(message.payload, message.user).facts
        assert message.topic == f"faces/from/{facts['device']}"
        assert message.properties["ResponseTopic"] == f"faces/receipts/{facts['device']}"
        assert message.properties["CorrelationData"] == facts["id"].encode()
        assert message.payload.startswith(b"\x89PNG")
        ids.add(facts["id"])
    assert len(ids) == fed.sent > 0
