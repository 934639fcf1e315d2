"""What is no longer in the bucket, or past its time, is not to be looked at, whoever deleted it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gallery.index.model import ref_of
from testing.host.wait import until
from testing.mqtt.mosquitto import Mosquitto
from testing.services.gallery import Admin, Gallery
from testing.store.bucketful import fill
from testing.store.nanio import Store


@pytest.fixture
def keys(store: Store) -> list[str]:
    return fill(store, 3)


@pytest.fixture
def gallery(cloud: Mosquitto, store: Store, keys: list[str], tmp_path: Path) -> Iterator[Gallery]:
    with Gallery(store, tmp_path / "gallery", MQTT_PORT=cloud.port) as service:
        service.says(f"listed {len(keys)} objects")
        yield service


@pytest.fixture
def admin(gallery: Gallery) -> Admin:
    return gallery.admin()


def thumbnails(folder: Path, ref: str) -> list[Path]:
    return list(folder.rglob(f"{ref}.webp"))


@pytest.mark.parametrize("asked", ["image", "zip"])
def test_an_object_that_a_console_has_deleted_goes_from_every_page_when_it_is_missed(
    gallery: Gallery, admin: Admin, store: Store, keys: list[str], tmp_path: Path, asked: str
) -> None:
    ref = ref_of(keys[0])
    assert admin.open(f"/thumb/{ref}")[0] == 200
    (store.bucket / keys[0]).unlink()
    (store.bucket / ".nanio-meta" / f"{keys[0]}.json").unlink()
    with admin.live() as events:
        until(lambda: gallery.metric("facepipe_gallery_viewers") == 1)
        if asked == "image":
            assert admin.open(f"/image/{ref}")[0] == 404
        else:
            assert admin.open("/zip", {"ref": ref})[0] == 200
        assert next(data for kind, data in events if kind == "gone") == {
            "refs": [ref],
            "visits": [],
        }
    assert admin.open(f"/thumb/{ref}")[0] == 404
    assert not thumbnails(tmp_path, ref)
    assert admin.faces() == [ref_of(key) for key in (keys[2], keys[1])]


def test_of_an_object_that_is_gone_no_thumbnail_is_made_and_its_tile_goes(
    cloud: Mosquitto, store: Store, keys: list[str], tmp_path: Path
) -> None:
    with Gallery(store, tmp_path / "gallery", MQTT_PORT=cloud.port) as gallery:
        gallery.says("listed 3 objects")
        until(lambda: gallery.metric("facepipe_gallery_thumbnails_made_total") == 3)
        for file in tmp_path.rglob("*.webp"):
            file.unlink()
        (store.bucket / keys[0]).unlink()
        (store.bucket / ".nanio-meta" / f"{keys[0]}.json").unlink()
        admin = gallery.admin()
        assert b"no longer" in admin.open(f"/thumb/{ref_of(keys[0])}")[1]
        assert ref_of(keys[0]) not in admin.faces()


def test_a_thumbnail_is_not_shown_past_the_time_that_its_face_is_kept(
    cloud: Mosquitto, store: Store, tmp_path: Path
) -> None:
    [key] = fill(store, 1, last=time.time())
    settings = {"MQTT_PORT": cloud.port, "RETENTION_HOURS": 0.003}  # far less than sweeps are apart
    with Gallery(store, tmp_path / "gallery", **settings) as gallery:
        gallery.says("listed 1 objects")
        admin, ref = gallery.admin(), ref_of(key)
        until(lambda: b"past its" in admin.open(f"/thumb/{ref}")[1], 30, "it is over")
        assert not thumbnails(tmp_path, ref)
