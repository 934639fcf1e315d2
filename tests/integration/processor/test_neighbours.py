"""A device that sends whatever the protocol lets it send, as fast as it can, and the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.mqtt.message import encode_publish_head
from testing.host.memory import peak
from testing.host.wait import until
from testing.mqtt.client import Mqtt
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.sender import Sender
from testing.pictures import png
from testing.services.process import Service
from testing.services.processor import DROPPED, storing
from testing.store.nanio import Store

pytestmark = pytest.mark.attack

REFUSED = "facepipe_mqtt_messages_refused_total"
REJECTED = "facepipe_processor_faces_rejected_total"
REFUSED_OF = "facepipe_processor_device_messages_refused_total"
THIEF = "faces/from/thief"


def test_a_message_of_empty_properties_alone_is_refused_unread(
    cloud: Mosquitto, store: Store, processor: Service
) -> None:
    one = encode_publish_head(THIEF, 0, 0, False, 0, b"\x26\0\0\0\0" * 700_000)
    with Sender(cloud.port) as sender, Mqtt(cloud.port) as thief:
        sender.receipt(sender.send(png()))
        before = peak(processor.pid)
        thief.send_raw(one * 8)
        until(lambda: processor.metric(REFUSED, reason="properties") == 8, 60)
        assert sender.receipt(sender.send(png(seed=1)))["outcome"] == "stored"
        assert peak(processor.pid) - before < 60_000_000
        assert processor.log.count("refused a message on 'faces/from/thief'") == 1


def test_a_flood_of_empty_messages_leaves_the_others_their_receipts(
    cloud: Mosquitto, store: Store, processor: Service
) -> None:
    one = encode_publish_head(THIEF, 0, 0, False, 0, b"\x03\x00\x01x")
    with Sender(cloud.port) as sender, Mqtt(cloud.port) as thief:
        before = peak(processor.pid)
        thief.send_raw(one * 30_000)
        ids = [sender.send(png(seed=seed)) for seed in range(5)]
        assert [sender.receipt(id)["outcome"] for id in ids] == ["stored"] * 5
        until(lambda: processor.metric(DROPPED) + processor.metric(REJECTED) >= 20_000, 60)
        assert processor.metric(REJECTED) < 2_000
        assert peak(processor.pid) - before < 60_000_000
        processor.says(
            "device thief sends invalid messages faster than they can be stored.*revoke thief"
        )
        assert processor.health()["reasons"] == {"sender_thief": "floods"}
        # By its share or by its rate: which one it meets first depends on the machine.
        assert processor.metric(REFUSED_OF, device="thief") > 100
        assert processor.metric(REFUSED_OF, device="box-1") == 0
    assert len(store.objects("rejected/")) < 2_000


@pytest.mark.parametrize("answer", ["teapot", "headers"])
def test_a_face_that_the_store_alone_does_not_like_holds_up_no_other(
    tmp_path: Path, answer: str
) -> None:
    with storing(tmp_path) as (s3, service, sender):
        s3.dislikes = {"odd": answer}
        bad = sender.send(png(), facts={"note": "odd"})
        ids = [sender.send(png(seed=seed)) for seed in range(1, 30)]
        assert {sender.receipt(id)["outcome"] for id in ids} == {"stored"}
        assert sender.receipt(bad, 30)["reason"] == "refused"
        assert service.metric(REJECTED, reason="refused") == 1


def test_a_stored_face_is_not_replaced_by_another_picture_with_its_id_and_time(
    tmp_path: Path,
) -> None:
    facts = {"captured": "2026-03-01T12:00:00.000000Z"}
    with storing(tmp_path) as (s3, service, sender):
        id = sender.send(png(), facts=facts)
        first = sender.receipt(id)
        assert first["outcome"] == "stored"
        sender.send(png(seed=7), id, facts=facts)
        second = until(lambda: sender.receipts(id)[1:], what="the receipt of the other picture")[0]
        assert (second["outcome"], second["reason"]) == ("rejected", "exists")
        assert s3.objects[first["key"]] == png()
        assert s3.objects[second["key"]] == png(seed=7)
        assert service.metric(REJECTED, reason="exists") == 1
        assert service.health()["status"] == "well"


def test_the_same_picture_again_is_answered_as_stored_by_a_processor_that_forgot_it(
    cloud: Mosquitto, store: Store, processor: Service
) -> None:
    with Sender(cloud.port) as sender:
        id = sender.send(png())
        first = sender.receipt(id)
        processor.kill()
        processor.start()
        until(lambda: processor.log.count("cloud broker 127") >= 2, what="connected again")
        sender.send(png(), id)
        again = until(lambda: sender.receipts(id)[1:], what="its second receipt")[0]
    assert again.pop("at") > first.pop("at")
    assert again == first
    assert list(store.objects()) == [first["key"]]
