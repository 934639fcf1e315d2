"""What the gallery knows: listings, announcements, and an index that may be lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from gallery.index.model import ref_of
from testing.host.wait import until
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.sender import Sender
from testing.pictures import png
from testing.services.gallery import Admin, Gallery
from testing.services.process import Service
from testing.store.bucketful import fill
from testing.store.nanio import Store


def test_it_shows_what_was_in_the_bucket_before_it_started(
    cloud: Mosquitto, store: Store, tmp_path: Path
) -> None:
    keys = fill(store, 30, devices=3)
    with Gallery(store, tmp_path / "gallery", MQTT_PORT=cloud.port) as gallery:
        gallery.says("listed 30 objects")
        assert gallery.admin().faces() == [ref_of(key) for key in reversed(keys)]


def test_what_the_processor_stores_is_there_at_once_with_its_facts(
    gallery: Gallery, admin: Admin, processor: Service, cloud: Mosquitto
) -> None:
    with Sender(cloud.port) as sender:
        sender.send(png(seed=5), facts={"sharpness": "123.5"})
        [ref] = until(admin.faces, what="it is shown")
    facts = admin.facts(ref)
    assert (facts["device"], facts["sharpness"], facts["known"]) == ("box-1", 123.5, True)
    assert admin.image(ref) == png(seed=5)
    assert gallery.metric("facepipe_gallery_faces_announced_total") == 1


def test_a_test_face_of_the_doctor_is_removed_and_never_shown(
    gallery: Gallery, admin: Admin, processor: Service, cloud: Mosquitto, store: Store
) -> None:
    with Sender(cloud.port) as sender:
        sender.send(png(seed=1), facts={"camera": "doctor"})
        until(lambda: processor.metric("facepipe_processor_faces_stored_total") == 1)
        until(lambda: not store.objects(), what="it is removed")
        sender.send(png(seed=2))
        until(admin.faces, what="the face after it is shown")
    (key,) = store.objects()
    assert admin.faces() == [ref_of(key)]


def test_a_test_face_that_is_left_over_is_removed_by_a_listing(
    cloud: Mosquitto, store: Store, tmp_path: Path
) -> None:
    left = store.bucket / "jetson-1" / "doctor" / "2026-01-01" / "face_1767225600000_left-over.png"
    left.parent.mkdir(parents=True)
    left.write_bytes(png())
    keys = fill(store, 3)
    with Gallery(store, tmp_path / "gallery", MQTT_PORT=cloud.port) as gallery:
        gallery.says("listed 3 objects")
        until(lambda: not left.exists(), what="it is removed")
        assert set(gallery.admin().faces()) == {ref_of(key) for key in keys}


@pytest.mark.parametrize(
    "message",
    [b"", b"{", b"[]", b"null", b'{"key": 1}', b"\xff" * 100, b"[" * 50_000, b'{"key": "a"}'],
)
def test_a_message_that_announces_nothing_is_counted_and_harms_nothing(
    gallery: Gallery, admin: Admin, processor: Service, cloud: Mosquitto, message: bytes
) -> None:
    with Sender(cloud.port) as sender:
        sender.publish("faces/stored", message)
        sender.send(png())
        until(admin.faces, what="the face after it is shown")
    assert gallery.metric("facepipe_gallery_announcements_unreadable_total") == 1


def test_what_was_stored_while_its_broker_was_away_is_found(
    cloud: Mosquitto, store: Store, tmp_path: Path
) -> None:
    settings = {"MQTT_PORT": cloud.port, "SYNC_HOURS": 0.01}
    with Gallery(store, tmp_path / "gallery", **settings) as gallery:
        gallery.says("listed 0 objects")
        gallery.says("cloud broker .*: connected")
        admin = gallery.admin()
        cloud.kill()
        [key] = fill(store, 1)
        cloud.start()
        assert until(admin.faces, 30) == [ref_of(key)]


def test_the_index_may_be_thrown_away(
    gallery: Gallery, store: Store, tmp_path: Path, cloud: Mosquitto
) -> None:
    keys = fill(store, 20)
    assert gallery.stop() == 0
    for file in (tmp_path / "gallery").glob("index.db*"):
        file.unlink()
    with Gallery(store, tmp_path / "gallery", MQTT_PORT=cloud.port) as again:
        again.says("listed 20 objects")
        assert set(again.admin().faces()) == {ref_of(key) for key in keys}


def test_a_bucket_with_more_than_the_index_may_know_is_said_to_be(
    cloud: Mosquitto, store: Store, tmp_path: Path
) -> None:
    fill(store, 1500)
    settings = {"MQTT_PORT": cloud.port, "INDEX_MAX_FACES": 1000}
    with Gallery(store, tmp_path / "gallery", **settings) as gallery:
        gallery.says("listed 1500 objects")
        page = gallery.admin().open("/")[1]
        assert b"Only the newest 1,000 faces are shown (INDEX_MAX_FACES)" in page
