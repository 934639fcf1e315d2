"""The gallery as a service: sessions, connections, open pages, status and stop."""

from __future__ import annotations

import contextlib
import json
import socket
import urllib.parse

from testing.host.wait import until
from testing.mqtt.mosquitto import Mosquitto
from testing.mqtt.sender import Sender
from testing.pictures import png
from testing.services.gallery import Admin, Gallery
from testing.services.process import Service


def test_sessions_outlive_a_restart(gallery: Gallery, admin: Admin) -> None:
    gallery.start_again()
    status, page = admin.open("/")
    assert status == 200
    assert b"anna" in page


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
