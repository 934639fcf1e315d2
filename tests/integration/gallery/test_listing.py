"""How the gallery keeps in step with the bucket by listing it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gallery.index.model import ref_of
from testing.host.wait import until
from testing.mqtt.mosquitto import Mosquitto
from testing.pictures import png
from testing.services.gallery import Gallery
from testing.store.bucketful import fill, put
from testing.store.nanio import Store

REQUESTS = "facepipe_gallery_store_requests_total"


@pytest.fixture
def settings(cloud: Mosquitto) -> dict[str, object]:
    """The last two days are listed every 1.5 seconds, the whole bucket at the start only."""
    return {"MQTT_PORT": cloud.port, "SYNC_HOURS": 0.01}


@pytest.fixture
def gallery(store: Store, tmp_path: Path, settings: dict[str, object]) -> Iterator[Gallery]:
    keys = fill(store, 20, devices=2, days=10, last=time.time())
    for odd in ("odd.png", "box0000/beside.png", "Not A Device/a/b.png", "box0000/cam0/odd.png"):
        put(store, odd, png())
    put(store, f"rejected/box0000/bad_crc_{'a' * 32}", b"x", {})
    with Gallery(store, tmp_path / "gallery", **settings) as service:
        service.says(f"listed {len(keys) + 5} objects")
        yield service


def remove(store: Store, key: str) -> None:
    (store.bucket / key).unlink()
    (store.bucket / ".nanio-meta" / f"{key}.json").unlink()


def test_wherever_an_object_is_in_the_bucket_it_is_found(gallery: Gallery) -> None:
    assert gallery.metric("facepipe_gallery_faces_indexed") == 25


def test_the_last_days_come_before_the_rest(gallery: Gallery) -> None:
    log = gallery.log
    assert log.index("the last two days are indexed") < log.index("listed 25 objects")


def test_what_comes_and_goes_today_is_found_without_listing_all_of_the_bucket(
    gallery: Gallery, store: Store
) -> None:
    admin = gallery.admin()
    newest = admin.faces()[0]
    [key] = [one for one in store.objects() if ref_of(one) == newest]
    remove(store, key)
    other = key.replace("face_", "face_0")  # of the same camera and day
    put(store, other, png(), stored=time.time())
    until(lambda: newest not in admin.faces(), 30, "it is gone")
    until(lambda: admin.open(f"/face/{ref_of(other)}")[0] == 200, 30, "the other one is shown")
    assert gallery.log.count("listed 2") == 1


def test_with_another_template_all_of_the_bucket_is_listed_and_it_is_said(
    store: Store, tmp_path: Path, settings: dict[str, object]
) -> None:
    put(store, f"faces/box-1/{'a' * 32}.png", png())
    settings["KEY_TEMPLATE"] = "faces/{device}/{id}.png"
    with Gallery(store, tmp_path / "gallery", **settings) as gallery:
        gallery.says("KEY_TEMPLATE is not the default: each listing covers the whole bucket")
        gallery.says("listed 1 objects")
        assert "the last two days" not in gallery.log
        assert gallery.metric(REQUESTS, kind="list") < 10
