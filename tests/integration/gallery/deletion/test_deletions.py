"""What people delete: it is gone everywhere, stays gone, and is written down."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

from gallery.index.model import ref_of
from testing.host.wait import until
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.sender import Sender
from testing.pictures import png
from testing.services.gallery import DELETED, Admin, Gallery
from testing.services.process import Service
from testing.store.bucketful import fill, put
from testing.store.nanio import Store


def test_what_is_deleted_is_gone_everywhere_and_the_record_says_by_whom(
    gallery: Gallery, admin: Admin, store: Store, tmp_path: Path
) -> None:
    keys = fill(store, 3)
    gallery.start_again()
    refs = admin.faces()
    assert len(refs) == 3
    assert admin.open(f"/thumb/{refs[0]}")[0] == 200
    assert list((tmp_path / "gallery").rglob(f"{refs[0]}.webp"))
    job = admin.delete(refs=[refs[0]])
    assert (job["state"], job["done"], job["failed"]) == ("done", 1, {})
    assert set(store.objects()) == set(keys[:2])
    assert admin.faces() == refs[1:]
    assert admin.open(f"/image/{refs[0]}")[0] == 404
    assert not list((tmp_path / "gallery").rglob(f"{refs[0]}.webp"))
    [record] = (store.bucket / ".facepipe" / "deletions").iterdir()
    told = json.loads(record.read_bytes())
    assert (told["by"], told["keys"]) == ("anna", [keys[2]])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT.*Z", told["at"])
    assert b"anna" in admin.open("/deletions")[1]


def test_a_face_that_an_edge_box_sends_again_does_not_come_back(
    gallery: Gallery, admin: Admin, store: Store, processor: Service, cloud: Mosquitto
) -> None:
    with Sender(cloud.port) as sender:
        id = sender.send(png())
        [ref] = until(admin.faces)
        admin.delete(refs=[ref])
        assert store.objects() == {}
        processor.signal(signal.SIGKILL)  # one that remembers has no need to store it again
        processor.wait()
        processor.start()
        until(lambda: processor.log.count("cloud broker 127") >= 2, what="connected again")
        sender.send(png(), id)
        until(lambda: gallery.metric(DELETED, by="again") == 1, what="it is deleted again")
    assert store.objects() == {}
    assert admin.faces() == []


def test_nor_does_it_when_it_was_stored_while_no_gallery_ran_and_the_index_is_lost(
    gallery: Gallery, admin: Admin, store: Store, tmp_path: Path, cloud: Mosquitto
) -> None:
    [key] = fill(store, 1)
    gallery.start_again()
    admin.delete(refs=admin.faces())
    assert gallery.stop() == 0
    for file in (tmp_path / "gallery").glob("index.db*"):
        file.unlink()
    put(store, key, png())
    with Gallery(store, tmp_path / "gallery", MQTT_PORT=cloud.port) as again:
        until(lambda: store.objects() == {}, what="it is deleted again")
        assert again.admin().faces() == []


def test_a_device_is_deleted_with_what_was_rejected_of_it_and_nobody_elses(
    gallery: Gallery, admin: Admin, store: Store
) -> None:
    keys = fill(store, 40, devices=2)
    put(store, f"rejected/box0000/bad_crc_{'a' * 32}", b"x", {})
    put(store, f"rejected/box0001/bad_crc_{'b' * 32}", b"x", {})
    gallery.start_again()
    job = admin.delete(filter={"device": "box0000"})
    assert (job["state"], job["done"]) == ("done", 21)
    assert set(store.objects()) == {key for key in keys if key.startswith("box0001")}
    assert list(store.objects("rejected/")) == [f"rejected/box0001/bad_crc_{'b' * 32}"]


def test_many_are_deleted_in_lots_and_what_arrives_meanwhile_stays(
    gallery: Gallery, admin: Admin, store: Store
) -> None:
    fill(store, 2500)
    gallery.start_again()
    count = admin.count(filter={})
    assert count["count"] == 2500
    [late] = fill_later(store)
    gallery.start_again()
    job = admin.delete(filter={}, count=count)
    assert (job["done"], job["failed"]) == (2500, {})
    assert list(store.objects()) == [late]
    assert admin.faces() == [ref_of(late)]


def fill_later(store: Store) -> list[str]:
    key = "box0009/cam0/2026-04-01/face_1775001600000_019d4600ca00700080000000000fffff.png"
    put(store, key, png())
    return [key]


def test_a_selection_that_has_changed_since_it_was_confirmed_is_not_deleted(
    gallery: Gallery, admin: Admin, store: Store
) -> None:
    fill(store, 5)
    gallery.start_again()
    refs = admin.faces()
    count = admin.count(refs=refs)
    admin.delete(refs=refs[:1])
    status, answer = admin.post("/delete", refs=refs, expected=count["count"], added=count["added"])
    assert status == 409
    assert "4 faces" in answer["error"]
    assert len(store.objects()) == 4


def test_a_rejected_copy_of_a_deleted_face_goes_with_it(
    gallery: Gallery, admin: Admin, store: Store
) -> None:
    [key] = fill(store, 1)
    id = key.rpartition("_")[2].removesuffix(".png")
    put(store, f"rejected/box0000/device_mismatch_{id}", b"x", {})
    gallery.start_again()
    admin.delete(refs=[ref_of(key)])
    assert store.objects() == {}
    assert store.objects("rejected/") == {}


def test_to_delete_what_was_rejected_leaves_a_genuine_face_of_that_id(
    gallery: Gallery, admin: Admin, store: Store
) -> None:
    [key] = fill(store, 1)
    id = key.rpartition("_")[2].removesuffix(".png")
    put(store, f"rejected/box0000/empty_{id}", b"", {})
    gallery.start_again()
    admin.delete(filter={"kind": "rejected"})
    assert list(store.objects()) == [key]
    assert store.objects("rejected/") == {}
    gallery.start_again()
    assert admin.count(refs=[ref_of(key)])["count"] == 1


def _files(folder: Path) -> int:
    """How many there are; folders may go meanwhile."""
    return sum(len(files) for _, _, files in os.walk(folder))


def test_a_deletion_that_was_interrupted_goes_on_with_the_next_start(
    gallery: Gallery, store: Store, tmp_path: Path, cloud: Mosquitto
) -> None:
    fill(store, 3500)
    gallery.start_again()
    admin = gallery.admin()
    count = admin.count(filter={})
    asked = {"selection": {"filter": {}}, "expected": 3500, "added": count["added"]}
    status, _ = admin.post("/delete", **asked)
    assert status == 202
    until(lambda: gallery.metric(DELETED, by="user") > 0, what="it has begun")
    gallery.signal(signal.SIGKILL)
    gallery.wait()
    left = len(store.objects())
    assert 0 < left < 3500
    for file in (tmp_path / "gallery").glob("index.db*"):
        file.unlink()  # what is confirmed is done even if nothing else is known any more
    with Gallery(store, tmp_path / "gallery", MQTT_PORT=cloud.port) as again:
        again.says("resuming the deletion by anna")
        # By the deletion, or, where a listing meets what was to be deleted, by that.
        boxes = list(store.bucket.glob("box*"))
        until(lambda: not any(map(_files, boxes)), 60, "the rest is deleted")
        until(lambda: not list(store.bucket.glob(".facepipe/pending/*.json")))
    assert store.objects() == {}
