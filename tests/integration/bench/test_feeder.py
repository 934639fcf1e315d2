"""The load generator of the benches: what it sends are faces, and it hears of each once."""

from __future__ import annotations

import pytest

from bench import feeder
from common.protocol.face import Face
from testing.host.wait import until
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto


@pytest.mark.parametrize("qos", [0, 1])
def test_each_face_that_is_sent_is_heard_of_once(edge: Mosquitto, qos: int) -> None:
    load = {"port": edge.port, "hear_port": edge.port, "kb": 2, "count": 300, "window": 16}
    fed = feeder.feed(qos=qos, hear_qos=qos, devices=3, each=True, **load)
    assert (fed.sent, fed.heard, fed.doubles, len(fed.each)) == (300, 300, 0, 300)
    assert fed.bytes > 300 * 2000


def test_its_faces_are_sound_and_of_their_device(edge: Mosquitto) -> None:
    with Mqtt(edge.port, "faces/from/+") as watcher:
        load = {"port": edge.port, "topic": "faces/from/{device}", "device": "bench", "kb": 2}
        feeder.feed(devices=2, count=20, **load)
        until(lambda: len(watcher.messages) == 20)
    ids = set()
    for message in watcher.messages:
        facts = Face.decode(message.payload, message.properties.UserProperty).facts
        assert message.topic == f"faces/from/{facts['device']}"
        assert message.properties.ResponseTopic == f"faces/receipts/{facts['device']}"
        assert message.properties.CorrelationData == facts["id"].encode()
        assert message.payload.startswith(b"\x89PNG")
        ids.add(facts["id"])
    assert len(ids) == 20
