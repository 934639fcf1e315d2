"""The gallery as a service: what it knows, deletes, and does when the store or broker is away."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import signal
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image

from gallery.index.model import ref_of
from testing.host.disk import mounted
from testing.host.wait import free_port, until
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.sender import Sender
from testing.pictures import png
from testing.services.gallery import Admin, Gallery
from testing.services.process import Service
from testing.store.bucketful import fill, put
from testing.store.iam import API_KEY, Iam
from testing.store.moto import Moto
from testing.store.nanio import Store

DELETED = "facepipe_gallery_objects_deleted_total"


@pytest.fixture
def gallery(cloud: Mosquitto, store: Store, tmp_path: Path) -> Iterator[Gallery]:
    # A port that stays when it is started again.
    settings = {"MQTT_PORT": cloud.port, "HTTP_PORT": free_port(), "METRICS_PORT": free_port()}
    with Gallery(store, tmp_path / "gallery", **settings) as service:
        service.says("listed")
        service.says("cloud broker .*: connected")
        yield service


@pytest.fixture
def admin(gallery: Gallery) -> Admin:
    return gallery.admin()


# What it knows.


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


def test_sessions_outlive_a_restart(gallery: Gallery, admin: Admin) -> None:
    gallery.start_again()
    status, page = admin.open("/")
    assert status == 200
    assert b"anna" in page


# What it deletes.


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


# How long it keeps.


def test_after_retention_hours_everything_goes_rejected_objects_too(
    cloud: Mosquitto, store: Store, tmp_path: Path
) -> None:
    fill(store, 30)  # of last March
    put(store, f"rejected/box0000/bad_crc_{'a' * 32}", b"x", {})
    with Gallery(
        store, tmp_path / "gallery", MQTT_PORT=cloud.port, RETENTION_HOURS="0.5"
    ) as gallery:
        until(lambda: gallery.metric(DELETED, by="retention") == 31, what="all of it is deleted")
        assert b"0.5 hours" in gallery.admin().open("/")[1]
    assert store.objects() == {}
    assert store.objects("rejected/") == {}


def test_where_the_store_has_no_rules_the_gallery_sees_to_the_days_itself(
    cloud: Mosquitto, store: Store, tmp_path: Path
) -> None:
    fill(store, 30)
    settings = {"MQTT_PORT": cloud.port, "RETENTION_DAYS": 30}
    with Gallery(store, tmp_path / "gallery", **settings) as gallery:
        gallery.says(r"RETENTION_DAYS: .*\(unsupported\); the gallery deletes instead")
        until(
            lambda: gallery.metric(DELETED, by="retention") == 30, what="what is older is deleted"
        )
        assert store.objects() == {}
        assert "lifecycle" not in gallery.health()["reasons"]
        assert b"30 days" in gallery.admin().open("/")[1]


def test_the_rule_is_set_at_the_start_and_taken_away_when_it_is_no_longer_wanted(
    cloud: Mosquitto, tmp_path: Path
) -> None:
    with Moto() as moto:
        for days, rules in ((30, [30]), (7, [7]), (0, [])):
            with Gallery(
                moto, tmp_path / "gallery", MQTT_PORT=cloud.port, RETENTION_DAYS=days
            ) as gallery:
                expected = rules

                def as_wanted(expected: list[int] = expected) -> bool:
                    return [rule["Expiration"]["Days"] for rule in moto.rules()] == expected

                until(as_wanted, what=f"RETENTION_DAYS={days} is seen to")
                gallery.says("listed")


def test_many_large_pictures_at_once_take_the_memory_of_one(
    cloud: Mosquitto, store: Store, tmp_path: Path
) -> None:
    """12 million pixels with four channels take 48 MB; eight at once would take 400."""
    out = io.BytesIO()
    Image.effect_noise((64, 64), 90).convert("RGBA").resize((3400, 3400)).save(out, "PNG")
    for number in range(8):
        put(store, f"large-{number}.png", out.getvalue())
    settings = {"MQTT_PORT": cloud.port, "MALLOC_MMAP_THRESHOLD_": 262144}  # as in the container
    with Gallery(store, tmp_path / "gallery", **settings) as gallery:
        gallery.says("listed 8 objects")
        admin = gallery.admin()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda ref: admin.open(f"/thumb/{ref}"), admin.faces()))
        assert [status for status, _ in answers] == [200] * 8
        assert len({body for _, body in answers}) == 1
        assert answers[0][1].startswith(b"RIFF")
        peak = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{gallery.pid}/status").read_text())
        assert peak
        assert int(peak[1]) < 150_000


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


def test_what_is_over_goes_though_the_index_has_no_room_for_it(
    cloud: Mosquitto, store: Store, tmp_path: Path
) -> None:
    fill(store, 2500)
    settings = {"MQTT_PORT": cloud.port, "RETENTION_HOURS": 1, "INDEX_MAX_FACES": 1000}
    with Gallery(store, tmp_path / "gallery", **settings) as gallery:
        until(lambda: gallery.metric(DELETED, by="retention") == 2500, 30, "all is deleted")
        assert store.objects() == {}


def test_a_bucket_with_more_than_the_index_may_know_is_said_to_be(
    cloud: Mosquitto, store: Store, tmp_path: Path
) -> None:
    fill(store, 1500)
    settings = {"MQTT_PORT": cloud.port, "INDEX_MAX_FACES": 1000}
    with Gallery(store, tmp_path / "gallery", **settings) as gallery:
        gallery.says("listed 1500 objects")
        page = gallery.admin().open("/")[1]
        assert b"Only the newest 1,000 faces are shown (INDEX_MAX_FACES)" in page


# When something is away, or wrong.


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
            assert b"Not all is shown" in gallery.admin().open("/")[1]
            filler.unlink()
            until(lambda: gallery.health()["reasons"] == {}, 60, "it is well again")
            assert gallery.metric("facepipe_gallery_faces_indexed") == 2000
            assert "Traceback" not in gallery.log


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/?order=sharpest&after=9999-12-31~", None),
        ("/?order=sharpest&after=0001-01-01~", None),
        ("/more?after=WyJuZXdlc3QiLDEsIlx1ZDgwMCJd", None),
        ("/count", {"selection": {"filter": {"device": "\ud800"}}}),
        ("/delete", {"selection": {"filter": {}}, "expected": float("inf"), "added": 1}),
        ("/delete", {"selection": {"refs": ["../../etc"]}}),
        ("/count", {"selection": {"filter": {"device": ["a"]}}}),
    ],
)
def test_bad_input_is_answered_with_a_sentence(
    gallery: Gallery, admin: Admin, path: str, body: dict[str, object] | None
) -> None:
    if body is None:
        status, _ = admin.open(path)
    else:
        status, answer = admin.post(path, **body)
        assert answer["error"]
    assert status == 400
    assert "Traceback" not in gallery.log


def wrong_secret(settings: dict[str, str]) -> dict[str, str]:
    return {**settings, "COS_SECRET_ACCESS_KEY": "wrong"}


def wrong_bucket(settings: dict[str, str]) -> dict[str, str]:
    return {**settings, "COS_BUCKET": "another"}


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (wrong_secret, "COS_SECRET_ACCESS_KEY is not that of COS_ACCESS_KEY_ID"),
        (wrong_bucket, "there is no bucket COS_BUCKET=another"),
    ],
)
def test_what_only_a_person_can_mend_ends_it_with_a_sentence(
    cloud: Mosquitto,
    store: Store,
    tmp_path: Path,
    spoil: Callable[[dict[str, str]], dict[str, str]],
    says: str,
) -> None:
    settings = spoil(store.settings)
    with Service(
        "gallery",
        MQTT_PORT=cloud.port,
        METRICS_PORT=0,
        GALLERY_DATA=tmp_path / "gallery",
        **settings,
    ) as gallery:
        assert gallery.wait() == 2
        assert f"gallery: {says}" in gallery.log
        assert "Traceback" not in gallery.log


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"HTTP_HOST": "0.0.0.0"}, "HTTP_HOST=0.0.0.0 needs HTTP_CERT and HTTP_KEY"),
        ({"GALLERY_USERS": "anna:boss:x"}, "GALLERY_USERS .*anna"),
        ({"GALLERY_DATA": "/proc/nowhere"}, "GALLERY_DATA=/proc/nowhere"),
        ({"RETENTION_DAYS": "-1"}, "RETENTION_DAYS must be a whole number"),
        ({"KEY_TEMPLATE": "{device}.png"}, "KEY_TEMPLATE must have {id}"),
        ({"HTTP_PORT": "9114", "METRICS_PORT": "9114"}, "METRICS_PORT must be another port"),
    ],
)
def test_bad_settings_end_it_with_a_sentence_that_names_them(
    cloud: Mosquitto, store: Store, tmp_path: Path, settings: dict[str, str], says: str
) -> None:
    given = {"MQTT_PORT": cloud.port, "METRICS_PORT": 0, "GALLERY_DATA": tmp_path / "gallery"}
    with Service("gallery", **{**given, **store.settings, **settings}) as gallery:
        assert gallery.wait() == 2
        assert re.search(f"gallery: {says}", gallery.log), gallery.log
        assert "Traceback" not in gallery.log


def test_a_port_that_is_taken_is_said(cloud: Mosquitto, store: Store, tmp_path: Path) -> None:
    with Gallery(
        store, tmp_path / "gallery", MQTT_PORT=cloud.port, HTTP_PORT=cloud.port
    ) as gallery:
        assert gallery.wait() == 2
        assert f"HTTP_HOST and HTTP_PORT: cannot listen on 127.0.0.1:{cloud.port}" in gallery.log


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


def test_connections_that_ask_for_nothing_are_ended_and_keep_nobody_out(
    gallery: Gallery, admin: Admin
) -> None:
    where = urllib.parse.urlsplit(gallery.at)
    with contextlib.ExitStack() as idle:
        sockets = [
            idle.enter_context(socket.create_connection((str(where.hostname), where.port or 0)))
            for _ in range(20)
        ]
        for half in sockets[10:]:
            half.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")  # and never the end of it
        for one in sockets:
            one.settimeout(30)
            assert one.recv(1) == b""
    assert admin.open("/")[0] == 200


def test_sigterm_ends_it_at_once_though_pages_are_open(gallery: Gallery, admin: Admin) -> None:
    with admin.live():
        until(lambda: gallery.metric("facepipe_gallery_viewers") == 1)
        assert gallery.stop() == 0
    assert "stopped with exit code 0" in gallery.log


def test_its_status_is_retained_and_cleared(gallery: Gallery, cloud: Mosquitto) -> None:
    with Sender(cloud.port) as sender:
        topic = until(
            lambda: [m.topic for m in sender.messages if "/cloud/gallery/" in m.topic],
            what="its status is there",
        )[0]
        assert json.loads(sender.on(topic)[0].payload)["state"] == "online"
        assert gallery.stop() == 0
        until(lambda: sender.on(topic)[-1].payload == b"", what="it is cleared")


def test_a_page_that_is_open_hears_of_a_face_when_it_is_stored(
    gallery: Gallery, admin: Admin, processor: Service, cloud: Mosquitto
) -> None:
    with admin.live() as events, Sender(cloud.port) as sender:
        until(lambda: gallery.metric("facepipe_gallery_viewers") == 1)
        sender.send(png())
        told = next(data for kind, data in events if kind == "faces")
    assert [face["device"] for face in told["faces"]] == ["box-1"]


def test_health_and_metrics_have_a_port_of_their_own(gallery: Gallery, admin: Admin) -> None:
    assert gallery.health()["status"] == "well"
    for path in ("/metrics", "/healthz"):
        assert admin.open(path)[0] == 404
