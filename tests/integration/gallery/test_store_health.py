"""A store that is away or answers nonsense, and a disk that is full."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gallery.index.model import ref_of
from testing.host.disk import mounted
from testing.host.wait import until
from testing.mqtt.mosquitto import Mosquitto
from testing.pictures import png
from testing.services.gallery import Admin, Gallery
from testing.store.bucketful import fill
from testing.store.iam import API_KEY, Iam
from testing.store.moto import Moto
from testing.store.nanio import Store


def test_it_starts_without_its_store_and_goes_on_when_that_comes(
    cloud: Mosquitto, store: Store, tmp_path: Path
) -> None:
    fill(store, 5)
    store.kill()
    with Gallery(store, tmp_path / "gallery", MQTT_PORT=cloud.port) as gallery:
        admin = gallery.admin()
        assert b"unreachable" in admin.open("/")[1]
        assert gallery.health()["reasons"]["bucket"] == "unreachable"
        store.start()
        until(lambda: len(admin.faces()) == 5, 30, "what is in the store is shown")
        until(lambda: "bucket" not in gallery.health()["reasons"], 30, "it is well")
        assert b"unreachable" not in admin.open("/")[1]


def test_while_the_store_is_away_what_is_known_is_shown_and_it_is_said(
    gallery: Gallery, admin: Admin, store: Store
) -> None:
    keys = fill(store, 5)
    gallery.start_again()
    store.kill()
    assert len(admin.faces()) == 5
    status, _ = admin.open(f"/image/{ref_of(keys[0])}")
    assert status == 503
    assert b"unreachable" in admin.open("/")[1]
    store.start()
    until(lambda: gallery.health()["reasons"] == {}, 30, "it is well again by itself")
    assert admin.open(f"/image/{ref_of(keys[0])}")[0] == 200


@pytest.mark.parametrize("body", [b"<html>please sign in</html>", b""])
def test_a_store_that_answers_like_none_is_trouble_and_no_fault(
    cloud: Mosquitto, store: Store, tmp_path: Path, body: bytes
) -> None:
    """As the page of a proxy does during an outage."""
    keys = fill(store, 3)
    with Gallery(store, tmp_path / "gallery", MQTT_PORT=cloud.port, SYNC_HOURS=0.002) as gallery:
        gallery.says("listed 3 objects")
        admin = gallery.admin()
        store.kill()
        with portal(store.port, body):
            assert admin.open(f"/image/{ref_of(keys[0])}")[0] in (200, 503)
            until(lambda: gallery.health()["reasons"].get("bucket"), 30, "it is in trouble")
            assert len(admin.faces()) == 3
        store.start()
        until(lambda: gallery.health()["reasons"] == {}, 60, "it is well again")
    assert "Traceback" not in gallery.log


@contextlib.contextmanager
def portal(port: int, body: bytes) -> Iterator[None]:
    """Answers everything with 200 and a page of its own."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_HEAD = do_PUT = do_POST = do_GET  # noqa: N815 - names of the standard library

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield
        server.shutdown()


def test_a_full_disk_is_trouble_and_the_faces_are_there_when_there_is_room_again(
    cloud: Mosquitto, store: Store, tmp_path: Path
) -> None:
    data = tmp_path / "data"
    with mounted(data, 12):  # MB; of which SQLite's log takes 4 before it begins anew
        settings = {"MQTT_PORT": cloud.port, "SYNC_HOURS": 0.002}
        with Gallery(store, data, **settings) as gallery:
            gallery.says("listed 0 objects")
            filler = data / "filler"
            with contextlib.suppress(OSError), filler.open("wb") as file:
                while True:
                    file.write(b"x" * 4096)
                    file.flush()
            fill(store, 2000)
            until(lambda: gallery.health()["reasons"].get("index") == "disk", 60, "it says so")
            assert b"Some faces are missing here" in gallery.admin().open("/")[1]
            filler.unlink()
            until(lambda: gallery.health()["reasons"] == {}, 60, "it is well again")
            assert gallery.metric("facepipe_gallery_faces_indexed") == 2000
            assert "Traceback" not in gallery.log


def test_iam_credentials_are_enough_though_they_cannot_presign(
    cloud: Mosquitto, tmp_path: Path
) -> None:
    with Moto() as moto, Iam() as iam:
        key = "box-1/door/2026-03-01/face_1772323200000_019ca6f5f80070008000000000000001.png"
        metadata = {"sharpness": "12"}
        moto.client.put_object(Bucket="faces", Key=key, Body=png(), Metadata=metadata)
        settings = {
            **moto.settings,
            "COS_ACCESS_KEY_ID": "",
            "COS_SECRET_ACCESS_KEY": "",
            "COS_API_KEY": API_KEY,
            "COS_AUTH_ENDPOINT": iam.url,
            "RETENTION_DAYS": 30,
        }
        with Gallery(moto, tmp_path / "gallery", MQTT_PORT=cloud.port, **settings) as gallery:
            gallery.says("the bucket deletes objects 30 days after they were stored")
            admin = gallery.admin()
            assert until(admin.faces) == [ref_of(key)]
            assert admin.image(ref_of(key)) == png()
            assert admin.facts(ref_of(key))["metadata"] == metadata
            assert admin.delete(refs=[ref_of(key)])["state"] == "done"
            assert [name for name in moto.stored() if not name.startswith(".facepipe/")] == []
        assert len(iam.issued) == 1
